// The cache of experts (experts.h): who is in memory, who gives way, and the threads that read.
#include "experts.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <new>

namespace ossia {
namespace {

constexpr int64_t kDiskBlock = 4096;       // what direct reads must be aligned to, in file and memory
constexpr int64_t kReadBytes = 512 << 10;  // several at once keep a disk busy
constexpr double kMemory = 1.0 - 1.0 / 128;  // of the moving average, per token

int64_t up(int64_t bytes) { return (bytes + kDiskBlock - 1) / kDiskBlock * kDiskBlock; }
int64_t room(int64_t part_bytes) { return up(part_bytes) + kDiskBlock; }

// A step that needs nearly all experts of a layer will need those of the next as well.
bool is_sweep(int64_t active, int64_t experts) { return 8 * active >= 7 * experts; }

}  // namespace

int64_t ExpertCache::slot_bytes(const std::vector<int64_t>& part_bytes) {
  int64_t bytes = 0;
  for (const int64_t part : part_bytes) bytes += room(part);
  return bytes;
}

ExpertCache::ExpertCache(int64_t layers, int64_t experts, int64_t slots, const std::vector<int64_t>& part_bytes,
                         int readers)
    : layers_(layers),
      experts_(experts),
      bytes_(part_bytes),
      slot_bytes_(static_cast<size_t>(slot_bytes(part_bytes))),
      memory_bytes_(static_cast<size_t>(slots) * slot_bytes_),
      places_(static_cast<size_t>(layers * kParts)),
      entries_(static_cast<size_t>(layers * experts)),
      slots_(static_cast<size_t>(slots)),
      order_(static_cast<size_t>(experts)) {
  void* memory = mmap(nullptr, memory_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  memory_ = static_cast<char*>(memory);
  sigset_t all, before;  // signals belong to Python's threads
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  for (int i = 0; i < readers; i++) readers_.emplace_back([this] { work(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

ExpertCache::~ExpertCache() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  work_.notify_all();
  for (auto& reader : readers_) reader.join();
  for (const File& file : files_) close(file.fd);
  munmap(memory_, memory_bytes_);
}

int ExpertCache::add_file(int fd, bool direct) {
  const int own = dup(fd);
  if (own >= 0) files_.push_back({own, direct});
  return own < 0 ? -1 : static_cast<int>(files_.size()) - 1;
}

void ExpertCache::place(int64_t layer, int64_t part, int file, int64_t offset) {
  places_[static_cast<size_t>(layer * kParts + part)] = {file, offset};
}

const int32_t* ExpertCache::order(int64_t layer) {
  for (int64_t e = 0; e < experts_; e++) order_[static_cast<size_t>(e)] = static_cast<int32_t>(e);
  const auto here = [&](int32_t e) {
    const int64_t slot = entry(layer, e).slot;
    return slot >= 0 && !slots_[static_cast<size_t>(slot)].busy();
  };
  std::stable_partition(order_.begin(), order_.end(), here);
  return order_.data();
}

void ExpertCache::begin(int64_t layer, const int32_t* experts, const int32_t* starts, int64_t active, int64_t rows) {
  std::unique_lock<std::mutex> lock(mutex_);
  layer_ = layer;
  op_++;
  counts_.asked += active;
  count(layer, experts, starts, active, rows);
  const bool sweep = is_sweep(active, experts_);
  wanted_.insert(wanted_.end(), ahead_.begin(), ahead_.end());
  ahead_.clear();
  std::vector<int64_t> missing, slots;
  for (int64_t i = 0; i < active; i++) {
    const int64_t slot = entry(layer, experts[i]).slot;
    if (slot >= 0) slots_[static_cast<size_t>(slot)].kept_by = op_;
    if (slot < 0 || slots_[static_cast<size_t>(slot)].failed) missing.push_back(experts[i]);
  }
  for (const int64_t expert : missing) {
    int64_t slot = entry(layer, expert).slot;
    if (slot < 0) slot = take_slot(lock, layer, sweep);
    arrived_.wait(lock, [&] { return !slots_[static_cast<size_t>(slot)].busy(); });  // a failed one, perhaps
    settle(slot, layer, expert);
    slots_[static_cast<size_t>(slot)].kept_by = op_;
    note(slot, gate_up, wanted_);
    slots.push_back(slot);
    work_.notify_all();
  }
  for (const int64_t slot : slots) note(slot, down, wanted_);
  if (sweep && layer + 1 < layers_) read_ahead(layer + 1);
  if (!wanted_.empty() || !ahead_.empty()) work_.notify_all();
}

// The moving average of each expert's share of the tokens.
void ExpertCache::count(int64_t layer, const int32_t* experts, const int32_t* starts, int64_t active, int64_t rows) {
  const float keep = static_cast<float>(std::pow(kMemory, static_cast<double>(rows)));
  for (int64_t e = 0; e < experts_; e++) entry(layer, e).heat *= keep;
  for (int64_t i = 0; i < active; i++)
    entry(layer, experts[i]).heat += (1 - keep) * static_cast<float>(starts[i + 1] - starts[i]) / rows;
}

// The slot that can best be spared (on request none of the layer itself), or -1 where all are in use or being filled.
int64_t ExpertCache::victim(int64_t layer, bool sweep, bool spare_layer) const {
  int64_t best = -1, best_turn = 0;
  float best_heat = 0;
  for (size_t i = 0; i < slots_.size(); i++) {
    const Slot& slot = slots_[i];
    if (slot.busy() || slot.kept_by == op_) continue;
    if (slot.owner < 0 || slot.failed) return static_cast<int64_t>(i);
    const int64_t ahead = (slot.owner / experts_ - layer + layers_) % layers_, turn = ahead ? ahead : layers_;
    if (spare_layer && !ahead) continue;
    const float heat = entries_[static_cast<size_t>(slot.owner)].heat;
    const bool later = turn > best_turn, colder = heat < best_heat;
    const bool better = sweep ? later || (turn == best_turn && colder) : colder || (heat == best_heat && later);
    if (best >= 0 && !better) continue;
    best = static_cast<int64_t>(i);
    best_turn = turn;
    best_heat = heat;
  }
  return best;
}

int64_t ExpertCache::take_slot(std::unique_lock<std::mutex>& lock, int64_t layer, bool sweep) {
  int64_t slot;
  arrived_.wait(lock, [&] { return (slot = victim(layer, sweep, false)) >= 0; });
  return slot;
}

// Gives a slot to an expert; its halves are then to be noted.
void ExpertCache::settle(int64_t at, int64_t layer, int64_t expert) {
  Slot& slot = slots_[static_cast<size_t>(at)];
  if (slot.owner >= 0) entries_[static_cast<size_t>(slot.owner)].slot = -1;
  slot.owner = layer * experts_ + expert;
  slot.kept_by = 0;
  slot.failed = false;
  entry(layer, expert).slot = at;
  for (auto& pending : slot.pending) pending.store(1);  // held until all reads of the half are noted
  counts_.read++;
}

void ExpertCache::note(int64_t at, Half half, std::deque<Read>& queue) {
  Slot& slot = slots_[static_cast<size_t>(at)];
  const int64_t layer = slot.owner / experts_, expert = slot.owner % experts_;
  char* to = memory_ + static_cast<size_t>(at) * slot_bytes_;
  const void* lies[2];
  for (int part = 0; part < kParts; to += room(bytes_[part++])) {
    if (part / 2 != half) continue;
    const int64_t begin = places_[layer * kParts + part].offset + expert * bytes_[part], end = begin + bytes_[part];
    const int64_t first = begin / kDiskBlock * kDiskBlock;
    lies[part % 2] = to + (begin - first);
    counts_.bytes += bytes_[part];
    for (int64_t from = first; from < end; from += kReadBytes) {
      slot.pending[half].fetch_add(1);
      queue.push_back({at, part, from, std::min(kReadBytes, end - from), to + (from - first)});
    }
  }
  slot.lies[half] = {lies[0], lies[1]};
  slot.pending[half].fetch_sub(1);
}

// What a sweep will need next, as far as there are slots whose turn is over.
void ExpertCache::read_ahead(int64_t layer) {
  for (int64_t e = 0; e < experts_; e++) {
    if (entry(layer, e).slot >= 0) continue;
    const int64_t slot = victim(layer, true, true);
    if (slot < 0) return;
    settle(slot, layer, e);
    note(slot, gate_up, ahead_);
    note(slot, down, ahead_);
  }
}

ExpertCache::Lies ExpertCache::wait(Half half, int64_t expert) {
  Slot& slot = slots_[static_cast<size_t>(entry(layer_, expert).slot)];
  if (slot.pending[half].load(std::memory_order_acquire)) {
    std::unique_lock<std::mutex> lock(mutex_);
    arrived_.wait(lock, [&] { return slot.pending[half].load(std::memory_order_acquire) == 0; });
  }
  return slot.lies[half];
}

void ExpertCache::work() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    work_.wait(lock, [&] { return stop_ || !wanted_.empty() || !ahead_.empty(); });
    if (stop_) return;
    std::deque<Read>& queue = wanted_.empty() ? ahead_ : wanted_;
    const Read read = queue.front();
    queue.pop_front();
    lock.unlock();
    const int error = carry_out(read);
    lock.lock();
    Slot& slot = slots_[static_cast<size_t>(read.slot)];
    if (error) {
      slot.failed = true;
      slot.lies[read.part / 2] = {nullptr, nullptr};
      failure_ = {slot.owner / experts_, read.part, error};
    }
    if (slot.pending[read.part / 2].fetch_sub(1) == 1) arrived_.notify_all();
  }
}

// Direct reads go by whole blocks of the disk, which the last one of a file may lack.
int ExpertCache::carry_out(const Read& read) const {
  const Slot& slot = slots_[static_cast<size_t>(read.slot)];
  const File& file = files_[static_cast<size_t>(places_[slot.owner / experts_ * kParts + read.part].file)];
  const int64_t whole = file.direct ? up(read.bytes) : read.bytes;
  for (int64_t done = 0; done < read.bytes;) {
    const ssize_t n = pread(file.fd, read.to + done, static_cast<size_t>(whole - done), read.offset + done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    done += n;
    const bool cut = file.direct && n % kDiskBlock != 0;
    if (done < read.bytes && (n == 0 || cut)) return kEnded;
  }
#ifdef POSIX_FADV_DONTNEED
  if (!file.direct) (void)posix_fadvise(file.fd, read.offset, read.bytes, POSIX_FADV_DONTNEED);
#endif
  return 0;
}

ExpertCache::Counts ExpertCache::counts() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return counts_;
}

ExpertCache::Failure ExpertCache::failure() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return failure_;
}

ExpertCache::Failure ExpertCache::take_failure() {
  const std::lock_guard<std::mutex> lock(mutex_);
  const Failure failure = failure_;
  failure_ = {0, 0, 0};
  return failure;
}

}  // namespace ossia
