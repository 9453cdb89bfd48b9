// Transfers: tasks of 16 MiB taken one by one, the system told of those to come, each read in pieces that stay in a
// core's cache until they are packed.
#include "transfer.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>

#include "pack.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22  // Linux 5.14
#endif

namespace ossia {
namespace {

constexpr int64_t kTaskBytes = 16 << 20;
constexpr int64_t kPieceBytes = 1 << 20;  // multiples of a block of f32
constexpr size_t kAhead = 16;             // tasks announced before they are due

int read_whole(int fd, int64_t offset, char* to, int64_t bytes) {
  while (bytes > 0) {
    const ssize_t n = pread(fd, to, static_cast<size_t>(bytes), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    if (n == 0) return Transfers::kEnded;
    to += n;
    offset += n;
    bytes -= n;
  }
  return 0;
}

int touch(const volatile char* begin, const volatile char* end, uintptr_t page) {
  for (const volatile char* p = begin; p < end; p += page) (void)*p;
  return 0;
}

// The pages that hold [data, data + bytes) of a mapped file, in one call where the system has it. Where the file system
// can, what is not in memory yet comes in huge pages, which are read faster ever after; elsewhere the wish is refused.
int populate(const char* data, int64_t bytes) {
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  char* begin = const_cast<char*>(data) - reinterpret_cast<uintptr_t>(data) % page;
  const char* end = data + bytes;
  (void)madvise(begin, static_cast<size_t>(end - begin), MADV_HUGEPAGE);
  while (madvise(begin, static_cast<size_t>(end - begin), MADV_POPULATE_READ) != 0) {
    if (errno == EINVAL || errno == ENOSYS) return touch(begin, end, page);
    if (errno != EINTR && errno != EAGAIN) return errno;
  }
  return 0;
}

void widen(const uint16_t* from, float* to, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    const uint32_t bits = static_cast<uint32_t>(from[i]) << 16;
    std::memcpy(to + i, &bits, 4);
  }
}

}  // namespace

Transfers::Outcome Transfers::run(int threads, Isa isa, bool drop) {
  drop_ = drop;
  tasks_.clear();
  for (size_t i = 0; i < noted_.size(); i++)
    for (int64_t at = 0; at < noted_[i].bytes; at += kTaskBytes)
      tasks_.push_back({static_cast<int64_t>(i), at, std::min(kTaskBytes, noted_[i].bytes - at)});
  next_.store(0);
  done_.store(0);
  outcome_ = {-1, 0};
  for (size_t i = 0; i < std::min(kAhead, tasks_.size()); i++) announce(i);
  sigset_t all, before;  // signals belong to Python's threads
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::vector<std::thread> workers;
  for (int i = 1; i < threads; i++) workers.emplace_back([this, isa] { work(isa); });
  work(isa);
  for (auto& w : workers) w.join();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return outcome_;
}

void Transfers::work(Isa isa) {
  const std::unique_ptr<void, decltype(&std::free)> piece(std::aligned_alloc(4096, kPieceBytes), &std::free);
  if (!piece) return fail(0, ENOMEM);
  for (;;) {
    const size_t i = next_.fetch_add(1);
    if (i >= tasks_.size() || stop_.load()) return;
    if (i + kAhead < tasks_.size()) announce(i + kAhead);
    const int error = carry_out(tasks_[i], isa, piece.get());
    if (error) return fail(tasks_[i].transfer, error);
    if (drop_) drop(tasks_[i]);
    done_.fetch_add(tasks_[i].bytes);
  }
}

int Transfers::carry_out(const Task& task, Isa isa, void* piece) {
  const Transfer& t = noted_[static_cast<size_t>(task.transfer)];
  char* to = static_cast<char*>(t.to);
  if (t.kind == Kind::populate) return populate(to + task.begin, task.bytes);
  if (t.kind == Kind::read) return read_whole(t.fd, t.offset + task.begin, to + task.begin, task.bytes);
  const int64_t end = task.begin + task.bytes;
  for (int64_t at = task.begin; at < end && !stop_.load(); at += kPieceBytes) {
    const int error = fill(t, {task.transfer, at, std::min(kPieceBytes, end - at)}, isa, piece);
    if (error) return error;
  }
  return 0;
}

int Transfers::fill(const Transfer& t, const Task& part, Isa isa, void* piece) {
  const int error = read_whole(t.fd, t.offset + part.begin, static_cast<char*>(piece), part.bytes);
  if (error) return error;
  const int64_t each = t.from_is_bf16 ? 2 : 4, first = part.begin / each, count = part.bytes / each;
  if (t.kind == Kind::widen) {
    widen(static_cast<const uint16_t*>(piece), static_cast<float*>(t.to) + first, count);
    return 0;
  }
  const PackArgs args{piece, t.from_is_bf16, static_cast<int8_t*>(t.to) + first, t.scales + first / 32, count / 32};
  return pack_q8(args, isa) ? 0 : kNotFinite;
}

// Not for mapped pages: read ahead on a wish, they would come as small ones.
void Transfers::announce(size_t task) const {
#ifdef POSIX_FADV_WILLNEED
  const Transfer& t = noted_[static_cast<size_t>(tasks_[task].transfer)];
  if (t.kind == Kind::populate) return;
  (void)posix_fadvise(t.fd, t.offset + tasks_[task].begin, tasks_[task].bytes, POSIX_FADV_WILLNEED);
#else
  (void)task;
#endif
}

void Transfers::drop(const Task& task) const {
  const Transfer& t = noted_[static_cast<size_t>(task.transfer)];
#ifdef POSIX_FADV_DONTNEED
  if (t.kind != Kind::populate) (void)posix_fadvise(t.fd, t.offset + task.begin, task.bytes, POSIX_FADV_DONTNEED);
#else
  (void)t;
#endif
}

void Transfers::fail(int64_t transfer, int error) {
  stop_.store(true);
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!outcome_.error) outcome_ = {transfer, error};
}

}  // namespace ossia
