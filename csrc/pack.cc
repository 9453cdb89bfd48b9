// pack_q8: bf16 or f32 weights to int8 in blocks of 32 (pack.h has the contract).
#ifndef OSSIA_ISA
#define OSSIA_FAMILY "../pack.cc"
#include "isa/every_isa.h"
#include "pack.h"

namespace ossia {

bool pack_q8(const PackArgs& a, Isa isa) {
  const ExactFloats exact;
#if defined(__x86_64__)
  if (isa == Isa::avx512) return avx512::pack_q8(a);
  if (isa == Isa::avx2 || isa == Isa::avxvnni) return avx2::pack_q8(a);
#elif defined(__aarch64__)
  if (isa == Isa::neon || isa == Isa::neon_i8mm) return neon::pack_q8(a);
#endif
  (void)isa;
  return scalar::pack_q8(a);
}

}  // namespace ossia
#else

#include "pack.h"

namespace ossia {
namespace OSSIA_ISA {
namespace {

#include "isa/lanes.h"

// False when a value is inf or NaN.
template <class T>
OSSIA_INLINE bool pack_block(const T* from, int8_t* q, float* scale) {
  const V a = load(from), b = load(from + 16), magic = set1(12582912.0f);
  const uint32_t most = top_bits(magnitude_max(magnitude_max(zero(), a), b));
  if (most >= 0x7f800000) return false;
  const float amax = from_bits(most);
  const bool some = amax >= 7.888609052210118e-31f;  // 2^-100
  *scale = some ? amax / 127.0f : 0.0f;
  const V inverse = set1(some ? 127.0f / amax : 0.0f);
  store_i8(q, add(mul(a, inverse), magic));
  store_i8(q + 16, add(mul(b, inverse), magic));
  return true;
}

template <class T>
bool pack(const PackArgs& a) {
  const T* from = static_cast<const T*>(a.from);
  for (int64_t b = 0; b < a.blocks; b++)
    if (!pack_block(from + 32 * b, a.data + 32 * b, a.scales + b)) return false;
  return true;
}

}  // namespace

bool pack_q8(const PackArgs& a) { return a.from_is_bf16 ? pack<uint16_t>(a) : pack<float>(a); }

}  // namespace OSSIA_ISA
}  // namespace ossia
#endif
