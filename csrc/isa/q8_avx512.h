// The int8 steps of AVX-512 with VNNI: scales, and 16-row panels for gemm (see dots.h, which includes this inside its
// instruction set's namespace; no include guard). Few rows are q8_quads.h's.

OSSIA_INLINE __m512 power_of_bytes(__m128i e) {  // 2^(e-127); 255 is NaN
  const __m512i wide = _mm512_cvtepu8_epi32(e);
  const __m512i s = _mm512_max_epu32(_mm512_slli_epi32(wide, 23), _mm512_set1_epi32(0x00400000));
  const __mmask16 nan = _mm512_cmpeq_epi32_mask(wide, _mm512_set1_epi32(255));
  return _mm512_castsi512_ps(_mm512_mask_mov_epi32(s, nan, _mm512_set1_epi32(0x7fc00000)));
}

// ---- gemm panel: 16 rows; a block is 8 vectors of 4 elements of every row ----

// kPanels are taken together, so that a broadcast serves both; kGrain elements of x lie together in a tile.
constexpr int kPanel = 16, kPanelCols = 8, kPanels = 2, kGrain = 4;
using PanelSum = __m512;
template <bool kMxfp4>
OSSIA_INLINE int32_t tile_excess(const int8_t*, int32_t sum) {
  return -(kMxfp4 ? kMxfp4Excess : kQ8Excess) * sum;
}

// 16 bytes of each row to 4 vectors: 32 bits of row r in lane r.
OSSIA_INLINE void bytes_by_row(const char* const* rows, int64_t at, __m512i* d) {
  __m512i z[4];
  for (int i = 0; i < 4; i++) {
    const auto piece = [&](int lane) {
      return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[4 * lane + i] + at));
    };
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

// One block of P panels times G rows of a tile of C: their dots run side by side, to hide the latency of vpdpbusd.
template <int P, int C, int G>
OSSIA_INLINE void panel_block(const uint8_t* w, const float* ws, const int32_t* x, int first, PanelSum (*sums)[C]) {
  __m512i dot[P][G];
#pragma GCC unroll 8
  for (int g = 0; g < G; g++)
    for (int p = 0; p < P; p++) dot[p][g] = _mm512_set1_epi32(x[8 * C + first + g]);
#pragma GCC unroll 8
  for (int i = 0; i < 8; i++) {
    __m512i four[P];
    for (int p = 0; p < P; p++) four[p] = _mm512_load_si512(w + p * 512 + 64 * i);
#pragma GCC unroll 8
    for (int g = 0; g < G; g++) {
      const __m512i x4 = _mm512_set1_epi32(x[i * C + first + g]);
      for (int p = 0; p < P; p++) dot[p][g] = _mm512_dpbusd_epi32(dot[p][g], four[p], x4);
    }
  }
#pragma GCC unroll 8
  for (int g = 0; g < G; g++) {
    const __m512 xs = _mm512_set1_ps(from_bits(x[9 * C + first + g]));
    for (int p = 0; p < P; p++)
      sums[p][first + g] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[p][g]),
                                           _mm512_mul_ps(xs, _mm512_load_ps(ws + p * 16)), sums[p][first + g]);
  }
}

// The `blocks` blocks of one class of P interleaved panels times a tile of C rows; sums[p][c] are 16 partial sums.
template <int P, int C, bool kMxfp4, class Ahead>
OSSIA_INLINE void panel_class(const uint8_t* w, const float* ws, const int8_t* tile, int64_t blocks, const Ahead& ahead,
                              PanelSum (*sums)[C]) {
  constexpr int kSide = C > 4 ? (C + 1) / 2 : C;
  const int32_t* x = reinterpret_cast<const int32_t*>(tile);
#pragma GCC unroll 8
  for (int c = 0; c < C; c++)
    for (int p = 0; p < P; p++) sums[p][c] = _mm512_setzero_ps();
  for (int64_t b = 0; b < blocks; b++, w += P * 512, ws += P * 16, x += 10 * C) {
    ahead.ask();
    panel_block<P, C, kSide>(w, ws, x, 0, sums);
    const uint8_t* again = w;
    __asm__("" : "+r"(again));  // read the weights again: better a load than a spill
    if constexpr (C > kSide) panel_block<P, C, C - kSide>(again, ws, x, kSide, sums);
  }
}
OSSIA_INLINE PanelSum load_sums(const float* p) { return _mm512_load_ps(p); }
OSSIA_INLINE PanelSum add_sums(PanelSum a, PanelSum b) { return _mm512_add_ps(a, b); }
OSSIA_INLINE void store_sums(float* out, PanelSum a, int64_t rows) {
  _mm512_mask_storeu_ps(out, static_cast<__mmask16>((1u << rows) - 1), a);
}
