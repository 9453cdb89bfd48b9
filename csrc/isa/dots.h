// The one primitive under linear and moe: dots of `rows` weight rows with `count` activation rows, in the orders ops.h
// fixes. Included once per instruction set after lanes.h (no include guard). Scratch slots 4 to 7 are used here.

// Activation rows to multiply: row i is index[i], or first + i without an index.
struct Picked {
  const Act& act;
  const int32_t* index;
  int64_t first, count;
  int64_t row(int64_t i) const { return index ? index[i] : first + i; }
};

// Rows [first, first + rows) of one weight; block b of row r sits at (r * blocks + b). `next` are rows of the same kind
// and width that this thread will probably read after these, so that memory does not fall idle in between.
struct Slab {
  Kind kind;
  const void* data;
  const void* scales;
  int64_t k, rows;
  const void *next_data = nullptr, *next_scales = nullptr;
  int64_t next_rows = 0;
  int64_t blocks() const { return k / 32; }
  Slab before(const Slab& next) const { return {kind, data, scales, k, rows, next.data, next.scales, next.rows}; }
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

// ---- q8, fast: few rows (gemv, on AVX-512 quads) read the weights as they lie, 4 weight rows by 4 blocks; more (gemm)
// share a panel of kPanel weight rows, unpacked once, rows in lanes. vpdpbusd and vpmaddubsw want one side unsigned:
// MXFP4 values come as 2v + 12 from the table, int8 weights as w + 128 (AVX-512); the excess times the sum of x is
// taken back per block.

#if OSSIA_LEVEL == OSSIA_NEON  // signed by signed
constexpr int kMxfp4Excess = 0, kQ8Excess = 0;
#else
constexpr int kMxfp4Excess = 12, kQ8Excess = OSSIA_LEVEL == OSSIA_AVX512 || OSSIA_FAST_INT8 ? 128 : 0;
OSSIA_INLINE __m128i mxfp4_table() { return _mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0); }
#endif

#if OSSIA_LEVEL != OSSIA_AVX512
// An activation row laid out for gemv: each per-block value four times (once per weight row), padded to 4 blocks.
struct Spread {
  int8_t *even, *odd;   // mxfp4: elements of each block apart, 16 + 16
  const int8_t* whole;  // q8: as they are
  int32_t* excess;
  float* scale;
};

OSSIA_INLINE Spread spread_at(const Act& x, int64_t t, int8_t* memory) {
  const int64_t padded = (x.width / 32 + 3) / 4 * 4;
  return {memory, memory + padded * 16, static_cast<const int8_t*>(x.data) + t * x.width,
          reinterpret_cast<int32_t*>(memory + padded * 32), reinterpret_cast<float*>(memory + padded * 48)};
}

static void spread(const Act& x, int64_t t, bool mxfp4, int8_t* memory) {
  const int64_t blocks = x.width / 32, padded = (blocks + 3) / 4 * 4;
  const Spread s = spread_at(x, t, memory);
  const int8_t* split = x.split + t * x.width;
  const int32_t* sums = x.sums + t * blocks;
  const float* scales = x.scales + t * blocks;
  const int32_t times = mxfp4 ? -kMxfp4Excess : -kQ8Excess;
  const float part = mxfp4 ? 0.5f : 1.0f;  // MXFP4's table holds doubles of the values
  for (int64_t b = 0; b < blocks; b++) {
    if (mxfp4) {
      std::memcpy(s.even + 16 * b, split + 32 * b, 16);
      std::memcpy(s.odd + 16 * b, split + 32 * b + 16, 16);
    }
    for (int r = 0; r < 4; r++) s.excess[4 * b + r] = times * sums[b];
    for (int r = 0; r < 4; r++) s.scale[4 * b + r] = part * scales[b];
  }
  const size_t rest = static_cast<size_t>(padded - blocks) * 16;
  std::memset(s.even + 16 * blocks, 0, rest);
  std::memset(s.odd + 16 * blocks, 0, rest);
  std::memset(s.excess + 4 * blocks, 0, rest);
  std::memset(s.scale + 4 * blocks, 0, rest);
}
#endif

#if OSSIA_LEVEL != OSSIA_NEON
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

OSSIA_INLINE void store4(float* out, __m128 x) { _mm_storeu_ps(out, x); }
#endif

#endif

#if OSSIA_LEVEL == OSSIA_AVX512
#include "q8_avx512.h"
#elif OSSIA_LEVEL == OSSIA_AVX2
#include "q8_avx2.h"
#elif OSSIA_LEVEL == OSSIA_NEON
#include "q8_neon.h"
#endif

#if OSSIA_LEVEL != OSSIA_SCALAR

// ---- few rows. The four weight rows of a step lie a quarter of the slab apart, so memory is read as four streams:
// with 4 KiB pages one stream starts anew at each page and gets two thirds of what four get. ----

constexpr int64_t kAhead = 2048;

// Row r of each quarter (past the end: the last row), and what to ask memory for: the rows some 2 KiB on, which may
// be the first ones of the next slab.
template <class W, class S>
struct FourRows {
  static constexpr int64_t kBlockBytes = sizeof(S) == 4 ? 32 : 16;
  const W* rows[4];
  const S* scales[4];
  const char *ask[4], *ask_scales[4];

  FourRows(const Slab& w, int64_t r, int64_t quarter) {
    const int64_t row_bytes = w.blocks() * kBlockBytes, ahead = 1 + kAhead / 2 / row_bytes;
    for (int i = 0; i < 4; i++) {
      const int64_t at = r + i * quarter < w.rows ? r + i * quarter : w.rows - 1;
      rows[i] = static_cast<const W*>(w.data) + at * row_bytes;
      scales[i] = static_cast<const S*>(w.scales) + at * w.blocks();
      ask[i] = later(w, w.data, w.next_data, r + ahead, i, quarter, row_bytes);
      ask_scales[i] = later(w, w.scales, w.next_scales, r + ahead + 1, i, quarter, w.blocks() * sizeof(S));
    }
  }
  // Row r of quarter i, or what follows it.
  static const char* later(const Slab& w, const void* data, const void* next, int64_t r, int i, int64_t quarter,
                           int64_t row_bytes) {
    const char* at = static_cast<const char*>(data);
    int64_t rows = w.rows;
    if (r >= quarter && next) at = static_cast<const char*>(next), r -= quarter, rows = w.next_rows;
    const int64_t row = r + i * ((rows + 3) / 4);
    return at + (row < rows ? row : rows - 1) * row_bytes;
  }
  // A row of scales is short: asked for at once.
  inline __attribute__((always_inline)) void prefetch_scales(int64_t blocks) const {
    for (int i = 0; i < 4; i++)
      for (int64_t at = 0; at < blocks; at += 64 / sizeof(S)) __builtin_prefetch(ask_scales[i] + at * sizeof(S));
  }
  inline __attribute__((always_inline)) void prefetch(int64_t b) const {
    for (int i = 0; i < 4; i++) {
      __builtin_prefetch(ask[i] + b * kBlockBytes);
      if (sizeof(S) == 4) __builtin_prefetch(ask[i] + b * kBlockBytes + 64);  // four int8 blocks are two lines
    }
  }
};

#if OSSIA_LEVEL == OSSIA_AVX512
#include "q8_quads.h"
#else

// C activation rows at once; the compiler unpacks the weights of a step once for all of them.
template <class W, class S, int C>
static void gemv(const Slab& w, const Spread* x, float* out, int64_t stride) {
  const int64_t blocks = w.blocks(), full = blocks / 4 * 4, quarter = (w.rows + 3) / 4;
  for (int64_t r = 0; r < quarter; r++) {
    const FourRows<W, S> four(w, r, quarter);
    four.prefetch_scales(blocks);
    Classes sums[C];
    for (int c = 0; c < C; c++) sums[c] = no_classes();
    for (int64_t b = 0; b < full; b += 4) {
      four.prefetch(b);
      for (int c = 0; c < C; c++) sums[c] = step(four.rows, four.scales, x[c], b, 4, sums[c]);
    }
    for (int c = 0; c < C; c++) {
      if (full < blocks) sums[c] = step(four.rows, four.scales, x[c], full, blocks - full, sums[c]);
      float y[4];
      store4(y, sum_classes(sums[c]));
      for (int64_t i = 0; i < 4 && r + i * quarter < w.rows; i++) out[c * stride + r + i * quarter] = y[i];
    }
  }
}

// Up to so many activation rows, unpacking a panel costs more than it saves; short weight rows are in cache anyway.
OSSIA_INLINE int64_t few(int64_t k) { return k < 2048 ? 2 : 4; }

OSSIA_INLINE int64_t few_bytes(int64_t count, int64_t k) { return count * ((k / 32 + 3) / 4 * 4) * 64; }
OSSIA_INLINE int64_t few_units(int64_t) { return 1; }

static void make_few(const Picked& x, int64_t, bool mxfp4, int8_t* ready) {
  for (int64_t c = 0; c < x.count; c++) spread(x.act, x.row(c), mxfp4, ready + few_bytes(c, x.act.width));
}

template <int C>
static void gemv_of(const Slab& w, const Picked& x, int8_t* ready, float* out, int64_t stride) {
  Spread s[C];
  for (int c = 0; c < C; c++) s[c] = spread_at(x.act, x.row(c), ready + few_bytes(c, w.k));
  if (w.kind == Kind::mxfp4)
    gemv<uint8_t, uint8_t, C>(w, s, out, stride);
  else
    gemv<int8_t, float, C>(w, s, out, stride);
}

static void few_products(const Slab& w, const Picked& x, int8_t* ready, float* out, int64_t stride) {
  switch (x.count) {
    case 1:
      return gemv_of<1>(w, x, ready, out, stride);
    case 2:
      return gemv_of<2>(w, x, ready, out, stride);
    case 3:
      return gemv_of<3>(w, x, ready, out, stride);
    case 4:
      return gemv_of<4>(w, x, ready, out, stride);
  }
}

#endif

// ---- gemm over both. A tile of C activation rows is laid out once per op in the order it is read: class by class of
// blocks mod 4, and in a block kGrain elements of each row until all are there, the excesses, the scales. The weights
// of one class of a panel stay in the first-level cache while every tile passes by. ----

// Where the four classes of a panel or tile begin, in blocks.
struct ClassStarts {
  int64_t at[5];
  explicit ClassStarts(int64_t blocks) : at{0, 0, 0, 0, 0} {
    for (int c = 1; c < 5; c++) at[c] = at[c - 1] + (blocks - (c - 1) + 3) / 4;
  }
};

// A tile of c_of rows from `first`.
template <bool kMxfp4>
static void make_tile(const Picked& x, int64_t first, int64_t c_of, int8_t* to) {
  const int64_t blocks = x.act.width / 32;
  const ClassStarts starts(blocks);
  for (int64_t c = 0; c < c_of; c++) {
    const int64_t t = x.row(first + c);
    const int8_t* q = (kMxfp4 ? x.act.split : static_cast<const int8_t*>(x.act.data)) + t * x.act.width;
    for (int64_t b = 0; b < blocks; b++) {
      int8_t* block = to + (starts.at[b % 4] + b / 4) * 40 * c_of;
      const int32_t excess = tile_excess<kMxfp4>(q + 32 * b, x.act.sums[t * blocks + b]);
      for (int i = 0; i < 32; i += kGrain) std::memcpy(block + i * c_of + c * kGrain, q + 32 * b + i, kGrain);
      std::memcpy(block + 32 * c_of + 4 * c, &excess, 4);
      std::memcpy(block + 36 * c_of + 4 * c, x.act.scales + t * blocks + b, 4);
    }
  }
}

// The tile's sums over one class join those of the classes before: (p0 + p1) + (p2 + p3).
template <int P, int C>
OSSIA_INLINE void join(int cls, const PanelSum (*sum)[C], float* low, float* high, int64_t rows, float* out,
                       int64_t stride) {
  for (int c = 0; c < C; c++)
    for (int p = 0; p < P; p++) {
      const int64_t at = (c * P + p) * kPanel, here = rows - p * kPanel < kPanel ? rows - p * kPanel : kPanel;
      if (cls == 0) store_sums(low + at, sum[p][c], kPanel);
      if (cls == 1) store_sums(low + at, add_sums(load_sums(low + at), sum[p][c]), kPanel);
      if (cls == 2) store_sums(high + at, sum[p][c], kPanel);
      if (cls == 3 && here > 0)
        store_sums(out + c * stride + p * kPanel,
                   add_sums(load_sums(low + at), add_sums(load_sums(high + at), sum[p][c])), here);
    }
}

// What the next panels will read, asked for line by line while these are multiplied; with few tiles to multiply there
// is no time for that, and unpacking asks for itself.
constexpr int64_t kFewTiles = 2;

struct Ahead {
  const char *data, *scales;
  int64_t data_lines, lines, each;  // `each`: lines a block of a tile asks for
  mutable int64_t at;

  template <bool kMxfp4>
  static Ahead of(const Slab& w, int64_t first, int64_t rows, int64_t tiles) {
    if (tiles <= kFewTiles || first >= w.rows) return {};
    const int64_t take = w.rows - first < rows ? w.rows - first : rows, blocks = w.blocks();
    const int64_t row_bytes = blocks * (kMxfp4 ? 16 : 32), row_scales = blocks * (kMxfp4 ? 1 : 4);
    const int64_t data_lines = take * row_bytes / 64 + 1, lines = data_lines + take * row_scales / 64 + 1;
    const char* data = static_cast<const char*>(w.data) + first * row_bytes;
    const char* scales = static_cast<const char*>(w.scales) + first * row_scales;
    return {data, scales, data_lines, lines, (lines + tiles * blocks - 1) / (tiles * blocks), 0};
  }
  inline __attribute__((always_inline)) void ask() const {
    for (int64_t i = 0; i < each && at < lines; i++, at++)
      __builtin_prefetch(at < data_lines ? data + 64 * at : scales + 64 * (at - data_lines), 0, 2);
  }
};

// One class of P interleaved panels, with room for the sums of all tiles.
struct PanelClass {
  const Ahead& ahead;
  const uint8_t* w;
  const float* scales;
  int cls;
  int64_t begin, blocks, rows;
  float *low = nullptr, *high = nullptr, *out = nullptr;
  int64_t stride = 0;
};

template <int P, int C, bool kMxfp4>
static void tile(const PanelClass& j, const int8_t* x, int64_t first) {
  PanelSum sums[P][C];
  panel_class<P, C, kMxfp4>(j.w, j.scales, x + j.begin * 40 * C, j.blocks, j.ahead, sums);
  const int64_t at = first * P * kPanel;
  join<P, C>(j.cls, sums, j.low + at, j.high + at, j.rows, j.out + first * j.stride, j.stride);
}

template <bool kMxfp4, int... kLess>
static void all_tiles(const PanelClass& j, const int8_t* x, int64_t count, int64_t row_bytes,
                      std::integer_sequence<int, kLess...>) {
  using Tile = void (*)(const PanelClass&, const int8_t*, int64_t);
  static constexpr Tile kTiles[kPanelCols] = {tile<kPanels, kLess + 1, kMxfp4>...};
  for (int64_t i = 0; i < count; i += kPanelCols)
    kTiles[(count - i < kPanelCols ? count - i : kPanelCols) - 1](j, x + i * row_bytes, i);
}

// Weight rows [first, first + kPanel) of the slab, the last one repeated past its end, as one of kPanels interleaved.
template <bool kMxfp4>
static void unpack_panel(const Slab& w, int64_t first, bool ask, uint8_t* out, float* scales) {
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
    for (int r = 0; ask && r < kPanel; r++) {
      __builtin_prefetch(rows[r] + b * block_bytes + ahead);
      if (!kMxfp4) __builtin_prefetch(rows[r] + b * block_bytes + ahead + 64);
    }
    float* to[4];
    for (int64_t i = 0; i < have; i++) {
      const int64_t place = (starts.at[i] + b / 4) * kPanels * kPanel;
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
static void gemm(const Slab& w, int64_t count, const int8_t* ready, float* out, int64_t stride, Scratch& scratch) {
  constexpr int64_t kRows = kPanels * kPanel;
  const int64_t blocks = w.blocks(), tiles = (count + kPanelCols - 1) / kPanelCols;
  const ClassStarts starts(blocks);
  uint8_t* panel = scratch.get<uint8_t>(7, blocks * kRows * 36);
  float* scales = reinterpret_cast<float*>(panel + blocks * kRows * 32);
  float* low = scratch.get<float>(6, 2 * count * kRows);
  for (int64_t r = 0; r < w.rows; r += kRows) {
    for (int64_t p = 0; p < kPanels; p++)
      unpack_panel<kMxfp4>(w, r + p * kPanel, tiles <= kFewTiles, panel + p * 32 * kPanel, scales + p * kPanel);
    const int64_t rows = w.rows - r < kRows ? w.rows - r : kRows;
    const Ahead ahead = Ahead::of<kMxfp4>(w, r + kRows, kRows, tiles);
    for (int cls = 0; cls < 4; cls++) {
      const int64_t at = starts.at[cls];
      PanelClass j{ahead, panel + at * kRows * 32, scales + at * kRows, cls, at, starts.at[cls + 1] - at, rows};
      j.low = low, j.high = low + count * kRows, j.out = out + r, j.stride = stride;
      all_tiles<kMxfp4>(j, ready, count, blocks * 40, std::make_integer_sequence<int, kPanelCols>());
    }
  }
}

// So many activation rows at a time that they stay in the second-level cache while the weights pass by.
constexpr int64_t kCached = 1100 << 10;

template <bool kMxfp4>
static void gemm_in_parts(const Slab& w, int64_t count, const int8_t* ready, float* out, int64_t stride,
                          Scratch& scratch) {
  const int64_t row_bytes = w.blocks() * 40;
  const int64_t fit = kCached / row_bytes / kPanelCols * kPanelCols, most = fit > kPanelCols ? fit : kPanelCols;
  for (int64_t i = 0; i < count; i += most)
    gemm<kMxfp4>(w, count - i < most ? count - i : most, ready + i * row_bytes, out + i * stride, stride, scratch);
}

OSSIA_INLINE int64_t ready_bytes(Numerics numerics, int64_t count, int64_t k) {
  if (numerics != Numerics::q8) return 0;
  return count <= few(k) ? few_bytes(count, k) : (count * (k / 32) * 40 + 63) / 64 * 64;
}

OSSIA_INLINE int64_t ready_units(const Picked& x) {
  if (x.act.numerics != Numerics::q8) return 0;
  return x.count <= few(x.act.width) ? few_units(x.count) : (x.count + kPanelCols - 1) / kPanelCols;
}

static void make_ready(Kind kind, const Picked& x, int64_t unit, int8_t* ready) {
  const int64_t blocks = x.act.width / 32, first = unit * kPanelCols;
  if (x.count <= few(x.act.width)) return make_few(x, unit, kind == Kind::mxfp4, ready);
  const int64_t count = x.count - first < kPanelCols ? x.count - first : kPanelCols;
  if (kind == Kind::mxfp4) return make_tile<true>(x, first, count, ready + first * blocks * 40);
  return make_tile<false>(x, first, count, ready + first * blocks * 40);
}

static void q8_fast(const Slab& w, const Picked& x, int8_t* ready, float* out, int64_t stride, Scratch& scratch) {
  if (x.count <= few(w.k)) return few_products(w, x, ready, out, stride);
  if (w.kind == Kind::mxfp4) return gemm_in_parts<true>(w, x.count, ready, out, stride, scratch);
  return gemm_in_parts<false>(w, x.count, ready, out, stride, scratch);
}

#else

OSSIA_INLINE int64_t ready_bytes(Numerics, int64_t, int64_t) { return 0; }
OSSIA_INLINE int64_t ready_units(const Picked&) { return 0; }
OSSIA_INLINE void make_ready(Kind, const Picked&, int64_t, int8_t*) {}

#endif

#include "f32_dots.h"

// out[i * stride + r] = dot of weight row r and picked activation row i. `ready` holds what make_ready wrote for each
// unit of these rows: ready_bytes of memory, once per op and not per task.
static void dots(const Slab& w, const Picked& x, [[maybe_unused]] int8_t* ready, float* out, int64_t stride,
                 Scratch& scratch) {
  switch (x.act.numerics) {
#if OSSIA_LEVEL == OSSIA_SCALAR
    case Numerics::q8:
      return q8_plain(w, x, out, stride);
#else
    case Numerics::q8:
      return q8_fast(w, x, ready, out, stride, scratch);
#endif
    case Numerics::bf16:
      return lanes_dots<uint16_t>(w, x, out, stride, scratch);
    default:
      return lanes_dots<float>(w, x, out, stride, scratch);
  }
}
