// The int8 steps of AVX2, with vpmaddubsw or, where OSSIA_FAST_INT8, vpdpbusd of AVX-VNNI: four rows by two blocks for
// gemv, 8-row panels for gemm (see dots.h, which includes this inside its instruction set's namespace; no include
// guard).

OSSIA_INLINE __m256 power_of_bytes(__m128i e) {
  const __m256i wide = _mm256_cvtepu8_epi32(e);
  const __m256i s = _mm256_max_epu32(_mm256_slli_epi32(wide, 23), _mm256_set1_epi32(0x00400000));
  const __m256i nan = _mm256_cmpeq_epi32(wide, _mm256_set1_epi32(255));
  return _mm256_castsi256_ps(_mm256_blendv_epi8(s, _mm256_set1_epi32(0x7fc00000), nan));
}

OSSIA_INLINE __m256i add_across(__m256i a0, __m256i a1, __m256i a2, __m256i a3) {
  const __m256i t0 = _mm256_add_epi32(_mm256_unpacklo_epi32(a0, a1), _mm256_unpackhi_epi32(a0, a1));
  const __m256i t1 = _mm256_add_epi32(_mm256_unpacklo_epi32(a2, a3), _mm256_unpackhi_epi32(a2, a3));
  return _mm256_add_epi32(_mm256_unpacklo_epi64(t0, t1), _mm256_unpackhi_epi64(t0, t1));
}

// Bytes to 8 sums of 4, for gemv. Plain AVX2 saturates pairs at 16 bits, so |w| takes the place of w + 128: no pair
// exceeds 2 * 128 * 127 then.
#if OSSIA_FAST_INT8
OSSIA_INLINE __m256i dot_mxfp4(__m256i low, __m256i even, __m256i high, __m256i odd) {
  return _mm256_dpbusd_avx_epi32(_mm256_dpbusd_avx_epi32(_mm256_setzero_si256(), low, even), high, odd);
}
OSSIA_INLINE __m256i dot_q8(__m256i w, __m256i x) {
  return _mm256_dpbusd_avx_epi32(_mm256_setzero_si256(), _mm256_xor_si256(w, _mm256_set1_epi8(-128)), x);
}
#else
OSSIA_INLINE __m256i add_pairs(__m256i x) { return _mm256_madd_epi16(x, _mm256_set1_epi16(1)); }
OSSIA_INLINE __m256i dot_mxfp4(__m256i low, __m256i even, __m256i high, __m256i odd) {
  return add_pairs(_mm256_add_epi16(_mm256_maddubs_epi16(low, even), _mm256_maddubs_epi16(high, odd)));
}
OSSIA_INLINE __m256i dot_q8(__m256i w, __m256i x) {
  return add_pairs(_mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w)));
}
#endif

OSSIA_INLINE __m256i load_bytes(const void* p, int64_t bytes) {  // 32, or 16 and zeros
  if (bytes >= 32) return _mm256_loadu_si256(static_cast<const __m256i*>(p));
  return _mm256_zextsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(p)));
}

// acc + dot * scale in the lanes of the blocks present (4 lanes a block).
OSSIA_INLINE __m256 add_blocks(__m256i dot, __m256 scale, int64_t have, __m256 acc) {
  const __m256 sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), scale, acc);
  return have >= 2 ? sum : _mm256_blend_ps(acc, sum, 0x0f);
}

struct Classes {  // lanes 0-3 class 0 (2), lanes 4-7 class 1 (3)
  __m256 low, high;
};
OSSIA_INLINE Classes no_classes() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
OSSIA_INLINE __m128 sum_classes(Classes c) {
  return _mm_add_ps(_mm_add_ps(_mm256_castps256_ps128(c.low), _mm256_extractf128_ps(c.low, 1)),
                    _mm_add_ps(_mm256_castps256_ps128(c.high), _mm256_extractf128_ps(c.high, 1)));
}

// Two blocks (or the last one) of four rows.
OSSIA_INLINE __m256 mxfp4_pair(const uint8_t* const* w, const Spread& x, int64_t b, int64_t have, __m256 ws,
                               __m256 acc) {
  const __m256i table = _mm256_broadcastsi128_si256(mxfp4_table()), m = _mm256_set1_epi8(15);
  const __m256i even = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x.even + 16 * b));
  const __m256i odd = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x.odd + 16 * b));
  __m256i a[4];
  for (int r = 0; r < 4; r++) {
    const __m256i n = load_bytes(w[r] + 16 * b, 16 * have);
    const __m256i lo = _mm256_shuffle_epi8(table, _mm256_and_si256(n, m));
    const __m256i hi = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(n, 4), m));
    a[r] = dot_mxfp4(lo, even, hi, odd);
  }
  const __m256i excess = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x.excess + 4 * b));
  const __m256i dot = _mm256_add_epi32(add_across(a[0], a[1], a[2], a[3]), excess);
  return add_blocks(dot, _mm256_mul_ps(ws, _mm256_loadu_ps(x.scale + 4 * b)), have, acc);
}

OSSIA_INLINE Classes step(const uint8_t* const* w, const uint8_t* const* s, const Spread& x, int64_t b, int64_t have,
                          Classes c) {
  const __m128i e = scale_bytes(s, b, have);
  c.low = mxfp4_pair(w, x, b, have, power_of_bytes(e), c.low);
  if (have > 2) c.high = mxfp4_pair(w, x, b + 2, have - 2, power_of_bytes(_mm_srli_si128(e, 8)), c.high);
  return c;
}

OSSIA_INLINE __m256 q8_pair(const int8_t* const* w, const float* const* s, const Spread& x, int64_t b, int64_t have,
                            __m256 acc) {
  __m256i t[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
  float ws[8] = {0, 0, 0, 0, 0, 0, 0, 0};
  for (int64_t i = 0; i < (have < 2 ? have : 2); i++) {
    const __m256i xb = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x.whole + 32 * (b + i)));
    __m256i a[4];
    for (int r = 0; r < 4; r++) {
      a[r] = dot_q8(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(w[r] + 32 * (b + i))), xb);
      ws[4 * i + r] = s[r][b + i];
    }
    t[i] = add_across(a[0], a[1], a[2], a[3]);
  }
  __m256i dot =
      _mm256_add_epi32(_mm256_permute2x128_si256(t[0], t[1], 0x20), _mm256_permute2x128_si256(t[0], t[1], 0x31));
#if OSSIA_FAST_INT8
  dot = _mm256_add_epi32(dot, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x.excess + 4 * b)));
#endif
  return add_blocks(dot, _mm256_mul_ps(_mm256_loadu_ps(ws), _mm256_loadu_ps(x.scale + 4 * b)), have, acc);
}

OSSIA_INLINE Classes step(const int8_t* const* w, const float* const* s, const Spread& x, int64_t b, int64_t have,
                          Classes c) {
  c.low = q8_pair(w, s, x, b, have, c.low);
  if (have > 2) c.high = q8_pair(w, s, x, b + 2, have - 2, c.high);
  return c;
}

// ---- gemm panel: 8 rows; a block is 8 vectors of 4 elements of every row ----

// kPanels are taken together, so that a broadcast serves both; kGrain elements of x lie together in a tile.
constexpr int kPanel = 8, kPanelCols = 8, kPanels = 2, kGrain = 4;
using PanelSum = __m256;

OSSIA_INLINE void bytes_by_row(const char* const* rows, int64_t at, __m256i* d) {
  __m256i z[4];
  for (int i = 0; i < 4; i++) {
    const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[i] + at));
    const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[4 + i] + at));
    z[i] = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
  }
  const __m256i t0 = _mm256_unpacklo_epi32(z[0], z[1]), t1 = _mm256_unpackhi_epi32(z[0], z[1]);
  const __m256i t2 = _mm256_unpacklo_epi32(z[2], z[3]), t3 = _mm256_unpackhi_epi32(z[2], z[3]);
  d[0] = _mm256_unpacklo_epi64(t0, t2);
  d[1] = _mm256_unpackhi_epi64(t0, t2);
  d[2] = _mm256_unpacklo_epi64(t1, t3);
  d[3] = _mm256_unpackhi_epi64(t1, t3);
}

OSSIA_INLINE void unpack_mxfp4(const char* const* rows, int64_t b, uint8_t* out) {
  const __m256i table = _mm256_broadcastsi128_si256(mxfp4_table()), m = _mm256_set1_epi8(15);
  __m256i d[4], *o = reinterpret_cast<__m256i*>(out);
  bytes_by_row(rows, 16 * b, d);
  for (int v = 0; v < 4; v++) {
    _mm256_store_si256(o + v, _mm256_shuffle_epi8(table, _mm256_and_si256(d[v], m)));
    _mm256_store_si256(o + 4 + v, _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(d[v], 4), m)));
  }
}

OSSIA_INLINE void unpack_q8(const char* const* rows, int64_t b, uint8_t* out) {
  __m256i d[4], *o = reinterpret_cast<__m256i*>(out);
  for (int half = 0; half < 2; half++) {
    bytes_by_row(rows, 32 * b + 16 * half, d);
    for (int v = 0; v < 4; v++)
      _mm256_store_si256(o + 4 * half + v, kQ8Excess ? _mm256_xor_si256(d[v], _mm256_set1_epi8(-128)) : d[v]);
  }
}

OSSIA_INLINE void panel_scales(const uint8_t* const* rows, int64_t b, int64_t have, float* const* out) {
  const __m128i a0 = scale_bytes(rows, b, have), a1 = scale_bytes(rows + 4, b, have);
  const __m128i t0 = _mm_unpacklo_epi32(a0, a1), t1 = _mm_unpackhi_epi32(a0, a1);
  const __m128i d[4] = {t0, _mm_srli_si128(t0, 8), t1, _mm_srli_si128(t1, 8)};
  for (int64_t i = 0; i < have; i++) _mm256_store_ps(out[i], _mm256_mul_ps(power_of_bytes(d[i]), _mm256_set1_ps(0.5f)));
}

OSSIA_INLINE void panel_scales(const float* const* rows, int64_t b, int64_t have, float* const* out) {
  for (int64_t i = 0; i < have; i++)
    for (int r = 0; r < 8; r++) out[i][r] = rows[r][b + i];
}

// How a block's dots are summed, four elements of every row at a time; they begin with a word of the tile.
#if OSSIA_FAST_INT8

template <bool kMxfp4>
OSSIA_INLINE int32_t tile_excess(const int8_t*, int32_t sum) {
  return -(kMxfp4 ? kMxfp4Excess : kQ8Excess) * sum;
}
template <bool kMxfp4>
OSSIA_INLINE __m256i add_words(__m256i dot, __m256i w, __m256i x) {
  return _mm256_dpbusd_avx_epi32(dot, w, x);
}
template <bool kMxfp4>
OSSIA_INLINE __m256i whole_dots(__m256i dot) {
  return dot;
}

#else

// MXFP4: each half of a lane sums a half of the block in 16 bits, modulo 2^16. With the excess of that half taken back
// what is left is at most 16 * 12 * 127, so nothing is lost.
template <bool kMxfp4>
OSSIA_INLINE int32_t tile_excess(const int8_t* q, int32_t) {
  if (!kMxfp4) return 0;
  int32_t half[2] = {0, 0};
  for (int i = 0; i < 32; i++) half[i / 2 % 2] -= kMxfp4Excess * q[i];
  return static_cast<int32_t>(static_cast<uint32_t>(half[1]) << 16 | (static_cast<uint32_t>(half[0]) & 0xffff));
}
template <bool kMxfp4>
OSSIA_INLINE __m256i add_words(__m256i dot, __m256i w, __m256i x) {
  dot = kMxfp4 ? _mm256_add_epi16(dot, _mm256_maddubs_epi16(w, x)) : _mm256_add_epi32(dot, dot_q8(w, x));
  __asm__("" : "+x"(dot));  // left to themselves, compilers gather the products first and spill them
  return dot;
}
template <bool kMxfp4>
OSSIA_INLINE __m256i whole_dots(__m256i dot) {
  return kMxfp4 ? add_pairs(dot) : dot;
}

#endif

// One block of P panels times G rows of a tile of C.
template <int P, int C, int G, bool kMxfp4>
OSSIA_INLINE void panel_block(const uint8_t* w, const float* ws, const int32_t* x, int first, PanelSum (*sums)[C]) {
  __m256i dot[P][G];
#pragma GCC unroll 8
  for (int g = 0; g < G; g++)
    for (int p = 0; p < P; p++) dot[p][g] = _mm256_set1_epi32(x[8 * C + first + g]);
#pragma GCC unroll 8
  for (int i = 0; i < 8; i++) {
    __m256i four[P];
    for (int p = 0; p < P; p++) four[p] = _mm256_load_si256(reinterpret_cast<const __m256i*>(w + p * 256 + 32 * i));
#pragma GCC unroll 8
    for (int g = 0; g < G; g++) {
      const __m256i x4 = _mm256_set1_epi32(x[i * C + first + g]);
      for (int p = 0; p < P; p++) dot[p][g] = add_words<kMxfp4>(dot[p][g], four[p], x4);
    }
  }
#pragma GCC unroll 8
  for (int g = 0; g < G; g++) {
    const __m256 xs = _mm256_set1_ps(from_bits(x[9 * C + first + g]));
    for (int p = 0; p < P; p++)
      sums[p][first + g] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(whole_dots<kMxfp4>(dot[p][g])),
                                           _mm256_mul_ps(xs, _mm256_load_ps(ws + p * 8)), sums[p][first + g]);
  }
}

template <int P, int C, bool kMxfp4, class Ahead>
OSSIA_INLINE void panel_class(const uint8_t* w, const float* ws, const int8_t* tile, int64_t blocks, const Ahead& ahead,
                              PanelSum (*sums)[C]) {
  constexpr int kSide = C > 4 ? (C + 1) / 2 : C;
  const int32_t* x = reinterpret_cast<const int32_t*>(tile);
#pragma GCC unroll 8
  for (int c = 0; c < C; c++)
    for (int p = 0; p < P; p++) sums[p][c] = _mm256_setzero_ps();
  for (int64_t b = 0; b < blocks; b++, w += P * 256, ws += P * 8, x += 10 * C) {
    ahead.ask();
    panel_block<P, C, kSide, kMxfp4>(w, ws, x, 0, sums);
    const uint8_t* again = w;
    __asm__("" : "+r"(again));  // read the weights again: better a load than a spill
    if constexpr (C > kSide) panel_block<P, C, C - kSide, kMxfp4>(again, ws, x, kSide, sums);
  }
}
OSSIA_INLINE PanelSum load_sums(const float* p) { return _mm256_load_ps(p); }
OSSIA_INLINE PanelSum add_sums(PanelSum a, PanelSum b) { return _mm256_add_ps(a, b); }
OSSIA_INLINE void store_sums(float* out, PanelSum a, int64_t rows) {
  if (rows == 8) return _mm256_storeu_ps(out, a);
  float all[8];
  _mm256_storeu_ps(all, a);
  std::memcpy(out, all, rows * sizeof(float));
}
