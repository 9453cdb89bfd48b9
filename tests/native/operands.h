// Operands for every_kernel.cpp: reproducible values with the awkward ones among them, placed at any misalignment or so
// that a byte past their end may not be read.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "ops.h"

namespace ossia::test {

// splitmix64.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  int64_t below(int64_t n) { return static_cast<int64_t>(next() % static_cast<uint64_t>(n)); }
  float normal() {  // the sum of twelve uniforms
    double sum = -6;
    for (int i = 0; i < 12; i++) sum += static_cast<double>(next() >> 11) / 9007199254740992.0;
    return static_cast<float>(sum);
  }
  std::vector<float> normals(int64_t n, float scale = 1) {
    std::vector<float> out(static_cast<size_t>(n));
    for (float& x : out) x = scale * normal();
    return out;
  }

 private:
  uint64_t state_;
};

inline uint16_t to_bf16(float x) {
  uint32_t u;
  std::memcpy(&u, &x, 4);
  return static_cast<uint16_t>((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

inline std::vector<uint16_t> to_bf16(const std::vector<float>& x) {
  std::vector<uint16_t> out;
  for (float f : x) out.push_back(to_bf16(f));
  return out;
}

constexpr int kGuarded = -1;  // instead of a misalignment: the next byte may not be read

// Memory that lives as long as a case.
class Memory {
 public:
  Memory() = default;
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() {
    for (const auto& area : areas_) munmap(area.first, area.second);
  }
  char* bytes(size_t size, int place) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE)), room = (size + 64 + page) / page * page;
    void* area = mmap(nullptr, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED || mprotect(static_cast<char*>(area) + room, page, PROT_NONE) != 0) std::abort();
    areas_.emplace_back(area, room + page);
    return static_cast<char*>(area) + (place == kGuarded ? room - size : static_cast<size_t>(place));
  }
  template <class T>
  T* make(int64_t count, int place = 0) {
    return reinterpret_cast<T*>(bytes(static_cast<size_t>(count) * sizeof(T), place));
  }
  template <class T>
  T* copy(const std::vector<T>& from, int place = 0) {
    T* out = make<T>(static_cast<int64_t>(from.size()), place);
    std::memcpy(out, from.data(), from.size() * sizeof(T));
    return out;
  }

 private:
  std::vector<std::pair<void*, size_t>> areas_;
};

inline Act make_act(Memory& m, Numerics numerics, int64_t rows, int64_t width) {
  const int64_t size = rows * width;
  if (numerics == Numerics::f32) return {numerics, m.make<float>(size), nullptr, nullptr, nullptr, rows, width};
  if (numerics == Numerics::bf16) return {numerics, m.make<uint16_t>(size), nullptr, nullptr, nullptr, rows, width};
  return {numerics, m.make<int8_t>(size), m.make<float>(size / 32), m.make<int8_t>(size), m.make<int32_t>(size / 32),
          rows, width};
}

// Random weights of a kind: every byte of the codes, scales from tiny to sane (`wild`: also 0, 254 and 255).
inline Mat make_mat(Memory& m, Random& r, Kind kind, int64_t count, int64_t n, int64_t k, int place, bool wild) {
  const int64_t size = count * n * k;
  if (kind == Kind::f32) return {kind, m.copy(r.normals(size), place), nullptr, count, n, k};
  if (kind == Kind::bf16) return {kind, m.copy(to_bf16(r.normals(size)), place), nullptr, count, n, k};
  std::vector<uint8_t> codes(static_cast<size_t>(kind == Kind::q8 ? size : size / 2));
  for (uint8_t& c : codes) c = static_cast<uint8_t>(r.next());
  const char* data = reinterpret_cast<const char*>(m.copy(codes, place));
  if (kind == Kind::q8) return {kind, data, m.copy(r.normals(size / 32, 0.01f), place), count, n, k};
  std::vector<uint8_t> scales(static_cast<size_t>(size / 32));
  for (uint8_t& s : scales) {
    const int64_t odd = wild ? r.below(20) : -1;
    s = static_cast<uint8_t>(odd == 0 ? 0 : odd == 1 ? 254 : odd == 2 && r.below(40) == 0 ? 255 : 112 + r.below(16));
  }
  return {kind, data, m.copy(scales, place), count, n, k};
}

}  // namespace ossia::test
