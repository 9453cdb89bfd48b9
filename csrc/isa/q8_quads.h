// Small batches on AVX-512: four weight rows by four blocks are unpacked into registers, meet every activation row
// there, and are forgotten. Nothing is written down, so reading, unpacking and multiplying overlap. A vector holds,
// row by row, one four-element piece of each of the four blocks; a sum holds the four classes of blocks of four rows.
// The four rows lie a quarter of the slab apart, so that memory is read as four streams (see FourRows in dots.h).
// Included by dots.h after q8_avx512.h (no include guard). Does not know threads or experts.

constexpr int64_t kQuadCols = 8;   // activation rows of a tile: their dots and a quad of weights fill the registers
constexpr int64_t kQuadRows = 16;  // up to so many activation rows go this way

OSSIA_INLINE int64_t few(int64_t) { return kQuadRows; }

// `count` activation rows as tiles of one breadth; the last is filled up with zeros.
struct Tiling {
  int64_t tiles, cols;
  explicit Tiling(int64_t count) : tiles((count + kQuadCols - 1) / kQuadCols), cols((count + tiles - 1) / tiles) {}
};

OSSIA_INLINE int64_t few_bytes(int64_t count, int64_t k) {
  const Tiling tiling(count);
  return tiling.tiles * tiling.cols * ((k / 32 + 3) / 4) * 160;
}
OSSIA_INLINE int64_t few_units(int64_t count) { return Tiling(count).tiles; }

// Tile `unit` of the rows: for every four blocks, eight pieces of each row, its excesses, its scales; 16 bytes each.
static void make_few(const Picked& x, int64_t unit, bool mxfp4, int8_t* ready) {
  const Tiling tiling(x.count);
  const int64_t blocks = x.act.width / 32, quads = (blocks + 3) / 4, cols = tiling.cols;
  const int32_t times = mxfp4 ? -kMxfp4Excess : -kQ8Excess;
  const float part = mxfp4 ? 0.5f : 1.0f;  // MXFP4's table holds doubles of the values
  int32_t* tile = reinterpret_cast<int32_t*>(ready) + unit * quads * 40 * cols;
  for (int64_t c = 0; c < cols; c++) {
    const bool real = unit * cols + c < x.count;
    const int64_t t = real ? x.row(unit * cols + c) : 0;
    const int8_t* q = (mxfp4 ? x.act.split : static_cast<const int8_t*>(x.act.data)) + t * x.act.width;
    for (int64_t b = 0; b < 4 * quads; b++) {
      int32_t* to = tile + b / 4 * 40 * cols + 4 * c + b % 4;
      const bool here = real && b < blocks;
      for (int i = 0; i < 8; i++)
        if (here)
          std::memcpy(to + 4 * i * cols, q + 32 * b + 4 * i, 4);
        else
          to[4 * i * cols] = 0;
      const float scale = here ? part * x.act.scales[t * blocks + b] : 0.0f;
      to[32 * cols] = here ? times * x.act.sums[t * blocks + b] : 0;
      std::memcpy(to + 36 * cols, &scale, 4);
    }
  }
}

// 16 bytes of each of four rows `step` bytes apart in `have` places: d[i] = piece i of the places, row by row.
OSSIA_INLINE void pieces(const void* const* rows, int64_t at, int64_t step, int64_t have, __m512i* d) {
  __m512i z[4];
#pragma GCC unroll 4
  for (int j = 0; j < 4; j++) {
    if (j >= have) {
      z[j] = _mm512_setzero_si512();
      continue;
    }
    const auto piece = [&](int r) {
      return _mm_loadu_si128(reinterpret_cast<const __m128i*>(static_cast<const char*>(rows[r]) + at + j * step));
    };
    z[j] = _mm512_castsi128_si512(piece(0));
    z[j] = _mm512_inserti32x4(z[j], piece(1), 1);
    z[j] = _mm512_inserti32x4(z[j], piece(2), 2);
    z[j] = _mm512_inserti32x4(z[j], piece(3), 3);
  }
  const __m512i t0 = _mm512_unpacklo_epi32(z[0], z[1]), t1 = _mm512_unpackhi_epi32(z[0], z[1]);
  const __m512i t2 = _mm512_unpacklo_epi32(z[2], z[3]), t3 = _mm512_unpackhi_epi32(z[2], z[3]);
  d[0] = _mm512_unpacklo_epi64(t0, t2);
  d[1] = _mm512_unpackhi_epi64(t0, t2);
  d[2] = _mm512_unpacklo_epi64(t1, t3);
  d[3] = _mm512_unpackhi_epi64(t1, t3);
}

struct Quad {
  __m512i w[8];
  __m512 scales;
};

OSSIA_INLINE Quad quad(const uint8_t* const* rows, const uint8_t* const* scales, int64_t b, int64_t have) {
  const __m512i table = _mm512_broadcast_i32x4(mxfp4_table()), m = _mm512_set1_epi8(15);
  const void* const at[4] = {rows[0], rows[1], rows[2], rows[3]};
  Quad q;
  __m512i d[4];
  pieces(at, 16 * b, 16, have, d);
#pragma GCC unroll 4
  for (int v = 0; v < 4; v++) {
    q.w[v] = _mm512_shuffle_epi8(table, _mm512_and_si512(d[v], m));
    q.w[4 + v] = _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi16(d[v], 4), m));
  }
  int32_t word[4] = {0, 0, 0, 0};
#pragma GCC unroll 4
  for (int r = 0; r < 4; r++) {
    if (have >= 4)
      std::memcpy(&word[r], scales[r] + b, 4);
    else
      for (int64_t i = 0; i < have; i++) word[r] |= scales[r][b + i] << (8 * i);
  }
  q.scales = power_of_bytes(_mm_setr_epi32(word[0], word[1], word[2], word[3]));
  return q;
}

OSSIA_INLINE Quad quad(const int8_t* const* rows, const float* const* scales, int64_t b, int64_t have) {
  const __m512i flip = _mm512_set1_epi8(-128);
  const void* const at[4] = {rows[0], rows[1], rows[2], rows[3]};
  Quad q;
  pieces(at, 32 * b, 32, have, q.w);
  pieces(at, 32 * b + 16, 32, have, q.w + 4);
#pragma GCC unroll 8
  for (int v = 0; v < 8; v++) q.w[v] = _mm512_xor_si512(q.w[v], flip);
  const __mmask8 here = have >= 4 ? 0x0f : static_cast<__mmask8>((1 << have) - 1);
  const auto part = [&](int r) { return _mm_maskz_loadu_ps(here, scales[r] + b); };
  q.scales = _mm512_castps128_ps512(part(0));
  q.scales = _mm512_insertf32x4(q.scales, part(1), 1);
  q.scales = _mm512_insertf32x4(q.scales, part(2), 2);
  q.scales = _mm512_insertf32x4(q.scales, part(3), 3);
  return q;
}

// A quad with a tile of C rows. Where rows are few, two chains of dots each, to hide the latency of vpdpbusd. Blocks
// that are missing add +0, which changes no sum (none is -0: they begin at +0).
template <int C>
OSSIA_INLINE void quad_tile(const Quad& q, const int32_t* x, __m512* sums) {
  constexpr int kChains = C <= 4 ? 2 : 1;
  __m512i dot[kChains][C];
  const auto four = [x](int i) {
    return _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(x + 4 * i)));
  };
#pragma GCC unroll 8
  for (int c = 0; c < C; c++) {
    dot[0][c] = four(8 * C + c);
    if (kChains == 2) dot[kChains - 1][c] = _mm512_setzero_si512();
  }
#pragma GCC unroll 8
  for (int i = 0; i < 8; i++)
#pragma GCC unroll 8
    for (int c = 0; c < C; c++) dot[i % kChains][c] = _mm512_dpbusd_epi32(dot[i % kChains][c], q.w[i], four(i * C + c));
#pragma GCC unroll 8
  for (int c = 0; c < C; c++) {
    if (kChains == 2) dot[0][c] = _mm512_add_epi32(dot[0][c], dot[kChains - 1][c]);
    const __m512 scale = _mm512_mul_ps(q.scales, _mm512_castsi512_ps(four(9 * C + c)));
    sums[c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[0][c]), scale, sums[c]);
  }
}

// (p0 + p1) + (p2 + p3) of each of the four rows.
OSSIA_INLINE void sum_quad(__m512 sums, float* y) {
  const __m512 pairs = _mm512_add_ps(sums, _mm512_shuffle_ps(sums, sums, 0xb1));
  float all[16];
  _mm512_storeu_ps(all, _mm512_add_ps(pairs, _mm512_shuffle_ps(pairs, pairs, 0x4e)));
  for (int r = 0; r < 4; r++) y[r] = all[4 * r];
}

template <class W, class S, int C, bool kOneTile>
static void quads(const Slab& w, int64_t count, const int8_t* ready, float* out, int64_t stride) {
  const int64_t blocks = w.blocks(), full = blocks / 4 * 4, quarter = (w.rows + 3) / 4;
  const int64_t tiles = kOneTile ? 1 : Tiling(count).tiles, tile_words = (blocks + 3) / 4 * 40 * C;
  const int32_t* x = reinterpret_cast<const int32_t*>(ready);
  __m512 sums[kOneTile ? C : kQuadRows];
  for (int64_t r = 0; r < quarter; r++) {
    const FourRows<W, S> four(w, r, quarter);
    four.prefetch_scales(blocks);
    for (int64_t c = 0; c < tiles * C; c++) sums[c] = _mm512_setzero_ps();
    for (int64_t b = 0; b < full; b += 4) {
      four.prefetch(b);
      const Quad q = quad(four.rows, four.scales, b, 4);
      for (int64_t t = 0; t < tiles; t++) quad_tile<C>(q, x + t * tile_words + 10 * b * C, sums + t * C);
    }
    if (full < blocks) {
      const Quad q = quad(four.rows, four.scales, full, blocks - full);
      for (int64_t t = 0; t < tiles; t++) quad_tile<C>(q, x + t * tile_words + 10 * full * C, sums + t * C);
    }
    for (int64_t c = 0; c < count; c++) {
      float y[4];
      sum_quad(sums[c], y);
      for (int64_t i = 0; i < 4 && r + i * quarter < w.rows; i++) out[c * stride + r + i * quarter] = y[i];
    }
  }
}

template <class W, class S>
static void quads_of(const Slab& w, int64_t count, const int8_t* ready, float* out, int64_t stride) {
  using Quads = void (*)(const Slab&, int64_t, const int8_t*, float*, int64_t);
  static constexpr Quads kOneTile[kQuadCols] = {quads<W, S, 1, true>, quads<W, S, 2, true>, quads<W, S, 3, true>,
                                                quads<W, S, 4, true>, quads<W, S, 5, true>, quads<W, S, 6, true>,
                                                quads<W, S, 7, true>, quads<W, S, 8, true>};
  static constexpr Quads kMore[kQuadCols - 4] = {quads<W, S, 5, false>, quads<W, S, 6, false>, quads<W, S, 7, false>,
                                                 quads<W, S, 8, false>};
  const Tiling tiling(count);
  (tiling.tiles == 1 ? kOneTile[tiling.cols - 1] : kMore[tiling.cols - 5])(w, count, ready, out, stride);
}

static void few_products(const Slab& w, const Picked& x, const int8_t* ready, float* out, int64_t stride) {
  if (w.kind == Kind::mxfp4) return quads_of<uint8_t, uint8_t>(w, x.count, ready, out, stride);
  return quads_of<int8_t, float>(w, x.count, ready, out, stride);
}
