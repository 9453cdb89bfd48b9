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
    case Kind::mxfp4:
      return {w.kind, data + at * blocks * 16, scales + at * blocks, w.k, rows};
    case Kind::q8:
      return {w.kind, data + at * w.k, scales + at * blocks * 4, w.k, rows};
    case Kind::bf16:
      return {w.kind, data + at * w.k * 2, nullptr, w.k, rows};
    default:
      return {w.kind, data + at * w.k * 4, nullptr, w.k, rows};
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
      for (int i = 0; i < 16; i++)
        dot += table[n[i] & 15] * q[32 * b + 2 * i] + table[n[i] >> 4] * q[32 * b + 2 * i + 1];
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

// ---- q8, fast: up to four rows (gemv) read the weights as they lie, 4 weight rows by 4 blocks; more (gemm) share a
// panel of kPanel weight rows, unpacked once, rows in lanes. vpdpbusd and vpmaddubsw want one side unsigned: MXFP4
// values come as 2v + 12 from the table, int8 weights as w + 128 (AVX-512); the excess times the sum of x is taken back
// per block.

constexpr int kMxfp4Excess = 12, kQ8Excess = OSSIA_LEVEL == OSSIA_AVX512 ? 128 : 0;

OSSIA_INLINE __m128i mxfp4_table() { return _mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0); }

// An activation row laid out for gemv: each per-block value four times (once per weight row), padded to 4 blocks.
struct Spread {
  int8_t *even, *odd;   // mxfp4: elements of each block apart, 16 + 16
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
      _mm_store_si128(reinterpret_cast<__m128i*>(s.even + 16 * b),
                      _mm_loadu_si128(reinterpret_cast<const __m128i*>(split + 32 * b)));
      _mm_store_si128(reinterpret_cast<__m128i*>(s.odd + 16 * b),
                      _mm_loadu_si128(reinterpret_cast<const __m128i*>(split + 32 * b + 16)));
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
    if (have >= 4)
      std::memcpy(&word[r], rows[r] + at, 4);
    else
      for (int64_t i = 0; i < have; i++) word[r] |= rows[r][at + i] << (8 * i);
  }
  return _mm_shuffle_epi8(_mm_setr_epi32(word[0], word[1], word[2], word[3]),
                          _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
}

#endif

#if OSSIA_LEVEL == OSSIA_AVX512
#include "q8_avx512.h"
#elif OSSIA_LEVEL == OSSIA_AVX2
#include "q8_avx2.h"
#endif

#if OSSIA_LEVEL != OSSIA_SCALAR

// ---- gemv over both. The four rows of a step lie a quarter of the slab apart, so memory is read as four streams: with
// 4 KiB pages one stream starts anew at each page and gets two thirds of what four get. ----

constexpr int64_t kAhead = 2048;

// Row r of each quarter (past the end: the last row), and what to ask memory for.
template <class W, class S>
struct FourRows {
  const W* rows[4];
  const S* scales[4];
  FourRows(const Slab& w, int64_t row_bytes, int64_t r, int64_t quarter) {
    for (int i = 0; i < 4; i++) {
      const int64_t at = r + i * quarter < w.rows ? r + i * quarter : w.rows - 1;
      rows[i] = static_cast<const W*>(w.data) + at * row_bytes;
      scales[i] = static_cast<const S*>(w.scales) + at * w.blocks();
    }
  }
  inline __attribute__((always_inline)) void prefetch(int64_t b) const {
    constexpr int64_t block_bytes = sizeof(S) == 4 ? 32 : 16;
    for (int i = 0; i < 4; i++) {
      const char* next = reinterpret_cast<const char*>(rows[i]) + b * block_bytes + kAhead;
      _mm_prefetch(next, _MM_HINT_T0);
      if (sizeof(S) == 4) _mm_prefetch(next + 64, _MM_HINT_T0);  // four int8 blocks are two lines
    }
  }
};

// C activation rows at once; the compiler unpacks the weights of a step once for all of them.
template <class W, class S, int C>
static void gemv(const Slab& w, int64_t row_bytes, const Spread* x, float* out, int64_t stride) {
  const int64_t blocks = w.blocks(), full = blocks / 4 * 4, quarter = (w.rows + 3) / 4;
  for (int64_t r = 0; r < quarter; r++) {
    const FourRows<W, S> four(w, row_bytes, r, quarter);
    Classes sums[C];
    for (int c = 0; c < C; c++) sums[c] = no_classes();
    for (int64_t b = 0; b < full; b += 4) {
      four.prefetch(b);
      for (int c = 0; c < C; c++) sums[c] = step(four.rows, four.scales, x[c], b, 4, sums[c]);
    }
    for (int c = 0; c < C; c++) {
      if (full < blocks) sums[c] = step(four.rows, four.scales, x[c], full, blocks - full, sums[c]);
      float y[4];
      _mm_storeu_ps(y, sum_classes(sums[c]));
      for (int64_t i = 0; i < 4 && r + i * quarter < w.rows; i++) out[c * stride + r + i * quarter] = y[i];
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
  if (mxfp4)
    gemv<uint8_t, uint8_t, C>(w, w.blocks() * 16, s, out, stride);
  else
    gemv<int8_t, float, C>(w, w.k, s, out, stride);
}

// ---- gemm over both ----

constexpr int kPanels = OSSIA_LEVEL == OSSIA_AVX512 ? 2 : 1;  // taken together, so that a broadcast serves both

OSSIA_INLINE void pair_facts(const int32_t* sums, const float* scales, int32_t times, int64_t blocks, BlockFacts* out) {
  int64_t b = 0;
  for (; b + 8 <= blocks; b += 8) {
    const __m256i sum = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(sums + b));
    const __m256i excess = _mm256_mullo_epi32(sum, _mm256_set1_epi32(times));
    const __m256i scale = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(scales + b));
    const __m256i low = _mm256_unpacklo_epi32(excess, scale), high = _mm256_unpackhi_epi32(excess, scale);
    __m256i* to = reinterpret_cast<__m256i*>(out + b);
    _mm256_storeu_si256(to, _mm256_permute2x128_si256(low, high, 0x20));
    _mm256_storeu_si256(to + 1, _mm256_permute2x128_si256(low, high, 0x31));
  }
  for (; b < blocks; b++) out[b] = {times * sums[b], scales[b]};
}

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
    pair_facts(x.act.sums + t * blocks, x.act.scales + t * blocks, times, blocks, facts);
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
static void panel_tile(const uint8_t* panel, const float* ws, const PanelRow* x, int64_t blocks, int64_t rows,
                       float* out, int64_t stride) {
  const ClassStarts starts(blocks);
  PanelSum part[4][P][C];
  for (int cls = 0; cls < 4; cls++)
    panel_class<P, C, kMxfp4>(panel + starts.at[cls] * P * 32 * kPanel, ws + starts.at[cls] * P * kPanel, x, cls,
                              blocks, part[cls]);
  for (int p = 0; p < P && p * kPanel < rows; p++) {
    const int64_t here = rows - p * kPanel < kPanel ? rows - p * kPanel : kPanel;
    for (int c = 0; c < C; c++) {
      const PanelSum low = add_sums(part[0][p][c], part[1][p][c]), high = add_sums(part[2][p][c], part[3][p][c]);
      store_sums(out + c * stride + p * kPanel, add_sums(low, high), here);
    }
  }
}

template <int P, bool kMxfp4>
static void panel_all(const uint8_t* panel, const float* ws, const PanelRow* x, int64_t count, int64_t blocks,
                      int64_t rows, float* out, int64_t stride) {
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
      if (kMxfp4)
        unpack_mxfp4(rows, b + i, out + place * 32);
      else
        unpack_q8(rows, b + i, out + place * 32);
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
    if (panels == 1)
      panel_all<1, kMxfp4>(panel, scales, rows_of_x, x.count, blocks, rows, out + r, stride);
    else
      panel_all<kPanels, kMxfp4>(panel, scales, rows_of_x, x.count, blocks, rows, out + r, stride);
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

// Up to so many activation rows, unpacking a panel costs more than it saves; short weight rows are in cache anyway.
OSSIA_INLINE int64_t few(const Slab& w) { return w.k < 2048 ? 2 : 4; }

static void q8_fast(const Slab& w, const Picked& x, float* out, int64_t stride, Scratch& scratch) {
  if (x.count > few(w)) {
    if (w.kind == Kind::mxfp4) return gemm_in_parts<true>(w, x, out, stride, scratch);
    return gemm_in_parts<false>(w, x, out, stride, scratch);
  }
  switch (x.count) {
    case 1:
      return few_rows<1>(w, x, out, stride, scratch);
    case 2:
      return few_rows<2>(w, x, out, stride, scratch);
    case 3:
      return few_rows<3>(w, x, out, stride, scratch);
    case 4:
      return few_rows<4>(w, x, out, stride, scratch);
  }
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
    case Numerics::q8:
      return q8_plain(w, x, out, stride);
#else
    case Numerics::q8:
      return q8_fast(w, x, out, stride, scratch);
#endif
    case Numerics::bf16:
      return lanes_dots<uint16_t>(w, x, out, stride, scratch);
    default:
      return lanes_dots<float>(w, x, out, stride, scratch);
  }
}
