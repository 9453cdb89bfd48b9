// Probes: read bandwidth, and the peak of the instruction that an instruction set's matrix products stand on.
#ifndef OSSIA_ISA
#include "probe.h"

#include <chrono>

namespace ossia {
namespace {

constexpr int64_t kSlice = 4 << 20;  // bytes a thread takes at a time
constexpr int kChains = 12;          // independent accumulators: more than latency times issue width, in registers

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace
}  // namespace ossia

#define OSSIA_FAMILY "../probe.cc"
#define OSSIA_PRODUCTS
#include "isa/every_isa.h"

namespace ossia {

const Probe& find_probe(Isa isa) {
  static constexpr Probe table[kIsas] = {
      {scalar::probe_read, scalar::probe_peak, {"int8 scalar", "f32 scalar"}},
#if defined(__x86_64__)
      {avx2::probe_read, avx2::probe_peak, {"int8 vpmaddubsw 256", "f32 vfmadd 256"}},
      {avxvnni::probe_read, avxvnni::probe_peak, {"int8 vpdpbusd 256", "f32 vfmadd 256"}},
      {avx512::probe_read, avx512::probe_peak, {"int8 vpdpbusd 512", "f32 vfmadd 512"}},
#elif defined(__aarch64__)
      {},
      {},
      {},
      {neon::probe_read, neon::probe_peak, {"int8 sdot", "f32 fmla"}},
      {neon_i8mm::probe_read, neon_i8mm::probe_peak, {"int8 smmla", "f32 fmla"}},
#endif
  };
  return table[static_cast<int>(isa)];
}

}  // namespace ossia
#else

namespace ossia {
namespace OSSIA_ISA {
namespace {

// The compiler must neither merge turns of a loop nor leave them out.
#if OSSIA_LEVEL == OSSIA_NEON
#define OSSIA_KEEP_BITS(x) __asm__ volatile("" : "+w"(x))
#define OSSIA_KEEP_FLOATS(x) __asm__ volatile("" : "+w"(x))
#elif OSSIA_LEVEL != OSSIA_SCALAR
#define OSSIA_KEEP_BITS(x) __asm__ volatile("" : "+v"(x))
#define OSSIA_KEEP_FLOATS(x) __asm__ volatile("" : "+v"(x))
#elif defined(__aarch64__)
#define OSSIA_KEEP_BITS(x) __asm__ volatile("" : "+r"(x))
#define OSSIA_KEEP_FLOATS(x) __asm__ volatile("" : "+w"(x))
#else
#define OSSIA_KEEP_BITS(x) __asm__ volatile("" : "+r"(x))
#define OSSIA_KEEP_FLOATS(x) __asm__ volatile("" : "+x"(x))
#endif

// One register's worth: a read, the two multiplications, and how many operations each of these is.
#if OSSIA_LEVEL == OSSIA_AVX512
using Bits = __m512i;
using Floats = __m512;
OSSIA_INLINE Bits read_into(Bits sum, const char* p) { return _mm512_xor_si512(sum, _mm512_loadu_si512(p)); }
OSSIA_INLINE Bits mul_int8(Bits acc, Bits x) { return _mm512_dpbusd_epi32(acc, x, x); }
OSSIA_INLINE Floats mul_f32(Floats acc, Floats x) { return _mm512_fmadd_ps(x, x, acc); }
constexpr int64_t kInt8Ops = 128, kF32Ops = 32;
#elif OSSIA_LEVEL == OSSIA_AVX2
using Bits = __m256i;
using Floats = __m256;
OSSIA_INLINE Bits read_into(Bits sum, const char* p) {
  return _mm256_xor_si256(sum, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
#if OSSIA_FAST_INT8
OSSIA_INLINE Bits mul_int8(Bits acc, Bits x) { return _mm256_dpbusd_avx_epi32(acc, x, x); }
#else
OSSIA_INLINE Bits mul_int8(Bits acc, Bits x) {  // bytes to exact sums of 32 bits takes three instructions
  return _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_maddubs_epi16(x, x), x));
}
#endif
OSSIA_INLINE Floats mul_f32(Floats acc, Floats x) { return _mm256_fmadd_ps(x, x, acc); }
constexpr int64_t kInt8Ops = 64, kF32Ops = 16;
#elif OSSIA_LEVEL == OSSIA_NEON
using Bits = int32x4_t;
using Floats = float32x4_t;
OSSIA_INLINE Bits read_into(Bits sum, const char* p) {
  return veorq_s32(sum, vreinterpretq_s32_s8(vld1q_s8(reinterpret_cast<const int8_t*>(p))));
}
#if OSSIA_FAST_INT8
OSSIA_INLINE Bits mul_int8(Bits acc, Bits x) {
  return vmmlaq_s32(acc, vreinterpretq_s8_s32(x), vreinterpretq_s8_s32(x));
}
#else
OSSIA_INLINE Bits mul_int8(Bits acc, Bits x) {
  return vdotq_s32(acc, vreinterpretq_s8_s32(x), vreinterpretq_s8_s32(x));
}
#endif
OSSIA_INLINE Floats mul_f32(Floats acc, Floats x) { return vfmaq_f32(acc, x, x); }
constexpr int64_t kInt8Ops = OSSIA_FAST_INT8 ? 64 : 32, kF32Ops = 8;
#else
using Bits = uint64_t;
using Floats = float;
OSSIA_INLINE Bits read_into(Bits sum, const char* p) {
  uint64_t u;
  std::memcpy(&u, p, 8);
  return sum ^ u;
}
OSSIA_INLINE Bits mul_int8(Bits acc, Bits x) { return acc + x * x; }
OSSIA_INLINE Floats mul_f32(Floats acc, Floats x) { return acc + x * x; }
constexpr int64_t kInt8Ops = 2, kF32Ops = 2;
#endif

struct Reading {
  const char* data;
  int64_t size;
};

// Four streams far apart, as the kernels read weights: one alone leaves the memory idle between its pages.
void read_slice(const void* context, int64_t task, Scratch&) {
  const auto& job = *static_cast<const Reading*>(context);
  constexpr int64_t step = sizeof(Bits);
  const char* p = job.data + task * kSlice;
  const int64_t size = job.size - task * kSlice < kSlice ? job.size - task * kSlice : kSlice;
  const int64_t quarter = size / 4 / step * step;
  Bits a{}, b{}, c{}, d{};
  for (int64_t i = 0; i < quarter; i += step) {
    a = read_into(a, p + i);
    b = read_into(b, p + quarter + i);
    c = read_into(c, p + 2 * quarter + i);
    d = read_into(d, p + 3 * quarter + i);
  }
  OSSIA_KEEP_BITS(a);
  OSSIA_KEEP_BITS(b);
  OSSIA_KEEP_BITS(c);
  OSSIA_KEEP_BITS(d);
}

struct Multiplying {
  Peak peak;
  int64_t turns;
};

void multiply(const void* context, int64_t, Scratch&) {
  const auto& job = *static_cast<const Multiplying*>(context);
  if (job.peak == Peak::int8) {
    Bits acc[kChains] = {}, x{};
    for (int64_t t = 0; t < job.turns; t++)
#pragma GCC unroll 16  // accumulators belong in registers
      for (int i = 0; i < kChains; i++) {
        OSSIA_KEEP_BITS(x);
        acc[i] = mul_int8(acc[i], x);
        OSSIA_KEEP_BITS(acc[i]);
      }
    return;
  }
  Floats acc[kChains] = {}, x{};
  for (int64_t t = 0; t < job.turns; t++)
#pragma GCC unroll 16
    for (int i = 0; i < kChains; i++) {
      OSSIA_KEEP_FLOATS(x);
      acc[i] = mul_f32(acc[i], x);
      OSSIA_KEEP_FLOATS(acc[i]);
    }
}

}  // namespace

double probe_read(const void* data, int64_t size, Team& team) {
  const Reading job{static_cast<const char*>(data), size};
  const auto start = std::chrono::steady_clock::now();
  team.parallel((size + kSlice - 1) / kSlice, read_slice, &job);
  return seconds_since(start);
}

// Runs of growing length until one lasts long enough; that one counts.
double probe_peak(Peak peak, double seconds, Team& team) {
  const int64_t tasks = 8 * team.threads(), ops = peak == Peak::int8 ? kInt8Ops : kF32Ops;
  for (int64_t turns = 1 << 14;; turns *= 2) {
    const Multiplying job{peak, turns};
    const auto start = std::chrono::steady_clock::now();
    team.parallel(tasks, multiply, &job);
    const double took = seconds_since(start);
    if (took >= seconds / 2) return static_cast<double>(tasks * turns * kChains * ops) / took;
  }
}

}  // namespace OSSIA_ISA
}  // namespace ossia
#undef OSSIA_KEEP_BITS
#undef OSSIA_KEEP_FLOATS
#endif
