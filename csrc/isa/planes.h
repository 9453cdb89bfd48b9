// An int8 weight in two planes of nibbles (ops.h has the layout): rows put together again, and products with the high
// plane alone, which take the unread low nibble of every weight for 7.5 and say how far off that may be. Included once
// per instruction set after dots.h (no include guard).

constexpr int64_t kJoinAhead = 2048;

struct Planes {  // of one group of rows
  const uint8_t *high, *low;
  const uint16_t *scale_high, *scale_low;
  int64_t k, rows;
  int64_t blocks() const { return k / 32; }
};

OSSIA_INLINE Planes planes_of(const Mat& w, int64_t group) {
  const int64_t first = group * kPlaneRows, rows = w.n - first < kPlaneRows ? w.n - first : kPlaneRows;
  const uint8_t* data = static_cast<const uint8_t*>(w.data) + first * w.k;
  const uint16_t* scales = reinterpret_cast<const uint16_t*>(static_cast<const float*>(w.scales) + first * (w.k / 32));
  return {data, data + rows * w.k / 2, scales, scales + rows * (w.k / 32), w.k, rows};
}

// Sixteen bytes of either plane as 32 codes.
OSSIA_INLINE void join_block(const uint8_t* high, const uint8_t* low, int8_t* q) {
#if OSSIA_LEVEL == OSSIA_AVX2 || OSSIA_LEVEL == OSSIA_AVX512
  const __m256i h = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(high)));
  const __m256i l = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(low)));
  const __m256i top = _mm256_set1_epi16(static_cast<int16_t>(0xf0f0)), flip = _mm256_set1_epi8(-128);
  const __m256i a = _mm256_and_si256(_mm256_or_si256(_mm256_slli_epi16(h, 4), _mm256_slli_epi16(h, 8)), top);
  const __m256i b = _mm256_andnot_si256(top, _mm256_or_si256(l, _mm256_slli_epi16(l, 4)));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(q), _mm256_xor_si256(_mm256_or_si256(a, b), flip));
#else
  for (int i = 0; i < 16; i++) {
    q[2 * i] = static_cast<int8_t>((((high[i] & 15) << 4) | (low[i] & 15)) ^ 128);
    q[2 * i + 1] = static_cast<int8_t>(((high[i] & 240) | (low[i] >> 4)) ^ 128);
  }
#endif
}

OSSIA_INLINE void ask_for([[maybe_unused]] const void* p) {
#if OSSIA_LEVEL == OSSIA_AVX2 || OSSIA_LEVEL == OSSIA_AVX512
  _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0);
#endif
}

// Row `r` of a group as int8 codes and float32 scales.
OSSIA_INLINE void join_row(const Planes& p, int64_t r, int8_t* q, float* scales) {
  const uint8_t *high = p.high + r * p.k / 2, *low = p.low + r * p.k / 2;
  for (int64_t i = 0; i < p.k / 2; i += 16) {
    if (i % 64 == 0) ask_for(high + i + kJoinAhead), ask_for(low + i + kJoinAhead);
    join_block(high + i, low + i, q + 2 * i);
  }
  const uint16_t *sh = p.scale_high + r * p.blocks(), *sl = p.scale_low + r * p.blocks();
  for (int64_t b = 0; b < p.blocks(); b++) {
    const uint32_t word = static_cast<uint32_t>(sh[b]) << 16 | sl[b];
    std::memcpy(scales + b, &word, 4);
  }
}

// ---- products with the planes as they lie, four rows by four blocks. With u = code + 128 = 16 h + l, a block is
// exactly 16 sum h a + sum l a - 128 sum a. By the high plane alone it is sum (16 h + 7.5 - 128) a, doubled to stay an
// integer: 32 sum h a - 241 sum a; its scale is cut to 16 bits and taken at the middle of what it may be. ----

// An activation row laid out for that; per-block values four times, padded to 4 blocks.
struct Sighted {
  int8_t *even, *odd;
  int32_t* excess;
  float *scale, *energy;
};
OSSIA_INLINE int64_t sighted_bytes(int64_t width) { return (width / 32 + 3) / 4 * 4 * 80; }

OSSIA_INLINE Sighted sighted_at(int64_t blocks, int8_t* memory) {
  const int64_t padded = (blocks + 3) / 4 * 4;
  return {memory, memory + 16 * padded, reinterpret_cast<int32_t*>(memory + 32 * padded),
          reinterpret_cast<float*>(memory + 48 * padded), reinterpret_cast<float*>(memory + 64 * padded)};
}

// For products by the high plane alone, or `exact`ly by both.
static void sight(const Act& x, int64_t t, float gain, bool exact, int8_t* memory) {
  const int64_t blocks = x.width / 32;
  const Sighted s = sighted_at(blocks, memory);
  std::memset(memory, 0, static_cast<size_t>(sighted_bytes(x.width)));
  for (int64_t b = 0; b < blocks; b++) {
    const int64_t at = t * blocks + b;
    std::memcpy(s.even + 16 * b, x.split + 32 * at, 16);
    std::memcpy(s.odd + 16 * b, x.split + 32 * at + 16, 16);
    int32_t squares = 0;
    for (int i = 0; i < 32; i++) squares += x.split[32 * at + i] * x.split[32 * at + i];
    for (int i = 0; i < 4; i++) {
      s.excess[4 * b + i] = (exact ? -128 : -241) * x.sums[at];
      s.scale[4 * b + i] = exact ? x.scales[at] : 0.5f * gain * x.scales[at];
      s.energy[4 * b + i] = kLowNibbleVariance * static_cast<float>(squares) * (x.scales[at] * x.scales[at]);
    }
  }
}

#if OSSIA_LEVEL == OSSIA_AVX2 || OSSIA_LEVEL == OSSIA_AVX512

// Four rows of a group, a quarter of it apart, so that memory is read as four streams; past the end the last row.
struct FourPlanes {
  const uint8_t *high[4], *low[4];
  const uint16_t *scale_high[4], *scale_low[4];
  FourPlanes(const Planes& p, int64_t r, int64_t quarter) {
    for (int i = 0; i < 4; i++) {
      const int64_t at = r + i * quarter < p.rows ? r + i * quarter : p.rows - 1;
      high[i] = p.high + at * 16 * p.blocks();
      low[i] = p.low + at * 16 * p.blocks();
      scale_high[i] = p.scale_high + at * p.blocks();
      scale_low[i] = p.scale_low + at * p.blocks();
    }
  }
  template <bool kExact>
  inline __attribute__((always_inline)) void ask_for_scales(int64_t blocks) const {
    for (int i = 0; i < 4; i++)
      for (int64_t b = 0; b < blocks; b += 32) {
        ask_for(scale_high[i] + 2 * blocks + b);
        if (kExact) ask_for(scale_low[i] + 2 * blocks + b);
      }
  }
  template <bool kExact>
  inline __attribute__((always_inline)) void ask(int64_t b) const {
    for (int i = 0; i < 4; i++) {
      ask_for(high[i] + 16 * b + kAhead);
      if (kExact) ask_for(low[i] + 16 * b + kAhead);
    }
  }
};

// 16 bits of the scales of four blocks (or `have`) of four rows, [block][row]: blocks 0 and 1 in `low`, 2 and 3 in
// `high`.
struct HalfScales16 {
  __m128i low, high;
};
OSSIA_INLINE HalfScales16 half_scales(const uint16_t* const* s, int64_t b, int64_t have) {
  __m128i r[4];
  for (int i = 0; i < 4; i++) {
    if (have >= 4) {
      r[i] = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(s[i] + b));
    } else {
      uint64_t word = 0;
      for (int64_t j = 0; j < have; j++) word |= static_cast<uint64_t>(s[i][b + j]) << (16 * j);
      r[i] = _mm_cvtsi64_si128(static_cast<int64_t>(word));
    }
  }
  const __m128i t0 = _mm_unpacklo_epi16(r[0], r[1]), t1 = _mm_unpacklo_epi16(r[2], r[3]);
  return {_mm_unpacklo_epi32(t0, t1), _mm_unpackhi_epi32(t0, t1)};
}

#endif

#if OSSIA_LEVEL == OSSIA_AVX512

struct Sight {  // the partial sums of four rows, and of the variances of their errors
  __m512 sum, variance;
};
OSSIA_INLINE Sight no_sight() { return {_mm512_setzero_ps(), _mm512_setzero_ps()}; }
// Sums of four lanes of four vectors: lane 4 i + r = sum of the 128 bits i of a[r].
OSSIA_INLINE __m512i add_across(__m512i a0, __m512i a1, __m512i a2, __m512i a3) {
  const __m512i t0 = _mm512_add_epi32(_mm512_unpacklo_epi32(a0, a1), _mm512_unpackhi_epi32(a0, a1));
  const __m512i t1 = _mm512_add_epi32(_mm512_unpacklo_epi32(a2, a3), _mm512_unpackhi_epi32(a2, a3));
  return _mm512_add_epi32(_mm512_unpacklo_epi64(t0, t1), _mm512_unpackhi_epi64(t0, t1));
}
OSSIA_INLINE __m128 four_rows(__m512 a) {  // (p0 + p1) + (p2 + p3) of each
  return _mm_add_ps(_mm_add_ps(_mm512_extractf32x4_ps(a, 0), _mm512_extractf32x4_ps(a, 1)),
                    _mm_add_ps(_mm512_extractf32x4_ps(a, 2), _mm512_extractf32x4_ps(a, 3)));
}
OSSIA_INLINE __m128 four_sums(const Sight& s) { return four_rows(s.sum); }
OSSIA_INLINE __m128 four_variances(const Sight& s) { return four_rows(s.variance); }

OSSIA_INLINE __m512i sixteen(HalfScales16 s) { return _mm512_cvtepu16_epi32(_mm256_set_m128i(s.high, s.low)); }

struct Nibbles {
  __m512i even, odd;
};
OSSIA_INLINE Nibbles nibbles(const uint8_t* p, int64_t have) {
  const __mmask8 valid = have >= 4 ? 0xff : static_cast<__mmask8>((1 << (2 * have)) - 1);
  const __m512i n = have >= 4 ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi64(valid, p), m = _mm512_set1_epi8(15);
  return {_mm512_and_si512(n, m), _mm512_and_si512(_mm512_srli_epi16(n, 4), m)};
}

template <int C, bool kExact>
OSSIA_INLINE void sight_step(const FourPlanes& w, const Sighted* x, int64_t b, int64_t have, Sight* out) {
  const __mmask16 lanes = have >= 4 ? 0xffff : static_cast<__mmask16>((1 << (4 * have)) - 1);
  Nibbles high[4], low[4];
  for (int r = 0; r < 4; r++) {
    high[r] = nibbles(w.high[r] + 16 * b, have);
    if (kExact) low[r] = nibbles(w.low[r] + 16 * b, have);
  }
  const __m512i rest = kExact ? sixteen(half_scales(w.scale_low, b, have)) : _mm512_set1_epi32(0x8000);
  const __m512i top = _mm512_slli_epi32(sixteen(half_scales(w.scale_high, b, have)), 16);
  const __m512 ws = _mm512_castsi512_ps(_mm512_or_si512(top, rest)), square = _mm512_mul_ps(ws, ws);
#pragma GCC unroll 4
  for (int c = 0; c < C; c++) {
    const __m512i even = _mm512_loadu_si512(x[c].even + 16 * b), odd = _mm512_loadu_si512(x[c].odd + 16 * b);
    __m512i a[4];
    for (int r = 0; r < 4; r++) {
      a[r] = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(_mm512_setzero_si512(), high[r].even, even), high[r].odd, odd);
      if (!kExact) continue;
      a[r] = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(_mm512_slli_epi32(a[r], 4), low[r].even, even), low[r].odd, odd);
    }
    const __m512i all = add_across(a[0], a[1], a[2], a[3]);
    const __m512i dot =
        _mm512_add_epi32(kExact ? all : _mm512_slli_epi32(all, 5), _mm512_loadu_si512(x[c].excess + 4 * b));
    const __m512 scale = _mm512_mul_ps(ws, _mm512_loadu_ps(x[c].scale + 4 * b));
    out[c].sum = _mm512_mask3_fmadd_ps(_mm512_cvtepi32_ps(dot), scale, out[c].sum, lanes);
    if (!kExact)
      out[c].variance = _mm512_mask3_fmadd_ps(square, _mm512_loadu_ps(x[c].energy + 4 * b), out[c].variance, lanes);
  }
}

#elif OSSIA_LEVEL == OSSIA_AVX2

struct Sight {
  Classes sum, variance;
};
OSSIA_INLINE Sight no_sight() { return {no_classes(), no_classes()}; }
OSSIA_INLINE __m128 four_sums(const Sight& s) { return sum_classes(s.sum); }
OSSIA_INLINE __m128 four_variances(const Sight& s) { return sum_classes(s.variance); }

OSSIA_INLINE __m256 widen_scales(__m128i high, __m256i rest) {
  return _mm256_castsi256_ps(_mm256_or_si256(_mm256_slli_epi32(_mm256_cvtepu16_epi32(high), 16), rest));
}

struct Nibbles {
  __m256i even, odd;
};
OSSIA_INLINE Nibbles nibbles(const uint8_t* p, int64_t have) {
  const __m256i n = have >= 2 ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))
                              : _mm256_zextsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  const __m256i m = _mm256_set1_epi8(15);
  return {_mm256_and_si256(n, m), _mm256_and_si256(_mm256_srli_epi16(n, 4), m)};
}
OSSIA_INLINE __m256i dot_nibbles(const Nibbles& n, __m256i even,
                                 __m256i odd) {  // four products of 15 * 127 fit 16 bits
  return _mm256_madd_epi16(_mm256_add_epi16(_mm256_maddubs_epi16(n.even, even), _mm256_maddubs_epi16(n.odd, odd)),
                           _mm256_set1_epi16(1));
}

OSSIA_INLINE __m256 in_lanes(__m256 a, __m256 b, __m256 acc, int64_t have) {
  const __m256 sum = _mm256_fmadd_ps(a, b, acc);
  return have >= 2 ? sum : _mm256_blend_ps(acc, sum, 0x0f);
}

template <int C, bool kExact>
OSSIA_INLINE void sight_pair(const FourPlanes& w, __m256 ws, const Sighted* x, int64_t b, int64_t have, bool upper,
                             Sight* out) {
  const __m256 square = _mm256_mul_ps(ws, ws);
  Nibbles high[4], low[4];
  for (int r = 0; r < 4; r++) {
    high[r] = nibbles(w.high[r] + 16 * b, have);
    if (kExact) low[r] = nibbles(w.low[r] + 16 * b, have);
  }
  for (int c = 0; c < C; c++) {
    const __m256i even = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x[c].even + 16 * b));
    const __m256i odd = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x[c].odd + 16 * b));
    __m256i a[4];
    for (int r = 0; r < 4; r++) {
      a[r] = dot_nibbles(high[r], even, odd);
      if (kExact) a[r] = _mm256_add_epi32(_mm256_slli_epi32(a[r], 4), dot_nibbles(low[r], even, odd));
    }
    const __m256i excess = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x[c].excess + 4 * b));
    const __m256i all = add_across(a[0], a[1], a[2], a[3]);
    const __m256i dot = _mm256_add_epi32(kExact ? all : _mm256_slli_epi32(all, 5), excess);
    const __m256 scale = _mm256_mul_ps(ws, _mm256_loadu_ps(x[c].scale + 4 * b));
    __m256& sum = upper ? out[c].sum.high : out[c].sum.low;
    __m256& variance = upper ? out[c].variance.high : out[c].variance.low;
    sum = in_lanes(_mm256_cvtepi32_ps(dot), scale, sum, have);
    if (!kExact) variance = in_lanes(square, _mm256_loadu_ps(x[c].energy + 4 * b), variance, have);
  }
}

template <int C, bool kExact>
OSSIA_INLINE void sight_step(const FourPlanes& w, const Sighted* x, int64_t b, int64_t have, Sight* out) {
  const HalfScales16 top = half_scales(w.scale_high, b, have);
  __m256i rest[2] = {_mm256_set1_epi32(0x8000), _mm256_set1_epi32(0x8000)};
  if (kExact) {
    const HalfScales16 bottom = half_scales(w.scale_low, b, have);
    rest[0] = _mm256_cvtepu16_epi32(bottom.low), rest[1] = _mm256_cvtepu16_epi32(bottom.high);
  }
  sight_pair<C, kExact>(w, widen_scales(top.low, rest[0]), x, b, have, false, out);
  if (have > 2) sight_pair<C, kExact>(w, widen_scales(top.high, rest[1]), x, b + 2, have - 2, true, out);
}

#endif

#if OSSIA_LEVEL == OSSIA_AVX2 || OSSIA_LEVEL == OSSIA_AVX512

constexpr bool kPlanesAsTheyLie = true;

// sum[c * kPlaneRows + r] of C activation rows with a group's rows: `kExact`, or approximately and the variances.
template <int C, bool kExact>
static void sight_rows(const Planes& p, const Sighted* x, float* sum, [[maybe_unused]] float* variance) {
  const int64_t blocks = p.blocks(), full = blocks / 4 * 4, quarter = (p.rows + 3) / 4;
  for (int64_t r = 0; r < quarter; r++) {
    const FourPlanes four(p, r, quarter);
    four.ask_for_scales<kExact>(blocks);
    Sight s[C];
    for (int c = 0; c < C; c++) s[c] = no_sight();
    for (int64_t b = 0; b < full; b += 4) {
      four.ask<kExact>(b);
      sight_step<C, kExact>(four, x, b, 4, s);
    }
    if (full < blocks) sight_step<C, kExact>(four, x, full, blocks - full, s);
    for (int c = 0; c < C; c++) {
      float y[4], v[4];
      _mm_storeu_ps(y, four_sums(s[c]));
      if (!kExact) _mm_storeu_ps(v, four_variances(s[c]));
      for (int64_t i = 0; i < 4 && r + i * quarter < p.rows; i++) {
        sum[c * kPlaneRows + r + i * quarter] = y[i];
        if (!kExact) variance[c * kPlaneRows + r + i * quarter] = v[i];
      }
    }
  }
}

#else

constexpr bool kPlanesAsTheyLie = false;  // exact products join rows first

template <int C, bool kExact>
static void sight_rows(const Planes& p, const Sighted* x, float* sum, float* variance) {
  for (int64_t at = 0; at < C * p.rows; at++) {
    const int64_t c = at / p.rows, r = at % p.rows;
    float s[4] = {0, 0, 0, 0}, v[4] = {0, 0, 0, 0};
    for (int64_t b = 0; b < p.blocks(); b++) {
      const uint8_t* n = p.high + (r * p.blocks() + b) * 16;
      int32_t dot = 0;
      for (int i = 0; i < 16; i++) dot += (n[i] & 15) * x[c].even[16 * b + i] + (n[i] >> 4) * x[c].odd[16 * b + i];
      const float ws = from_bits(static_cast<uint32_t>(p.scale_high[r * p.blocks() + b]) << 16 | 0x8000);
      s[b % 4] = fmaf(static_cast<float>(32 * dot + x[c].excess[4 * b]), ws * x[c].scale[4 * b], s[b % 4]);
      v[b % 4] = fmaf(ws * ws, x[c].energy[4 * b], v[b % 4]);
    }
    sum[c * kPlaneRows + r] = (s[0] + s[1]) + (s[2] + s[3]);
    variance[c * kPlaneRows + r] = (v[0] + v[1]) + (v[2] + v[3]);
  }
}

#endif
