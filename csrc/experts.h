// Experts that are not all in memory: slots for as many as fit, filled from their files as tokens ask for them.
//
// A cache belongs to one model and serves one op at a time (programs take turns). `begin` says which experts the op
// needs, keeps them until the next `begin`, and has those that are missing read by threads of its own, past the page
// cache where the file system can; `wait` is where a task that needs one of them stops until it has come. Which expert
// gives way: the one that the fewest tokens ask for, by a moving average that also knows experts that are not here; in
// a prompt that needs nearly all experts of every layer, one of the layer whose turn comes last. What is computed from
// a slot is what would be computed from the file: the bytes are the same.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

namespace ossia {

class ExpertCache {
 public:
  static constexpr int kParts = 4;  // of an expert: gate_up's blocks and scales, down's blocks and scales
  enum Half { gate_up, down };
  struct Lies {
    const void *data, *scales;  // null where the expert could not be read
  };
  struct Counts {
    int64_t asked, read, bytes;  // experts that ops asked for, experts read, bytes of these
  };
  static constexpr int kEnded = -1;  // an error beside errno's: the file is too short
  struct Failure {
    int64_t layer, part;
    int error;  // 0: none
  };

  // `slots` must be at least `experts`, or an op that asks for all experts of a layer could not run.
  ExpertCache(int64_t layers, int64_t experts, int64_t slots, const std::vector<int64_t>& part_bytes, int readers);
  ~ExpertCache();
  ExpertCache(const ExpertCache&) = delete;
  ExpertCache& operator=(const ExpertCache&) = delete;

  // A file to read from, whose descriptor is duplicated; `direct` where that reads past the page cache. Its number.
  int add_file(int fd, bool direct);
  // Where a part of a layer's first expert begins; those of the others follow.
  void place(int64_t layer, int64_t part, int file, int64_t offset);

  // The layer's experts in the order to compute them: those in memory first.
  const int32_t* order(int64_t layer);
  // An op on `rows` rows needs these experts; expert i is for starts[i + 1] - starts[i] of the rows.
  void begin(int64_t layer, const int32_t* experts, const int32_t* starts, int64_t active, int64_t rows);
  // Where half of an expert lies that was asked for, once it is there. Any thread.
  Lies wait(Half half, int64_t expert);

  Counts counts();
  Failure failure();       // the last one, until it is taken
  Failure take_failure();
  int64_t layers() const { return layers_; }
  int64_t experts() const { return experts_; }
  int64_t part_bytes(int part) const { return bytes_[part]; }
  // Memory of a slot: its parts, each with room to begin where a block of the disk does.
  static int64_t slot_bytes(const std::vector<int64_t>& part_bytes);

 private:
  struct File {
    int fd;
    bool direct;
  };
  struct Place {
    int file;
    int64_t offset;
  };
  struct Entry {
    int64_t slot = -1;
    float heat = 0;  // share of the layer's tokens that ask for it
  };
  struct Slot {
    int64_t owner = -1;   // entry
    uint64_t kept_by = 0;  // op
    bool failed = false;   // under mutex_
    Lies lies[2] = {};
    std::atomic<int> pending[2] = {};  // reads still to come
    bool busy() const { return pending[gate_up].load() || pending[down].load(); }
  };
  struct Read {
    int64_t slot, part, offset, bytes;
    char* to;
  };

  Entry& entry(int64_t layer, int64_t expert) { return entries_[static_cast<size_t>(layer * experts_ + expert)]; }
  void count(int64_t layer, const int32_t* experts, const int32_t* starts, int64_t active, int64_t rows);
  int64_t victim(int64_t layer, bool sweep, bool spare_layer) const;
  int64_t take_slot(std::unique_lock<std::mutex>& lock, int64_t layer, bool sweep);
  void settle(int64_t slot, int64_t layer, int64_t expert);
  void note(int64_t slot, Half half, std::deque<Read>& queue);
  void read_ahead(int64_t layer);
  void work();
  int carry_out(const Read& read) const;

  const int64_t layers_, experts_;
  const std::vector<int64_t> bytes_;
  const size_t slot_bytes_;
  char* memory_;
  size_t memory_bytes_;
  std::vector<File> files_;
  std::vector<Place> places_;
  std::vector<Entry> entries_;
  std::vector<Slot> slots_;
  std::vector<int32_t> order_;
  int64_t layer_ = 0;  // of the op
  uint64_t op_ = 0;

  std::mutex mutex_;  // of what follows, and of what decides about slots
  std::condition_variable work_, arrived_;
  std::deque<Read> wanted_, ahead_;
  Counts counts_{0, 0, 0};
  Failure failure_{0, 0, 0};
  bool stop_ = false;
  std::vector<std::thread> readers_;
};

}  // namespace ossia
