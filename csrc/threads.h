// A team of threads that share an op's tasks. Tasks are stolen one at a time, so a thread that loses its core delays
// only the task it holds; waiting threads spin for some tens of microseconds, then sleep.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace ossia {

// Memory of one thread (or of the team) that grows and is never cleared; a slot is valid until asked for again.
class Scratch {
 public:
  Scratch() = default;
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch();
  void* bytes(int slot, size_t size);
  template <class T>
  T* get(int slot, size_t count) {
    return static_cast<T*>(bytes(slot, count * sizeof(T)));
  }

 private:
  static constexpr int kSlots = 8;
  void* data_[kSlots] = {};
  size_t size_[kSlots] = {};
};

using Task = void (*)(const void* context, int64_t task, Scratch& scratch);

class Team {
 public:
  explicit Team(int threads);  // threads - 1 are started, the caller is the other one
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  int threads() const { return threads_; }
  // Runs task(context, 0 .. count-1) on all threads; returns when all are done.
  void parallel(int64_t count, Task task, const void* context);
  Scratch& shared() { return shared_; }

  // An op's way to say that its arguments are impossible; the first message wins and ends the program's run.
  void fail(const char* message);
  const char* take_error() { return error_.exchange(nullptr); }

 private:
  void work(int index);
  bool take(Scratch& scratch);
  void wait_for_ticket(uint64_t seen);
  void wait_for_done(int64_t count);

  const int threads_;
  std::vector<std::thread> workers_;
  std::vector<std::unique_ptr<Scratch>> scratch_;
  Scratch shared_;
  std::atomic<const char*> error_{nullptr};
  std::atomic<bool> stop_{false};

  // epoch (24 bits) | count (20 bits) | next task (20 bits): who increments it owns a task of the job below.
  alignas(64) std::atomic<uint64_t> ticket_{0};
  alignas(64) std::atomic<int64_t> done_{0};
  alignas(64) std::atomic<uint32_t> bell_{0};  // futex word of sleeping workers
  std::atomic<uint32_t> sleepers_{0};
  alignas(64) std::atomic<uint32_t> caller_asleep_{0};  // futex word of the caller
  Task task_ = nullptr;
  const void* context_ = nullptr;
};

// Floats as IEEE says, whatever the process has set (flush-to-zero would change bits); restored on leaving.
class ExactFloats {
 public:
  ExactFloats();
  ~ExactFloats();

 private:
  unsigned saved_;
};

}  // namespace ossia
