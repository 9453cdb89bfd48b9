// The one primitive under linear and moe: dots of `rows` weight rows with `count` activation rows, in the orders ops.h
// fixes. Included once per instruction set after lanes.h (no include guard). Scratch slots 4 to 7 are used here.

// Activation rows to multiply: row i is index[i], or first + i without an index.
struct Picked {
  const Act& act;
  const int32_t* index;
  int64_t first, count;
  int64_t row(int64_t i) const { return index ? index[i] : first + i; }
};

// Rows [first, first + rows) of one weight; block b of row r sits at (r * blocks + b).
struct Slab {
  Kind kind;
  const void* data;
  const void* scales;
  int64_t k, rows;
  int64_t blocks() const { return k / 32; }
};

OSSIA_INLINE Slab slab(const Mat& w, int64_t expert, int64_t first, int64_t rows) {
  const int64_t at = expert * w.n + first, blocks = w.k / 32;
  const char* data = static_cast<const char*>(w.data);
  const char* scales = static_cast<const char*>(w.scales);
  switch (w.kind) {
    case Kind::mxfp4: return {w.kind, data + at * blocks * 16, scales + at * blocks, w.k, rows};
    case Kind::q8: return {w.kind, data + at * w.k, scales + at * blocks * 4, w.k, rows};
    case Kind::bf16: return {w.kind, data + at * w.k * 2, nullptr, w.k, rows};
    default: return {w.kind, data + at * w.k * 4, nullptr, w.k, rows};
  }
}

#if OSSIA_LEVEL == OSSIA_SCALAR

// ---- q8, plain: what the other instruction sets are compared with ----

OSSIA_INLINE float q8_dot(const Slab& w, int64_t row, const Act& x, int64_t t) {
  static const int8_t table[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
  const int8_t* q = static_cast<const int8_t*>(x.data) + t * w.k;
  const float* xs = x.scales + t * w.blocks();
  float p[4] = {0, 0, 0, 0};
  for (int64_t b = 0; b < w.blocks(); b++) {
    const int64_t at = row * w.blocks() + b;
    int32_t dot = 0;
    float ws;
    if (w.kind == Kind::mxfp4) {
      const uint8_t* n = static_cast<const uint8_t*>(w.data) + at * 16;
      for (int i = 0; i < 16; i++) dot += table[n[i] & 15] * q[32 * b + 2 * i] + table[n[i] >> 4] * q[32 * b + 2 * i + 1];
      ws = mxfp4_half_scale(static_cast<const uint8_t*>(w.scales)[at]);
    } else {
      const int8_t* v = static_cast<const int8_t*>(w.data) + at * 32;
      for (int i = 0; i < 32; i++) dot += v[i] * q[32 * b + i];
      ws = static_cast<const float*>(w.scales)[at];
    }
    p[b % 4] = fmaf(static_cast<float>(dot), ws * xs[b], p[b % 4]);
  }
  return (p[0] + p[1]) + (p[2] + p[3]);
}

static void q8_plain(const Slab& w, const Picked& x, float* out, int64_t stride) {
  for (int64_t i = 0; i < x.count; i++)
    for (int64_t r = 0; r < w.rows; r++) out[i * stride + r] = q8_dot(w, r, x.act, x.row(i));
}

#endif

#if OSSIA_LEVEL != OSSIA_SCALAR

// ---- q8, fast: up to four rows (gemv) read the weights as they lie, 4 weight rows by 4 blocks; more (gemm) share a panel
// of kPanel weight rows, unpacked once, rows in lanes. vpdpbusd and vpmaddubsw want one side unsigned: MXFP4 values come
// as 2v + 12 from the table, int8 weights as w + 128 (AVX-512); the excess times the sum of x is taken back per block.

constexpr int kMxfp4Excess = 12, kQ8Excess = OSSIA_LEVEL == OSSIA_AVX512 ? 128 : 0;

OSSIA_INLINE __m128i mxfp4_table() { return _mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0); }

// An activation row laid out for gemv: each per-block value four times (once per weight row), padded to 4 blocks.
struct Spread {
  int8_t *even, *odd;  // mxfp4: elements of each block apart, 16 + 16
  const int8_t* whole;  // q8: as they are
  int32_t* excess;
  float* scale;
};

static Spread spread(const Act& x, int64_t t, bool mxfp4, int8_t* memory) {
  const int64_t blocks = x.width / 32, padded = (blocks + 3) / 4 * 4;
  Spread s{memory, memory + padded * 16, static_cast<const int8_t*>(x.data) + t * x.width,
           reinterpret_cast<int32_t*>(memory + padded * 32), reinterpret_cast<float*>(memory + padded * 48)};
  const int8_t* split = x.split + t * x.width;
  const int32_t* sums = x.sums + t * blocks;
  const float* scales = x.scales + t * blocks;
  const int32_t times = mxfp4 ? -kMxfp4Excess : -kQ8Excess;
  const float part = mxfp4 ? 0.5f : 1.0f;  // MXFP4's table holds doubles of the values
  for (int64_t b = 0; b < blocks; b++) {
    if (mxfp4) {
      _mm_store_si128(reinterpret_cast<__m128i*>(s.even + 16 * b), _mm_loadu_si128(reinterpret_cast<const __m128i*>(split + 32 * b)));
      _mm_store_si128(reinterpret_cast<__m128i*>(s.odd + 16 * b), _mm_loadu_si128(reinterpret_cast<const __m128i*>(split + 32 * b + 16)));
    }
    _mm_store_si128(reinterpret_cast<__m128i*>(s.excess + 4 * b), _mm_set1_epi32(times * sums[b]));
    _mm_store_ps(s.scale + 4 * b, _mm_set1_ps(part * scales[b]));
  }
  for (int64_t b = blocks; b < padded; b++) {
    _mm_store_si128(reinterpret_cast<__m128i*>(s.even + 16 * b), _mm_setzero_si128());
    _mm_store_si128(reinterpret_cast<__m128i*>(s.odd + 16 * b), _mm_setzero_si128());
    _mm_store_si128(reinterpret_cast<__m128i*>(s.excess + 4 * b), _mm_setzero_si128());
    _mm_store_ps(s.scale + 4 * b, _mm_setzero_ps());
  }
  return s;
}

// An activation row as the panels take it.
struct BlockFacts {
  int32_t excess;
  float scale;
};
struct PanelRow {
  const int32_t* q;
  const BlockFacts* facts;
};

// Four scale bytes of each of four rows, as 16 bytes [block][row]; `have` bytes are left in the row.
OSSIA_INLINE __m128i scale_bytes(const uint8_t* const* rows, int64_t at, int64_t have) {
  int32_t word[4] = {0, 0, 0, 0};
  for (int r = 0; r < 4; r++) {
    if (have >= 4) std::memcpy(&word[r], rows[r] + at, 4);
    else for (int64_t i = 0; i < have; i++) word[r] |= rows[r][at + i] << (8 * i);
  }
  return _mm_shuffle_epi8(_mm_setr_epi32(word[0], word[1], word[2], word[3]),
                          _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
}

#endif

#if OSSIA_LEVEL == OSSIA_AVX512

OSSIA_INLINE __m512 power_of_bytes(__m128i e) {  // 2^(e-127); 255 is NaN
  const __m512i wide = _mm512_cvtepu8_epi32(e);
  const __m512i s = _mm512_max_epu32(_mm512_slli_epi32(wide, 23), _mm512_set1_epi32(0x00400000));
  const __mmask16 nan = _mm512_cmpeq_epi32_mask(wide, _mm512_set1_epi32(255));
  return _mm512_castsi512_ps(_mm512_mask_mov_epi32(s, nan, _mm512_set1_epi32(0x7fc00000)));
}

// Sums of four lanes of four vectors: lane 4 i + r = sum of the 128 bits i of a[r].
OSSIA_INLINE __m512i add_across(__m512i a0, __m512i a1, __m512i a2, __m512i a3) {
  const __m512i t0 = _mm512_add_epi32(_mm512_unpacklo_epi32(a0, a1), _mm512_unpackhi_epi32(a0, a1));
  const __m512i t1 = _mm512_add_epi32(_mm512_unpacklo_epi32(a2, a3), _mm512_unpackhi_epi32(a2, a3));
  return _mm512_add_epi32(_mm512_unpacklo_epi64(t0, t1), _mm512_unpackhi_epi64(t0, t1));
}

// Four blocks (or the last `have`) of four MXFP4 rows: acc lane 4 * class + row.
OSSIA_INLINE __m512 mxfp4_step(const uint8_t* const* w, const uint8_t* const* s, const Spread& x, int64_t b, int64_t have,
                               __m512 acc) {
  const __m512i table = _mm512_broadcast_i32x4(mxfp4_table()), m = _mm512_set1_epi8(15), none = _mm512_setzero_si512();
  const __m512i even = _mm512_loadu_si512(x.even + 16 * b), odd = _mm512_loadu_si512(x.odd + 16 * b);
  const __mmask8 valid = have >= 4 ? 0xff : static_cast<__mmask8>((1 << (2 * have)) - 1);
  __m512i a[4];
  for (int r = 0; r < 4; r++) {
    const uint8_t* p = w[r] + 16 * b;
    const __m512i n = have >= 4 ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi64(valid, p);
    a[r] = _mm512_dpbusd_epi32(none, _mm512_shuffle_epi8(table, _mm512_and_si512(n, m)), even);
    a[r] = _mm512_dpbusd_epi32(a[r], _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi16(n, 4), m)), odd);
  }
  const __m512i dot = _mm512_add_epi32(add_across(a[0], a[1], a[2], a[3]), _mm512_load_si512(x.excess + 4 * b));
  const __m512 scale = _mm512_mul_ps(power_of_bytes(scale_bytes(s, b, have)), _mm512_load_ps(x.scale + 4 * b));
  const __mmask16 lanes = have >= 4 ? 0xffff : static_cast<__mmask16>((1 << (4 * have)) - 1);
  return _mm512_mask3_fmadd_ps(_mm512_cvtepi32_ps(dot), scale, acc, lanes);
}

OSSIA_INLINE __m512 q8_step(const int8_t* const* w, const float* const* s, const Spread& x, int64_t b, int64_t have,
                            __m512 acc) {
  const __m512i flip = _mm512_set1_epi8(-128), none = _mm512_setzero_si512();
  const auto part = [have](int first) {  // 64-bit words present of the two blocks from `first`
    const int64_t n = have - first;
    return static_cast<__mmask8>(n >= 2 ? 0xff : n == 1 ? 0x0f : 0);
  };
  const __mmask8 m0 = part(0), m1 = part(2);
  const __m512i x0 = _mm512_maskz_loadu_epi64(m0, x.whole + 32 * b), x1 = _mm512_maskz_loadu_epi64(m1, x.whole + 32 * b + 64);
  __m512i a0[4], a1[4];
  for (int r = 0; r < 4; r++) {
    const int8_t* p = w[r] + 32 * b;
    a0[r] = _mm512_dpbusd_epi32(none, _mm512_xor_si512(_mm512_maskz_loadu_epi64(m0, p), flip), x0);
    a1[r] = _mm512_dpbusd_epi32(none, _mm512_xor_si512(_mm512_maskz_loadu_epi64(m1, p + 64), flip), x1);
  }
  const __m512i t0 = add_across(a0[0], a0[1], a0[2], a0[3]), t1 = add_across(a1[0], a1[1], a1[2], a1[3]);
  const __m512i both = _mm512_add_epi32(_mm512_shuffle_i64x2(t0, t1, 0x88), _mm512_shuffle_i64x2(t0, t1, 0xdd));
  const __m512i dot = _mm512_add_epi32(both, _mm512_load_si512(x.excess + 4 * b));
  const __mmask8 here = have >= 4 ? 0x0f : static_cast<__mmask8>((1 << have) - 1);
  __m128 s0 = _mm_maskz_loadu_ps(here, s[0] + b), s1 = _mm_maskz_loadu_ps(here, s[1] + b);
  __m128 s2 = _mm_maskz_loadu_ps(here, s[2] + b), s3 = _mm_maskz_loadu_ps(here, s[3] + b);
  _MM_TRANSPOSE4_PS(s0, s1, s2, s3);
  __m512 ws = _mm512_insertf32x4(_mm512_castps128_ps512(s0), s1, 1);
  ws = _mm512_insertf32x4(_mm512_insertf32x4(ws, s2, 2), s3, 3);
  const __mmask16 lanes = have >= 4 ? 0xffff : static_cast<__mmask16>((1 << (4 * have)) - 1);
  return _mm512_mask3_fmadd_ps(_mm512_cvtepi32_ps(dot), _mm512_mul_ps(ws, _mm512_load_ps(x.scale + 4 * b)), acc, lanes);
}

struct Classes {  // the four partial sums of four rows
  __m512 a;
};
OSSIA_INLINE Classes no_classes() { return {_mm512_setzero_ps()}; }
OSSIA_INLINE __m128 sum_classes(Classes c) {
  return _mm_add_ps(_mm_add_ps(_mm512_extractf32x4_ps(c.a, 0), _mm512_extractf32x4_ps(c.a, 1)),
                    _mm_add_ps(_mm512_extractf32x4_ps(c.a, 2), _mm512_extractf32x4_ps(c.a, 3)));
}
OSSIA_INLINE Classes step(const uint8_t* const* w, const uint8_t* const* s, const Spread& x, int64_t b, int64_t have,
                          Classes c) {
  return {mxfp4_step(w, s, x, b, have, c.a)};
}
OSSIA_INLINE Classes step(const int8_t* const* w, const float* const* s, const Spread& x, int64_t b, int64_t have,
                          Classes c) {
  return {q8_step(w, s, x, b, have, c.a)};
}

// ---- gemm panel: 16 rows; a block is 8 vectors of 4 elements of every row ----

constexpr int kPanel = 16, kPanelCols = 12;
constexpr int kTogether = 2;  // activation rows whose sums run side by side, to hide the latency of vpdpbusd
using PanelSum = __m512;

// 16 bytes of each row to 4 vectors: 32 bits of row r in lane r.
OSSIA_INLINE void bytes_by_row(const char* const* rows, int64_t at, __m512i* d) {
  __m512i z[4];
  for (int i = 0; i < 4; i++) {
    const auto piece = [&](int lane) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[4 * lane + i] + at)); };
    z[i] = _mm512_broadcast_i32x4(piece(0));
    z[i] = _mm512_mask_broadcast_i32x4(z[i], 0x00f0, piece(1));
    z[i] = _mm512_mask_broadcast_i32x4(z[i], 0x0f00, piece(2));
    z[i] = _mm512_mask_broadcast_i32x4(z[i], 0xf000, piece(3));
  }
  const __m512i t0 = _mm512_unpacklo_epi32(z[0], z[1]), t1 = _mm512_unpackhi_epi32(z[0], z[1]);
  const __m512i t2 = _mm512_unpacklo_epi32(z[2], z[3]), t3 = _mm512_unpackhi_epi32(z[2], z[3]);
  d[0] = _mm512_unpacklo_epi64(t0, t2);
  d[1] = _mm512_unpackhi_epi64(t0, t2);
  d[2] = _mm512_unpacklo_epi64(t1, t3);
  d[3] = _mm512_unpackhi_epi64(t1, t3);
}

OSSIA_INLINE void unpack_mxfp4(const char* const* rows, int64_t b, uint8_t* out) {
  const __m512i table = _mm512_broadcast_i32x4(mxfp4_table()), m = _mm512_set1_epi8(15);
  __m512i d[4];
  bytes_by_row(rows, 16 * b, d);
  for (int v = 0; v < 4; v++) {
    _mm512_store_si512(out + 64 * v, _mm512_shuffle_epi8(table, _mm512_and_si512(d[v], m)));
    _mm512_store_si512(out + 64 * (4 + v), _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi16(d[v], 4), m)));
  }
}

OSSIA_INLINE void unpack_q8(const char* const* rows, int64_t b, uint8_t* out) {
  const __m512i flip = _mm512_set1_epi8(-128);
  __m512i d[4];
  for (int half = 0; half < 2; half++) {
    bytes_by_row(rows, 32 * b + 16 * half, d);
    for (int v = 0; v < 4; v++) _mm512_store_si512(out + 64 * (4 * half + v), _mm512_xor_si512(d[v], flip));
  }
}

// Scales of 16 rows and `have` blocks from b, to out[i] for block b + i.
OSSIA_INLINE void panel_scales(const uint8_t* const* rows, int64_t b, int64_t have, float* const* out) {
  const __m128i a0 = scale_bytes(rows, b, have), a1 = scale_bytes(rows + 4, b, have);
  const __m128i a2 = scale_bytes(rows + 8, b, have), a3 = scale_bytes(rows + 12, b, have);
  const __m128i t0 = _mm_unpacklo_epi32(a0, a1), t1 = _mm_unpackhi_epi32(a0, a1);
  const __m128i t2 = _mm_unpacklo_epi32(a2, a3), t3 = _mm_unpackhi_epi32(a2, a3);
  const __m128i d[4] = {_mm_unpacklo_epi64(t0, t2), _mm_unpackhi_epi64(t0, t2), _mm_unpacklo_epi64(t1, t3),
                        _mm_unpackhi_epi64(t1, t3)};
  for (int64_t i = 0; i < have; i++) _mm512_store_ps(out[i], _mm512_mul_ps(power_of_bytes(d[i]), _mm512_set1_ps(0.5f)));
}

OSSIA_INLINE void panel_scales(const float* const* rows, int64_t b, int64_t have, float* const* out) {
  if (have == 4) {
    __m512i d[4];
    bytes_by_row(reinterpret_cast<const char* const*>(rows), 4 * b, d);
    for (int i = 0; i < 4; i++) _mm512_store_si512(out[i], d[i]);
  } else {
    for (int64_t i = 0; i < have; i++)
      for (int r = 0; r < 16; r++) out[i][r] = rows[r][b + i];
  }
}

// The blocks of one class of P interleaved panels times C rows; sums[p][c] are 16 partial sums.
template <int P, int C, bool kMxfp4>
OSSIA_INLINE void panel_class(const uint8_t* w, const float* ws, const PanelRow* x, int64_t cls, int64_t blocks,
                              PanelSum (*out)[C]) {
  const int32_t* q[C];
  const BlockFacts* facts[C];
  PanelSum sums[P][C];
  for (int c = 0; c < C; c++) {
    q[c] = x[c].q;
    facts[c] = x[c].facts;
    for (int p = 0; p < P; p++) sums[p][c] = _mm512_setzero_ps();
  }
  for (int64_t b = cls; b < blocks; b += 4, w += P * 512, ws += P * 16) {
#pragma GCC unroll 8
    for (int first = 0; first < C; first += kTogether) {
      const uint8_t* v = w;
      __asm__("" : "+r"(v));  // read the weights again: better a load than a spill
      __m512i dot[P][kTogether];
#pragma GCC unroll 8
      for (int g = 0; g < kTogether && first + g < C; g++)
        for (int p = 0; p < P; p++) dot[p][g] = _mm512_set1_epi32(facts[first + g][b].excess);
#pragma GCC unroll 8
      for (int i = 0; i < 8; i++) {
        __m512i four[P];
        for (int p = 0; p < P; p++) four[p] = _mm512_load_si512(v + p * 512 + 64 * i);
#pragma GCC unroll 8
        for (int g = 0; g < kTogether && first + g < C; g++) {
          const __m512i x4 = _mm512_set1_epi32(q[first + g][8 * b + i]);
          for (int p = 0; p < P; p++) dot[p][g] = _mm512_dpbusd_epi32(dot[p][g], four[p], x4);
        }
      }
#pragma GCC unroll 8
      for (int g = 0; g < kTogether && first + g < C; g++) {
        const __m512 xs = _mm512_set1_ps(facts[first + g][b].scale);
        for (int p = 0; p < P; p++)
          sums[p][first + g] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[p][g]), _mm512_mul_ps(xs, _mm512_load_ps(ws + p * 16)),
                                               sums[p][first + g]);
      }
    }
  }
  for (int p = 0; p < P; p++)
    for (int c = 0; c < C; c++) out[p][c] = sums[p][c];
}
OSSIA_INLINE PanelSum add_sums(PanelSum a, PanelSum b) { return _mm512_add_ps(a, b); }
OSSIA_INLINE void store_sums(float* out, PanelSum a, int64_t rows) {
  _mm512_mask_storeu_ps(out, static_cast<__mmask16>((1u << rows) - 1), a);
}

#elif OSSIA_LEVEL == OSSIA_AVX2

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

// Signed by signed bytes to 8 sums of 4; |w| is unsigned, so w = -128 works while x stays within 127.
OSSIA_INLINE __m256i dot_signed(__m256i w, __m256i x) {
  return _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w)), _mm256_set1_epi16(1));
}

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
OSSIA_INLINE __m256 mxfp4_pair(const uint8_t* const* w, const Spread& x, int64_t b, int64_t have, __m256 ws, __m256 acc) {
  const __m256i table = _mm256_broadcastsi128_si256(mxfp4_table()), m = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
  const __m256i even = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x.even + 16 * b));
  const __m256i odd = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x.odd + 16 * b));
  __m256i a[4];
  for (int r = 0; r < 4; r++) {
    const __m256i n = load_bytes(w[r] + 16 * b, 16 * have);
    const __m256i lo = _mm256_shuffle_epi8(table, _mm256_and_si256(n, m));
    const __m256i hi = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(n, 4), m));
    a[r] = _mm256_madd_epi16(_mm256_add_epi16(_mm256_maddubs_epi16(lo, even), _mm256_maddubs_epi16(hi, odd)), ones);
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
      a[r] = dot_signed(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(w[r] + 32 * (b + i))), xb);
      ws[4 * i + r] = s[r][b + i];
    }
    t[i] = add_across(a[0], a[1], a[2], a[3]);
  }
  const __m256i dot = _mm256_add_epi32(_mm256_permute2x128_si256(t[0], t[1], 0x20), _mm256_permute2x128_si256(t[0], t[1], 0x31));
  return add_blocks(dot, _mm256_mul_ps(_mm256_loadu_ps(ws), _mm256_loadu_ps(x.scale + 4 * b)), have, acc);
}

OSSIA_INLINE Classes step(const int8_t* const* w, const float* const* s, const Spread& x, int64_t b, int64_t have,
                          Classes c) {
  c.low = q8_pair(w, s, x, b, have, c.low);
  if (have > 2) c.high = q8_pair(w, s, x, b + 2, have - 2, c.high);
  return c;
}

// ---- gemm panel: 8 rows ----

constexpr int kPanel = 8, kPanelCols = 4;
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
    for (int v = 0; v < 4; v++) _mm256_store_si256(o + 4 * half + v, d[v]);
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

template <int P, int C, bool kMxfp4>
OSSIA_INLINE void panel_class(const uint8_t* w, const float* ws, const PanelRow* x, int64_t cls, int64_t blocks,
                              PanelSum (*out)[C]) {
  PanelSum sums[C];
  const __m256i ones = _mm256_set1_epi16(1);
  for (int c = 0; c < C; c++) sums[c] = _mm256_setzero_ps();
  for (int64_t b = cls; b < blocks; b += 4, w += 256, ws += 8) {
    const __m256i* v = reinterpret_cast<const __m256i*>(w);
    __m256i dot[C];
    for (int c = 0; c < C; c++) dot[c] = _mm256_set1_epi32(x[c].facts[b].excess);
    if (kMxfp4) {  // four products of 24 * 127 * 2 fit 16 bits
      for (int half = 0; half < 8; half += 4) {
        __m256i part[C];
        for (int c = 0; c < C; c++) part[c] = _mm256_setzero_si256();
        for (int i = half; i < half + 4; i++)
          for (int c = 0; c < C; c++)
            part[c] = _mm256_add_epi16(part[c], _mm256_maddubs_epi16(_mm256_load_si256(v + i), _mm256_set1_epi32(x[c].q[8 * b + i])));
        for (int c = 0; c < C; c++) dot[c] = _mm256_add_epi32(dot[c], _mm256_madd_epi16(part[c], ones));
      }
    } else {
      for (int i = 0; i < 8; i++)
        for (int c = 0; c < C; c++)
          dot[c] = _mm256_add_epi32(dot[c], dot_signed(_mm256_load_si256(v + i), _mm256_set1_epi32(x[c].q[8 * b + i])));
    }
    const __m256 s = _mm256_load_ps(ws);
    for (int c = 0; c < C; c++)
      sums[c] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot[c]), _mm256_mul_ps(s, _mm256_set1_ps(x[c].facts[b].scale)), sums[c]);
  }
  for (int c = 0; c < C; c++) out[0][c] = sums[c];
}
OSSIA_INLINE PanelSum add_sums(PanelSum a, PanelSum b) { return _mm256_add_ps(a, b); }
OSSIA_INLINE void store_sums(float* out, PanelSum a, int64_t rows) {
  if (rows == 8) return _mm256_storeu_ps(out, a);
  float all[8];
  _mm256_storeu_ps(all, a);
  std::memcpy(out, all, rows * sizeof(float));
}

#endif

#if OSSIA_LEVEL != OSSIA_SCALAR

// ---- gemv over both: the same place a few rows on is prefetched, at least so many bytes ahead ----

constexpr int64_t kAhead = 3072;

// C activation rows at once; the compiler unpacks the weights of a step once for all of them.
template <class W, class S, int C>
static void gemv(const Slab& w, int64_t row_bytes, const Spread* x, float* out, int64_t stride) {
  const int64_t blocks = w.blocks(), full = blocks / 4 * 4;
  const int64_t groups = 1 + kAhead / (4 * row_bytes), ahead = groups * 4 * row_bytes;
  for (int64_t r = 0; r < w.rows; r += 4) {
    const W* rows[4];
    const S* scales[4];
    for (int i = 0; i < 4; i++) {
      const int64_t at = r + i < w.rows ? r + i : w.rows - 1;
      rows[i] = static_cast<const W*>(w.data) + at * row_bytes;
      scales[i] = static_cast<const S*>(w.scales) + at * blocks;
    }
    const char* next_scales = reinterpret_cast<const char*>(scales[0] + groups * 4 * blocks);
    Classes sums[C];
    for (int c = 0; c < C; c++) sums[c] = no_classes();
    for (int64_t b = 0; b < full; b += 4) {
      _mm_prefetch(next_scales + b * 4 * sizeof(S), _MM_HINT_T0);
      for (int i = 0; i < 4; i++) {
        const char* next = reinterpret_cast<const char*>(rows[i]) + b * (row_bytes / blocks) + ahead;
        _mm_prefetch(next, _MM_HINT_T0);
        if (sizeof(S) == 4) _mm_prefetch(next + 64, _MM_HINT_T0);  // four int8 blocks are two lines
      }
      for (int c = 0; c < C; c++) sums[c] = step(rows, scales, x[c], b, 4, sums[c]);
    }
    for (int c = 0; c < C; c++) {
      if (full < blocks) sums[c] = step(rows, scales, x[c], full, blocks - full, sums[c]);
      float four[4];
      _mm_storeu_ps(four, sum_classes(sums[c]));
      for (int64_t i = 0; i < 4 && r + i < w.rows; i++) out[c * stride + r + i] = four[i];
    }
  }
}

template <int C>
static void few_rows(const Slab& w, const Picked& x, float* out, int64_t stride, Scratch& scratch) {
  Spread s[C];
  const int64_t padded = (w.blocks() + 3) / 4 * 4;
  int8_t* memory = scratch.get<int8_t>(5, C * padded * 64);
  const bool mxfp4 = w.kind == Kind::mxfp4;
  for (int c = 0; c < C; c++) s[c] = spread(x.act, x.row(c), mxfp4, memory + c * padded * 64);
  if (mxfp4) gemv<uint8_t, uint8_t, C>(w, w.blocks() * 16, s, out, stride);
  else gemv<int8_t, float, C>(w, w.k, s, out, stride);
}

// ---- gemm over both ----

constexpr int kPanels = OSSIA_LEVEL == OSSIA_AVX512 ? 2 : 1;  // taken together, so that a broadcast serves both

template <bool kMxfp4>
static PanelRow* panel_rows(const Picked& x, Scratch& scratch) {
  const int64_t blocks = x.act.width / 32;
  PanelRow* out = scratch.get<PanelRow>(5, x.count);
  BlockFacts* facts = scratch.get<BlockFacts>(6, x.count * blocks);
  const int32_t times = kMxfp4 ? -kMxfp4Excess : -kQ8Excess;
  for (int64_t i = 0; i < x.count; i++, facts += blocks) {
    const int64_t t = x.row(i);
    const int8_t* q = kMxfp4 ? x.act.split : static_cast<const int8_t*>(x.act.data);
    out[i] = {reinterpret_cast<const int32_t*>(q + t * x.act.width), facts};
    for (int64_t b = 0; b < blocks; b++) facts[b] = {times * x.act.sums[t * blocks + b], x.act.scales[t * blocks + b]};
  }
  return out;
}

// Where the four classes of a panel begin, in blocks.
struct ClassStarts {
  int64_t at[4];
  explicit ClassStarts(int64_t blocks) : at{0, 0, 0, 0} {
    for (int c = 1; c < 4; c++) at[c] = at[c - 1] + (blocks - (c - 1) + 3) / 4;
  }
};

// P interleaved panels, blocks ordered by class, times C activation rows.
template <int P, int C, bool kMxfp4>
static void panel_tile(const uint8_t* panel, const float* ws, const PanelRow* x, int64_t blocks, int64_t rows, float* out,
                       int64_t stride) {
  const ClassStarts starts(blocks);
  PanelSum part[4][P][C];
  for (int cls = 0; cls < 4; cls++)
    panel_class<P, C, kMxfp4>(panel + starts.at[cls] * P * 32 * kPanel, ws + starts.at[cls] * P * kPanel, x, cls, blocks,
                              part[cls]);
  for (int p = 0; p < P && p * kPanel < rows; p++) {
    const int64_t here = rows - p * kPanel < kPanel ? rows - p * kPanel : kPanel;
    for (int c = 0; c < C; c++) {
      const PanelSum low = add_sums(part[0][p][c], part[1][p][c]), high = add_sums(part[2][p][c], part[3][p][c]);
      store_sums(out + c * stride + p * kPanel, add_sums(low, high), here);
    }
  }
}

template <int P, bool kMxfp4>
static void panel_all(const uint8_t* panel, const float* ws, const PanelRow* x, int64_t count, int64_t blocks, int64_t rows,
                      float* out, int64_t stride) {
  int64_t i = 0;
  for (; i + kPanelCols <= count; i += kPanelCols)
    panel_tile<P, kPanelCols, kMxfp4>(panel, ws, x + i, blocks, rows, out + i * stride, stride);
  for (; i + 4 <= count; i += 4) panel_tile<P, 4, kMxfp4>(panel, ws, x + i, blocks, rows, out + i * stride, stride);
  for (; i + 2 <= count; i += 2) panel_tile<P, 2, kMxfp4>(panel, ws, x + i, blocks, rows, out + i * stride, stride);
  for (; i < count; i++) panel_tile<P, 1, kMxfp4>(panel, ws, x + i, blocks, rows, out + i * stride, stride);
}

// Weight rows [first, first + kPanel) of the slab, the last one repeated past its end, as one of `panels` interleaved.
template <bool kMxfp4>
static void unpack_panel(const Slab& w, int64_t first, int64_t panels, uint8_t* out, float* scales) {
  using S = std::conditional_t<kMxfp4, uint8_t, float>;
  const int64_t blocks = w.blocks(), block_bytes = kMxfp4 ? 16 : 32;
  const ClassStarts starts(blocks);
  const char* rows[kPanel];
  const S* row_scales[kPanel];
  for (int r = 0; r < kPanel; r++) {
    const int64_t at = first + r < w.rows ? first + r : w.rows - 1;
    rows[r] = static_cast<const char*>(w.data) + at * blocks * block_bytes;
    row_scales[r] = static_cast<const S*>(w.scales) + at * blocks;
  }
  const int64_t ahead = kPanel * blocks * block_bytes;  // the next panel
  for (int64_t b = 0; b < blocks; b += 4) {
    const int64_t have = blocks - b < 4 ? blocks - b : 4;
    for (int r = 0; r < kPanel; r++) {
      _mm_prefetch(rows[r] + b * block_bytes + ahead, _MM_HINT_T0);
      if (!kMxfp4) _mm_prefetch(rows[r] + b * block_bytes + ahead + 64, _MM_HINT_T0);
    }
    float* to[4];
    for (int64_t i = 0; i < have; i++) {
      const int64_t place = (starts.at[i] + b / 4) * panels * kPanel;
      to[i] = scales + place;
      if (kMxfp4) unpack_mxfp4(rows, b + i, out + place * 32);
      else unpack_q8(rows, b + i, out + place * 32);
    }
    panel_scales(row_scales, b, have, to);
  }
}

template <bool kMxfp4>
static void gemm(const Slab& w, const Picked& x, float* out, int64_t stride, Scratch& scratch) {
  const int64_t blocks = w.blocks();
  const PanelRow* rows_of_x = panel_rows<kMxfp4>(x, scratch);
  uint8_t* panel = scratch.get<uint8_t>(7, kPanels * blocks * kPanel * 36);
  float* scales = reinterpret_cast<float*>(panel + kPanels * blocks * kPanel * 32);
  for (int64_t r = 0; r < w.rows; r += kPanels * kPanel) {
    const int64_t rows = w.rows - r < kPanels * kPanel ? w.rows - r : kPanels * kPanel;
    const int64_t panels = (rows + kPanel - 1) / kPanel;
    for (int64_t p = 0; p < panels; p++)
      unpack_panel<kMxfp4>(w, r + p * kPanel, panels, panel + p * 32 * kPanel, scales + p * kPanel);
    if (panels == 1) panel_all<1, kMxfp4>(panel, scales, rows_of_x, x.count, blocks, rows, out + r, stride);
    else panel_all<kPanels, kMxfp4>(panel, scales, rows_of_x, x.count, blocks, rows, out + r, stride);
  }
}

// So many activation rows at a time that they stay in the second-level cache while the weights pass by.
constexpr int64_t kCached = 512 << 10;

template <bool kMxfp4>
static void gemm_in_parts(const Slab& w, const Picked& x, float* out, int64_t stride, Scratch& scratch) {
  const int64_t fit = kCached / w.k / kPanelCols * kPanelCols, most = fit > kPanelCols ? fit : kPanelCols;
  for (int64_t i = 0; i < x.count; i += most) {
    const int64_t count = x.count - i < most ? x.count - i : most;
    const Picked part{x.act, x.index ? x.index + i : nullptr, x.first + i, count};
    gemm<kMxfp4>(w, part, out + i * stride, stride, scratch);
  }
}

static void q8_fast(const Slab& w, const Picked& x, float* out, int64_t stride, Scratch& scratch) {
  switch (x.count) {  // up to four rows, unpacking a panel costs more than it saves
    case 1: return few_rows<1>(w, x, out, stride, scratch);
    case 2: return few_rows<2>(w, x, out, stride, scratch);
    case 3: return few_rows<3>(w, x, out, stride, scratch);
    case 4: return few_rows<4>(w, x, out, stride, scratch);
  }
  if (w.kind == Kind::mxfp4) gemm_in_parts<true>(w, x, out, stride, scratch);
  else gemm_in_parts<false>(w, x, out, stride, scratch);
}

#endif

// ---- f32 and bf16: R weight rows by C activation rows, one vector of 16 lanes each ----

#if OSSIA_LEVEL == OSSIA_AVX512
constexpr int kDotRows = 4, kDotCols = 6;
#elif OSSIA_LEVEL == OSSIA_AVX2
constexpr int kDotRows = 2, kDotCols = 2;
#else
constexpr int kDotRows = 1, kDotCols = 1;
#endif

template <int R, int C, class W, class X>
OSSIA_INLINE void lanes_tile(const W* w, const X* const* x, int64_t k, float* out, int64_t stride) {
  V acc[R][C];
  for (int r = 0; r < R; r++)
    for (int c = 0; c < C; c++) acc[r][c] = zero();
  for (int64_t i = 0; i < k; i += 16) {
    V a[R];
    for (int r = 0; r < R; r++) a[r] = load(w + r * k + i);
    for (int c = 0; c < C; c++) {
      const V b = load(x[c] + i);
      for (int r = 0; r < R; r++) acc[r][c] = fma(a[r], b, acc[r][c]);
    }
  }
  for (int r = 0; r < R; r++)
    for (int c = 0; c < C; c++) out[c * stride + r] = tree_sum(acc[r][c]);
}

template <int R, class W, class X>
void lanes_rows(const W* w, const Picked& x, int64_t k, float* out, int64_t stride) {
  const X* rows[kDotCols];
  int64_t i = 0;
  for (; i + kDotCols <= x.count; i += kDotCols) {
    for (int c = 0; c < kDotCols; c++) rows[c] = static_cast<const X*>(x.act.data) + x.row(i + c) * k;
    lanes_tile<R, kDotCols>(w, rows, k, out + i * stride, stride);
  }
  for (; i < x.count; i++) {
    rows[0] = static_cast<const X*>(x.act.data) + x.row(i) * k;
    lanes_tile<R, 1>(w, rows, k, out + i * stride, stride);
  }
}

template <class W, class X>
void lanes_all(const W* w, const Slab& s, const Picked& x, float* out, int64_t stride) {
  int64_t r = 0;
  for (; r + kDotRows <= s.rows; r += kDotRows) lanes_rows<kDotRows, W, X>(w + r * s.k, x, s.k, out + r, stride);
  for (; r < s.rows; r++) lanes_rows<1, W, X>(w + r * s.k, x, s.k, out + r, stride);
}

template <class X>
void lanes_dots(const Slab& w, const Picked& x, float* out, int64_t stride, Scratch& scratch) {
  if (w.kind != Kind::mxfp4) return lanes_all<X, X>(static_cast<const X*>(w.data), w, x, out, stride);
  float* panel = scratch.get<float>(4, kDotRows * w.k);
  for (int64_t r = 0; r < w.rows; r += kDotRows) {
    const Slab part{Kind::f32, nullptr, nullptr, w.k, w.rows - r < kDotRows ? w.rows - r : kDotRows};
    for (int64_t b = 0; b < part.rows * w.blocks(); b++) {
      const int64_t at = r * w.blocks() + b;
      const float scale = mxfp4_half_scale(static_cast<const uint8_t*>(w.scales)[at]);
      decode_mxfp4(static_cast<const uint8_t*>(w.data) + at * 16, scale, panel + b * 32);
    }
    lanes_all<float, X>(panel, part, x, out + r, stride);
  }
}

// out[i * stride + r] = dot of weight row r and picked activation row i.
static void dots(const Slab& w, const Picked& x, float* out, int64_t stride, Scratch& scratch) {
  switch (x.act.numerics) {
#if OSSIA_LEVEL == OSSIA_SCALAR
    case Numerics::q8: return q8_plain(w, x, out, stride);
#else
    case Numerics::q8: return q8_fast(w, x, out, stride, scratch);
#endif
    case Numerics::bf16: return lanes_dots<uint16_t>(w, x, out, stride, scratch);
    default: return lanes_dots<float>(w, x, out, stride, scratch);
  }
}
