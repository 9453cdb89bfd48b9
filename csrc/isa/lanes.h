// Sixteen float lanes in each instruction set, and what every family builds from them: the fixed reduction tree, exp,
// bf16, quantisation, MXFP4 decoding. Included once per instruction set, inside its namespace (no include guard).
// All of it rounds as IEEE says, so all versions give the same bits.

#if OSSIA_LEVEL == OSSIA_SCALAR

struct V {
  float v[16];
};
#define OSSIA_LANES for (int i = 0; i < 16; i++)
OSSIA_INLINE uint32_t bits(float f) {
  uint32_t u;
  std::memcpy(&u, &f, 4);
  return u;
}
OSSIA_INLINE float from_bits(uint32_t u) {
  float f;
  std::memcpy(&f, &u, 4);
  return f;
}
OSSIA_INLINE V set1(float x) {
  V r;
  OSSIA_LANES r.v[i] = x;
  return r;
}
OSSIA_INLINE V zero() { return set1(0); }
OSSIA_INLINE V load(const float* p) {
  V r;
  OSSIA_LANES r.v[i] = p[i];
  return r;
}
OSSIA_INLINE V load(const uint16_t* p) {  // bf16
  V r;
  OSSIA_LANES r.v[i] = from_bits(static_cast<uint32_t>(p[i]) << 16);
  return r;
}
OSSIA_INLINE V load(const int8_t* p) {
  V r;
  OSSIA_LANES r.v[i] = p[i];
  return r;
}
OSSIA_INLINE void store(float* p, V a) { OSSIA_LANES p[i] = a.v[i]; }
OSSIA_INLINE V add(V a, V b) {
  OSSIA_LANES a.v[i] += b.v[i];
  return a;
}
OSSIA_INLINE V sub(V a, V b) {
  OSSIA_LANES a.v[i] -= b.v[i];
  return a;
}
OSSIA_INLINE V mul(V a, V b) {
  OSSIA_LANES a.v[i] *= b.v[i];
  return a;
}
OSSIA_INLINE V div(V a, V b) {
  OSSIA_LANES a.v[i] /= b.v[i];
  return a;
}
OSSIA_INLINE V fma(V a, V b, V c) {
  OSSIA_LANES c.v[i] = fmaf(a.v[i], b.v[i], c.v[i]);
  return c;
}
OSSIA_INLINE V max(V a, V b) {  // b where either is NaN, as x86 does
  OSSIA_LANES a.v[i] = a.v[i] > b.v[i] ? a.v[i] : b.v[i];
  return a;
}
OSSIA_INLINE V min(V a, V b) {
  OSSIA_LANES a.v[i] = a.v[i] < b.v[i] ? a.v[i] : b.v[i];
  return a;
}
OSSIA_INLINE V where_less(V a, V b, V x, V y) {  // a < b ? x : y
  OSSIA_LANES x.v[i] = a.v[i] < b.v[i] ? x.v[i] : y.v[i];
  return x;
}
OSSIA_INLINE V magnitude_max(V a, V x) {  // max of |bits|: NaN > inf > every number
  OSSIA_LANES {
    const uint32_t u = bits(x.v[i]) & 0x7fffffff;
    if (u > bits(a.v[i])) a.v[i] = from_bits(u);
  }
  return a;
}
// n held in the low bits of 1.5 * 2^23 + n.
OSSIA_INLINE V times_power_of_two(V p, V n) {
  OSSIA_LANES p.v[i] *= from_bits((bits(n.v[i]) - 0x4b400000u + 127u) << 23);
  return p;
}
OSSIA_INLINE void store_i8(int8_t* p, V n) { OSSIA_LANES p[i] = static_cast<int8_t>(bits(n.v[i]) - 0x4b400000u); }
OSSIA_INLINE void store_bf16(uint16_t* p, V a) {
  OSSIA_LANES {
    const uint32_t u = bits(a.v[i]);
    p[i] = (u & 0x7fffffff) > 0x7f800000 ? (u >> 16) | 0x40 : (u + 0x7fff + (u >> 16 & 1)) >> 16;
  }
}
OSSIA_INLINE float tree_sum(V a) {
  for (int w = 8; w; w /= 2)
    for (int i = 0; i < w; i++) a.v[i] += a.v[i + w];
  return a.v[0];
}
OSSIA_INLINE float tree_max(V a) {
  for (int w = 8; w; w /= 2)
    for (int i = 0; i < w; i++) a.v[i] = a.v[i] > a.v[i + w] ? a.v[i] : a.v[i + w];
  return a.v[0];
}

#elif OSSIA_LEVEL == OSSIA_NEON

OSSIA_INLINE uint32_t bits(float f) { return vget_lane_u32(vreinterpret_u32_f32(vdup_n_f32(f)), 0); }
OSSIA_INLINE float from_bits(uint32_t u) { return vget_lane_f32(vreinterpret_f32_u32(vdup_n_u32(u)), 0); }
#include "lanes_neon.h"

#else

OSSIA_INLINE uint32_t bits(float f) {
  return static_cast<uint32_t>(_mm_cvtsi128_si32(_mm_castps_si128(_mm_set_ss(f))));
}
OSSIA_INLINE float from_bits(uint32_t u) {
  return _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(static_cast<int>(u))));
}
OSSIA_INLINE float tree_sum8(__m256 a) {
  __m128 q = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  q = _mm_add_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_add_ss(q, _mm_shuffle_ps(q, q, 1)));
}
OSSIA_INLINE float tree_max8(__m256 a) {
  __m128 q = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  q = _mm_max_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_max_ss(q, _mm_shuffle_ps(q, q, 1)));
}

#endif

#if OSSIA_LEVEL == OSSIA_AVX2

struct V {
  __m256 a, b;
};
OSSIA_INLINE V set1(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
OSSIA_INLINE V zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
OSSIA_INLINE V load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
OSSIA_INLINE __m256 load8_bf16(const uint16_t* p) {
  const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16));
}
OSSIA_INLINE V load(const uint16_t* p) { return {load8_bf16(p), load8_bf16(p + 8)}; }
OSSIA_INLINE __m256 load8_i8(const int8_t* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}
OSSIA_INLINE V load(const int8_t* p) { return {load8_i8(p), load8_i8(p + 8)}; }
OSSIA_INLINE void store(float* p, V x) {
  _mm256_storeu_ps(p, x.a);
  _mm256_storeu_ps(p + 8, x.b);
}
OSSIA_INLINE V add(V x, V y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
OSSIA_INLINE V sub(V x, V y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
OSSIA_INLINE V mul(V x, V y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
OSSIA_INLINE V div(V x, V y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
OSSIA_INLINE V fma(V x, V y, V z) { return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)}; }
OSSIA_INLINE V max(V x, V y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
OSSIA_INLINE V min(V x, V y) { return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
OSSIA_INLINE V where_less(V x, V y, V p, V q) {
  return {_mm256_blendv_ps(q.a, p.a, _mm256_cmp_ps(x.a, y.a, _CMP_LT_OQ)),
          _mm256_blendv_ps(q.b, p.b, _mm256_cmp_ps(x.b, y.b, _CMP_LT_OQ))};
}
OSSIA_INLINE __m256 magnitude_max8(__m256 m, __m256 x) {
  const __m256i u = _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7fffffff));
  return _mm256_castsi256_ps(_mm256_max_epi32(_mm256_castps_si256(m), u));
}
OSSIA_INLINE V magnitude_max(V m, V x) { return {magnitude_max8(m.a, x.a), magnitude_max8(m.b, x.b)}; }
OSSIA_INLINE __m256 power8(__m256 n) {
  const __m256i e = _mm256_sub_epi32(_mm256_castps_si256(n), _mm256_set1_epi32(0x4b400000 - 127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(e, 23));
}
OSSIA_INLINE V times_power_of_two(V p, V n) { return mul(p, V{power8(n.a), power8(n.b)}); }
OSSIA_INLINE __m128i low8_of_8(__m256 n) {
  const __m256i pick = _mm256_set1_epi64x(static_cast<int64_t>(0x808080800c080400));
  const __m256i x = _mm256_shuffle_epi8(_mm256_castps_si256(n), pick);
  return _mm_unpacklo_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
}
OSSIA_INLINE void store_i8(int8_t* p, V n) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_unpacklo_epi64(low8_of_8(n.a), low8_of_8(n.b)));
}
OSSIA_INLINE __m256i to_bf16_8(__m256 x) {  // in the low half of each 32 bits
  const __m256i u = _mm256_castps_si256(x), top = _mm256_srli_epi32(u, 16);
  const __m256i even = _mm256_and_si256(top, _mm256_set1_epi32(1));
  const __m256i up = _mm256_srli_epi32(_mm256_add_epi32(u, _mm256_add_epi32(even, _mm256_set1_epi32(0x7fff))), 16);
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  return _mm256_blendv_epi8(up, _mm256_or_si256(top, _mm256_set1_epi32(0x40)), nan);
}
OSSIA_INLINE void store_bf16(uint16_t* p, V x) {
  const __m256i packed = _mm256_packus_epi32(to_bf16_8(x.a), to_bf16_8(x.b));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(packed, 0xd8));
}
OSSIA_INLINE float tree_sum(V x) { return tree_sum8(_mm256_add_ps(x.a, x.b)); }
OSSIA_INLINE float tree_max(V x) { return tree_max8(_mm256_max_ps(x.a, x.b)); }

#elif OSSIA_LEVEL == OSSIA_AVX512

struct V {
  __m512 a;
};
OSSIA_INLINE V set1(float x) { return {_mm512_set1_ps(x)}; }
OSSIA_INLINE V zero() { return {_mm512_setzero_ps()}; }
OSSIA_INLINE V load(const float* p) { return {_mm512_loadu_ps(p)}; }
OSSIA_INLINE V load(const uint16_t* p) {
  const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16))};
}
OSSIA_INLINE V load(const int8_t* p) {
  return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))))};
}
OSSIA_INLINE void store(float* p, V x) { _mm512_storeu_ps(p, x.a); }
OSSIA_INLINE V add(V x, V y) { return {_mm512_add_ps(x.a, y.a)}; }
OSSIA_INLINE V sub(V x, V y) { return {_mm512_sub_ps(x.a, y.a)}; }
OSSIA_INLINE V mul(V x, V y) { return {_mm512_mul_ps(x.a, y.a)}; }
OSSIA_INLINE V div(V x, V y) { return {_mm512_div_ps(x.a, y.a)}; }
OSSIA_INLINE V fma(V x, V y, V z) { return {_mm512_fmadd_ps(x.a, y.a, z.a)}; }
OSSIA_INLINE V max(V x, V y) { return {_mm512_max_ps(x.a, y.a)}; }
OSSIA_INLINE V min(V x, V y) { return {_mm512_min_ps(x.a, y.a)}; }
OSSIA_INLINE V where_less(V x, V y, V p, V q) {
  return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(x.a, y.a, _CMP_LT_OQ), q.a, p.a)};
}
OSSIA_INLINE V magnitude_max(V m, V x) {
  const __m512i u = _mm512_and_si512(_mm512_castps_si512(x.a), _mm512_set1_epi32(0x7fffffff));
  return {_mm512_castsi512_ps(_mm512_max_epi32(_mm512_castps_si512(m.a), u))};
}
OSSIA_INLINE V times_power_of_two(V p, V n) {
  const __m512i e = _mm512_sub_epi32(_mm512_castps_si512(n.a), _mm512_set1_epi32(0x4b400000 - 127));
  return {_mm512_mul_ps(p.a, _mm512_castsi512_ps(_mm512_slli_epi32(e, 23)))};
}
OSSIA_INLINE void store_i8(int8_t* p, V n) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(_mm512_castps_si512(n.a)));
}
OSSIA_INLINE void store_bf16(uint16_t* p, V x) {
  const __m512i u = _mm512_castps_si512(x.a), top = _mm512_srli_epi32(u, 16);
  const __m512i even = _mm512_and_si512(top, _mm512_set1_epi32(1));
  const __m512i up = _mm512_srli_epi32(_mm512_add_epi32(u, _mm512_add_epi32(even, _mm512_set1_epi32(0x7fff))), 16);
  const __mmask16 nan = _mm512_cmp_ps_mask(x.a, x.a, _CMP_UNORD_Q);
  const __m512i r = _mm512_mask_or_epi32(up, nan, top, _mm512_set1_epi32(0x40));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(r));
}
OSSIA_INLINE float tree_sum(V x) {
  return tree_sum8(_mm256_add_ps(_mm512_castps512_ps256(x.a), _mm512_extractf32x8_ps(x.a, 1)));
}
OSSIA_INLINE float tree_max(V x) {
  return tree_max8(_mm256_max_ps(_mm512_castps512_ps256(x.a), _mm512_extractf32x8_ps(x.a, 1)));
}

#endif

// exp to about 1.5 ulp. n = rne(x / ln 2) by the 1.5 * 2^23 trick; ln 2 in two parts; Taylor to degree 7 on |r| <=
// ln2/2.
OSSIA_INLINE V exp(V x) {
  const V top = set1(88.3762626647949f), bottom = set1(-87.3365447504019f), magic = set1(12582912.0f);
  const V c = max(bottom, min(top, x));  // keeps NaN
  const V n = fma(c, set1(1.44269504088896341f), magic);
  const V whole = sub(n, magic);
  V r = fma(whole, set1(-0.693359375f), c);
  r = fma(whole, set1(2.12194440e-4f), r);
  V p = set1(1.98412698412698e-4f);
  p = fma(p, r, set1(1.38888888888889e-3f));
  p = fma(p, r, set1(8.33333333333333e-3f));
  p = fma(p, r, set1(4.16666666666667e-2f));
  p = fma(p, r, set1(1.66666666666667e-1f));
  p = fma(p, r, set1(0.5f));
  p = fma(p, r, set1(1.0f));
  p = fma(p, r, set1(1.0f));
  return where_less(x, bottom, zero(), times_power_of_two(p, n));
}

OSSIA_INLINE float exp1(float x) {
  float out[16];
  store(out, exp(set1(x)));
  return out[0];
}

OSSIA_INLINE V sigmoid(V x) { return div(set1(1), add(set1(1), exp(sub(zero(), x)))); }

// Scale byte e of an MXFP4 block as 2^(e-127) / 2, what the integer table 2 * value wants; 255 is NaN (OCP MX 1.0).
struct HalfScales {
  uint32_t bits[256];
  constexpr HalfScales() : bits{0x00200000, 0x00400000} {
    for (uint32_t e = 2; e < 255; e++) bits[e] = (e - 1) << 23;
    bits[255] = 0x7fc00000;
  }
};
static constexpr HalfScales kHalfScales;
OSSIA_INLINE float mxfp4_half_scale(uint8_t e) { return from_bits(kHalfScales.bits[e]); }

// The first 8 bytes of an MXFP4 block, or its last, as 16 floats: exactly value * scale, from a table times the scale.
#if OSSIA_LEVEL == OSSIA_SCALAR
struct Mxfp4Table {
  float v[16];
};
OSSIA_INLINE Mxfp4Table scaled_table(float half_scale) {
  Mxfp4Table t = {{0, 1, 2, 3, 4, 6, 8, 12, -0.0f, -1, -2, -3, -4, -6, -8, -12}};
  OSSIA_LANES t.v[i] *= half_scale;
  return t;
}
OSSIA_INLINE V decode16(const uint8_t* nibbles, const Mxfp4Table& table) {
  V r;
  OSSIA_LANES r.v[i] = table.v[i % 2 ? nibbles[i / 2] >> 4 : nibbles[i / 2] & 15];
  return r;
}
#elif OSSIA_LEVEL == OSSIA_AVX512
using Mxfp4Table = __m512;
OSSIA_INLINE Mxfp4Table scaled_table(float half_scale) {
  const __m512 values = _mm512_setr_ps(0, 1, 2, 3, 4, 6, 8, 12, -0.0f, -1, -2, -3, -4, -6, -8, -12);
  return _mm512_mul_ps(values, _mm512_set1_ps(half_scale));
}
OSSIA_INLINE V decode16(const uint8_t* nibbles, Mxfp4Table table) {  // the permute reads four bits of each lane
  const __m512i n = _mm512_cvtepu8_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(nibbles)));
  return {_mm512_permutexvar_ps(_mm512_or_si512(n, _mm512_slli_epi64(n, 28)), table)};
}
#elif OSSIA_LEVEL == OSSIA_AVX2
using Mxfp4Table = __m256;
OSSIA_INLINE Mxfp4Table scaled_table(float half_scale) {
  return _mm256_mul_ps(_mm256_setr_ps(0, 1, 2, 3, 4, 6, 8, 12), _mm256_set1_ps(half_scale));
}
OSSIA_INLINE __m256 decode8(__m128i nibbles, __m256 table) {  // the permute reads three bits; the fourth is the sign
  __m256i n = _mm256_cvtepu8_epi64(nibbles);
  n = _mm256_or_si256(n, _mm256_slli_epi64(n, 28));
  const __m256i sign = _mm256_and_si256(_mm256_slli_epi32(n, 28), _mm256_set1_epi32(INT32_MIN));
  return _mm256_xor_ps(_mm256_permutevar8x32_ps(table, n), _mm256_castsi256_ps(sign));
}
OSSIA_INLINE V decode16(const uint8_t* nibbles, Mxfp4Table table) {
  const __m128i n = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(nibbles));
  return {decode8(n, table), decode8(_mm_srli_si128(n, 4), table)};
}
#endif

// The largest lane as bits, and a block's companions: its even and odd elements apart, and its sum.
#if OSSIA_LEVEL == OSSIA_SCALAR
OSSIA_INLINE uint32_t top_bits(V a) {
  uint32_t most = 0;
  OSSIA_LANES most = bits(a.v[i]) > most ? bits(a.v[i]) : most;
  return most;
}
OSSIA_INLINE void part_block(const int8_t* q, int8_t* split, int32_t* sum) {
  *sum = 0;
  for (int i = 0; i < 16; i++) {
    split[i] = q[2 * i];
    split[16 + i] = q[2 * i + 1];
    *sum += q[2 * i] + q[2 * i + 1];
  }
}
#elif OSSIA_LEVEL != OSSIA_NEON
OSSIA_INLINE __m128i top4(__m256 a) {
  return _mm_max_epi32(_mm256_castsi256_si128(_mm256_castps_si256(a)),
                       _mm256_extracti128_si256(_mm256_castps_si256(a), 1));
}
OSSIA_INLINE uint32_t top_bits(V x) {
#if OSSIA_LEVEL == OSSIA_AVX512
  __m128i m = _mm_max_epi32(top4(_mm512_castps512_ps256(x.a)), top4(_mm512_extractf32x8_ps(x.a, 1)));
#else
  __m128i m = _mm_max_epi32(top4(x.a), top4(x.b));
#endif
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
  return static_cast<uint32_t>(_mm_cvtsi128_si32(_mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1))));
}
OSSIA_INLINE void part_block(const int8_t* q, int8_t* split, int32_t* sum) {
  const __m128i pick = _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
  const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(q)),
                b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(q + 16));
  const __m128i pa = _mm_shuffle_epi8(a, pick), pb = _mm_shuffle_epi8(b, pick);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(split), _mm_unpacklo_epi64(pa, pb));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(split + 16), _mm_unpackhi_epi64(pa, pb));
  const __m128i ones = _mm_set1_epi8(1);
  const __m128i pairs = _mm_add_epi16(_mm_maddubs_epi16(ones, a), _mm_maddubs_epi16(ones, b));
  __m128i s = _mm_madd_epi16(pairs, _mm_set1_epi16(1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
  *sum = _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}
#endif

// One block of 32 as int8, with the companions MXFP4 kernels use.
OSSIA_INLINE void quantize_block(const float* x, int8_t* q, float* scale, int8_t* split, int32_t* sum) {
  const V a = load(x), b = load(x + 16), magic = set1(12582912.0f);
  const uint32_t most = top_bits(magnitude_max(magnitude_max(zero(), a), b));
  const float amax = from_bits(most);
  float inverse = 0;
  if (most >= 0x7f800000) {
    *scale = from_bits(0x7fc00000);
  } else if (amax < 7.888609052210118e-31f) {  // 2^-100
    *scale = 0;
  } else {
    *scale = amax / 127.0f;
    inverse = 127.0f / amax;
  }
  if (inverse == 0) {
    std::memset(q, 0, 32);
  } else {
    store_i8(q, add(mul(a, set1(inverse)), magic));
    store_i8(q + 16, add(mul(b, set1(inverse)), magic));
  }
  part_block(q, split, sum);
}

// Writes n (a multiple of 32) values into columns [col, col + n) of a row of an activation.
OSSIA_INLINE void store_activation(const Act& out, int64_t row, int64_t col, const float* x, int64_t n) {
  const int64_t at = row * out.width + col;
  if (out.numerics == Numerics::q8) {
    for (int64_t i = 0; i < n; i += 32) {
      const int64_t block = (at + i) / 32;
      quantize_block(x + i, static_cast<int8_t*>(out.data) + at + i, out.scales + block, out.split + at + i,
                     out.sums + block);
    }
  } else if (out.numerics == Numerics::bf16) {
    for (int64_t i = 0; i < n; i += 16) store_bf16(static_cast<uint16_t*>(out.data) + at + i, load(x + i));
  } else {
    std::memcpy(static_cast<float*>(out.data) + at, x, n * sizeof(float));
  }
}
