// Weights on their way from files into memory. One run reads, packs and brings in everything that was noted, on its
// own threads, in the order noted; it never needs the GIL, which another thread of Python may hold for a second.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "ops.h"

namespace ossia {

class Transfers {
 public:
  enum class Kind { populate, read, widen, pack };

  // What becomes of `bytes` of a file from `offset`. populate: `to` is where they are mapped, and their pages are
  // brought in. read: copied to `to`. widen: bf16 to f32. pack: bf16 or f32 to int8 and a scale per 32 (pack.h).
  struct Transfer {
    Kind kind;
    int fd;
    int64_t offset, bytes;
    void* to;
    float* scales;
    bool from_is_bf16;
  };

  // `error` is 0, an errno, or one of these; `transfer` the index of the one that failed first.
  static constexpr int kEnded = -1, kNotFinite = -2;  // the file is too short; a value to pack is inf or NaN
  struct Outcome {
    int64_t transfer;
    int error;
  };

  void add(const Transfer& t) { noted_.push_back(t); }
  // `drop`: what was read, not mapped, leaves the page cache.
  Outcome run(int threads, Isa isa, bool drop);
  int64_t done() const { return done_.load(); }  // bytes, while a run is under way
  void stop() { stop_.store(true); }             // a run then ends within milliseconds; what it filled is not whole

 private:
  struct Task {
    int64_t transfer, begin, bytes;  // part of a transfer, from its byte `begin`
  };

  void work(Isa isa);
  int carry_out(const Task& task, Isa isa, void* piece);
  int fill(const Transfer& t, const Task& task, Isa isa, void* piece);
  void announce(size_t task) const;
  void drop(const Task& task) const;
  void fail(int64_t transfer, int error);

  std::vector<Transfer> noted_;
  std::vector<Task> tasks_;
  std::atomic<size_t> next_{0};
  std::atomic<int64_t> done_{0};
  std::atomic<bool> stop_{false};
  bool drop_ = false;
  std::mutex mutex_;  // of outcome_
  Outcome outcome_{-1, 0};
};

}  // namespace ossia
