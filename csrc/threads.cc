// The team: one ticket word, stolen task by task; spin briefly, then futex.
#include "threads.h"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <climits>
#include <cstdlib>
#include <new>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ossia {
namespace {

constexpr uint64_t kTaskBits = 20, kTaskMask = (1u << kTaskBits) - 1;
constexpr auto kSpin = std::chrono::microseconds(40);

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

void futex_wait(std::atomic<uint32_t>& word, uint32_t value) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
}

void futex_wake(std::atomic<uint32_t>& word, int count) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAKE_PRIVATE, count, nullptr, nullptr, 0);
}

// Spins until ready() or the time is up; the clock is read every 64 turns.
template <class Ready>
bool spin(Ready ready) {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 64; i++) {
      if (ready()) return true;
      relax();
    }
  } while (std::chrono::steady_clock::now() < end);
  return ready();
}

}  // namespace

ExactFloats::ExactFloats() : saved_(0) {
#if defined(__x86_64__)
  saved_ = _mm_getcsr();
  _mm_setcsr(0x1f80);
#elif defined(__aarch64__)
  uint64_t control;
  __asm__ volatile("mrs %0, fpcr" : "=r"(control));
  saved_ = static_cast<unsigned>(control);
  __asm__ volatile("msr fpcr, %0" : : "r"(uint64_t{0}));
#endif
}

ExactFloats::~ExactFloats() {
#if defined(__x86_64__)
  _mm_setcsr(saved_);
#elif defined(__aarch64__)
  __asm__ volatile("msr fpcr, %0" : : "r"(static_cast<uint64_t>(saved_)));
#endif
}

Scratch::~Scratch() {
  for (void* p : data_) std::free(p);
}

void* Scratch::bytes(int slot, size_t size) {
  if (size > size_[slot]) {
    std::free(data_[slot]);
    size_[slot] = (size + size / 4 + 4095) / 4096 * 4096;
    data_[slot] = std::aligned_alloc(4096, size_[slot]);
    if (!data_[slot]) {
      size_[slot] = 0;
      throw std::bad_alloc();
    }
  }
  return data_[slot];
}

Team::Team(int threads) : threads_(threads) {
  for (int i = 0; i < threads; i++) scratch_.push_back(std::make_unique<Scratch>());
  sigset_t all, before;  // signals belong to Python's threads
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  for (int i = 1; i < threads; i++) workers_.emplace_back([this, i] { work(i); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Team::~Team() {
  stop_.store(true);
  bell_.fetch_add(1);
  futex_wake(bell_, INT_MAX);
  for (auto& w : workers_) w.join();
}

void Team::fail(const char* message) {
  const char* none = nullptr;
  error_.compare_exchange_strong(none, message);
}

// Takes one task of the present job, whichever it is. Winning the increment makes the job ours until done_ is counted
// up, so task_ and context_ cannot change under us even if we slept since reading the ticket.
bool Team::take(Scratch& scratch) {
  uint64_t t = ticket_.load(std::memory_order_acquire);
  do {
    if ((t & kTaskMask) >= ((t >> kTaskBits) & kTaskMask)) return false;
  } while (!ticket_.compare_exchange_weak(t, t + 1, std::memory_order_acq_rel, std::memory_order_acquire));
  const int64_t count = (t >> kTaskBits) & kTaskMask;
  try {
    task_(context_, t & kTaskMask, scratch);
  } catch (const std::bad_alloc&) {
    fail("out of memory in a kernel");
  }
  if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == count && caller_asleep_.exchange(0)) {
    futex_wake(caller_asleep_, 1);
  }
  return true;
}

void Team::work(int index) {
  ExactFloats exact;
  for (;;) {
    const uint64_t seen = ticket_.load(std::memory_order_acquire);
    if (stop_.load(std::memory_order_acquire)) return;
    if (!take(*scratch_[index])) wait_for_ticket(seen);
  }
}

void Team::wait_for_ticket(uint64_t seen) {
  const auto changed = [&] {
    const uint64_t t = ticket_.load(std::memory_order_acquire);
    return (t >> kTaskBits) != (seen >> kTaskBits) || stop_.load(std::memory_order_relaxed);
  };
  if (spin(changed)) return;
  sleepers_.fetch_add(1);
  const uint32_t bell = bell_.load();
  if (!changed()) futex_wait(bell_, bell);
  sleepers_.fetch_sub(1);
}

void Team::wait_for_done(int64_t count) {
  const auto finished = [&] { return done_.load(std::memory_order_acquire) == count; };
  while (!spin(finished)) {  // someone holding a task lost its core: give it ours
    caller_asleep_.store(1);
    if (finished()) break;
    futex_wait(caller_asleep_, 1);
  }
  caller_asleep_.store(0);
}

void Team::parallel(int64_t count, Task task, const void* context) {
  constexpr int64_t kMost = kTaskMask - 64;  // next may overshoot by nothing, but keep the fields apart
  if (threads_ == 1 || count <= 1 || count > kMost) {
    for (int64_t i = 0; i < count; i++) task(context, i, *scratch_[0]);
    return;
  }
  task_ = task;
  context_ = context;
  done_.store(0, std::memory_order_relaxed);
  const uint64_t epoch = (ticket_.load(std::memory_order_relaxed) >> (2 * kTaskBits)) + 1;
  ticket_.store(epoch << (2 * kTaskBits) | static_cast<uint64_t>(count) << kTaskBits);
  if (sleepers_.load()) {
    bell_.fetch_add(1);
    futex_wake(bell_, INT_MAX);
  }
  while (take(*scratch_[0])) {
  }
  wait_for_done(count);
}

}  // namespace ossia
