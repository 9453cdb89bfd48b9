// Dots in f32 and bf16 numerics, and what dots.h asks of them: 16 lanes along the row, one fused addition each (ops.h).
// Few activation rows read the weights as they lie; more share a slab of weight rows brought to f32 once, which stays in
// the second-level cache while every tile of activation rows passes, piece by piece of the width. Included by dots.h,
// inside its instruction set's namespace (no include guard).

OSSIA_INLINE const uint8_t* scales_of(const Slab& w, int64_t row) {
  return static_cast<const uint8_t*>(w.scales) + row * w.blocks();
}

// A weight row as f32, 16 values every `step` floats.
static void widen_row(const Slab& w, int64_t row, float* out, int64_t step) {
  if (w.kind == Kind::mxfp4) {
    const uint8_t *n = static_cast<const uint8_t*>(w.data) + row * w.k / 2, *s = scales_of(w, row);
    for (int64_t b = 0; b < w.blocks(); b++) {
      const Mxfp4Table table = scaled_table(mxfp4_half_scale(s[b]));
      store(out + 2 * b * step, decode16(n + 16 * b, table));
      store(out + (2 * b + 1) * step, decode16(n + 16 * b + 8, table));
    }
  } else if (w.kind == Kind::bf16) {
    const uint16_t* from = static_cast<const uint16_t*>(w.data) + row * w.k;
    for (int64_t i = 0; i < w.k; i += 16) store(out + i / 16 * step, load(from + i));
  } else {
    const float* from = static_cast<const float*>(w.data) + row * w.k;
    for (int64_t i = 0; i < w.k; i += 16) store(out + i / 16 * step, load(from + i));
  }
}

#if OSSIA_LEVEL == OSSIA_SCALAR

template <class X>
void lanes_dots(const Slab& w, const Picked& x, float* out, int64_t stride, Scratch& scratch) {
  float* row = scratch.get<float>(4, w.k);
  for (int64_t r = 0; r < w.rows; r++) {
    widen_row(w, r, row, 16);
    for (int64_t i = 0; i < x.count; i++) {
      const X* from = static_cast<const X*>(x.act.data) + x.row(i) * w.k;
      V sum = zero();
      for (int64_t k = 0; k < w.k; k += 16) sum = fma(load(from + k), load(row + k), sum);
      out[i * stride + r] = tree_sum(sum);
    }
  }
}

#else

// Weight rows by activation rows whose sums fit the registers: directly from the weights, and from a slab.
#if OSSIA_LEVEL == OSSIA_AVX512
constexpr int kDirectRows = 4, kDirectCols = 4, kSlabRows = 4, kSlabCols = 6;
#else
constexpr int kDirectRows = 2, kDirectCols = 2, kSlabRows = 2, kSlabCols = 3;
#endif
constexpr int kMostDirect = 2 * kDirectCols;  // up to so many rows, bringing a slab costs more than it saves

// ---- few activation rows ----

// A row of weights of each part of the slab (past the end: the last row), read 32 values at a time.
template <class W>
struct Direct {
  const W* rows[kDirectRows];
  Direct(const Slab& w, int64_t r, int64_t part) {
    for (int i = 0; i < kDirectRows; i++) rows[i] = static_cast<const W*>(w.data) + clipped(w, r + i * part) * w.k;
  }
  static int64_t clipped(const Slab& w, int64_t row) { return row < w.rows ? row : w.rows - 1; }
  inline __attribute__((always_inline)) void read(int row, int64_t at, V* v) const {
    for (size_t line = 0; line < 32 * sizeof(W); line += 64)
      __builtin_prefetch(reinterpret_cast<const char*>(rows[row] + at) + kAhead + line);
    v[0] = load(rows[row] + at);
    v[1] = load(rows[row] + at + 16);
  }
};

template <>
struct Direct<uint8_t> {
  const uint8_t *rows[kDirectRows], *scales[kDirectRows];
  Direct(const Slab& w, int64_t r, int64_t part) {
    for (int i = 0; i < kDirectRows; i++) {
      const int64_t row = Direct<float>::clipped(w, r + i * part);
      rows[i] = static_cast<const uint8_t*>(w.data) + row * w.k / 2;
      scales[i] = scales_of(w, row);
    }
  }
  inline __attribute__((always_inline)) void read(int row, int64_t at, V* v) const {
    const uint8_t* n = rows[row] + at / 2;
    __builtin_prefetch(n + kAhead);
    const Mxfp4Table table = scaled_table(mxfp4_half_scale(scales[row][at / 32]));
    v[0] = decode16(n, table);
    v[1] = decode16(n + 8, table);
  }
};

template <class W, class X, int C>
static void direct(const Slab& w, const Picked& x, int64_t first, float* out, int64_t stride) {
  const int64_t part = (w.rows + kDirectRows - 1) / kDirectRows;
  const X* from[C];
  for (int c = 0; c < C; c++) from[c] = static_cast<const X*>(x.act.data) + x.row(first + c) * w.k;
  for (int64_t r = 0; r < part; r++) {
    const Direct<W> weights(w, r, part);
    V sums[kDirectRows][C];
    for (int i = 0; i < kDirectRows; i++)
      for (int c = 0; c < C; c++) sums[i][c] = zero();
    for (int64_t k = 0; k < w.k; k += 32)
      for (int i = 0; i < kDirectRows; i++) {
        V v[2];
        weights.read(i, k, v);
        for (int c = 0; c < C; c++)
          for (int half = 0; half < 2; half++)
            sums[i][c] = fma(load(from[c] + k + 16 * half), v[half], sums[i][c]);
      }
    for (int i = 0; i < kDirectRows && r + i * part < w.rows; i++)
      for (int c = 0; c < C; c++) out[(first + c) * stride + r + i * part] = tree_sum(sums[i][c]);
  }
}

template <class W, class X, int... kLess>
static void direct_rows(const Slab& w, const Picked& x, float* out, int64_t stride,
                        std::integer_sequence<int, kLess...>) {
  using Some = void (*)(const Slab&, const Picked&, int64_t, float*, int64_t);
  static constexpr Some kSome[kDirectCols] = {direct<W, X, kLess + 1>...};
  for (int64_t i = 0; i < x.count; i += kDirectCols)
    kSome[(x.count - i < kDirectCols ? x.count - i : kDirectCols) - 1](w, x, i, out, stride);
}

// ---- a slab of weight rows for many ----

constexpr int64_t kSlab = 64, kPiece = 960;  // rows; values of the width that a tile keeps in the first-level cache

// Columns [begin, end) of the slab's next rows by C activation rows, both laid out as they are read: 16 values of each
// row in turn. The sums rest in memory between pieces.
template <int C>
OSSIA_INLINE void add_piece(const float* w, const float* x, int64_t begin, int64_t end, float* rest) {
  constexpr int R = kSlabRows;
  V sums[R][C];
  for (int r = 0; r < R; r++)
    for (int c = 0; c < C; c++) sums[r][c] = begin ? load(rest + (r * C + c) * 16) : zero();
  for (int64_t i = begin; i < end; i += 16) {
    V a[R];
    for (int r = 0; r < R; r++) a[r] = load(w + i * R + r * 16);
    for (int c = 0; c < C; c++) {
      const V b = load(x + i * C + c * 16);
      for (int r = 0; r < R; r++) sums[r][c] = fma(a[r], b, sums[r][c]);
    }
  }
  for (int r = 0; r < R; r++)
    for (int c = 0; c < C; c++) store(rest + (r * C + c) * 16, sums[r][c]);
}

template <int C>
static void slab_tile(const float* w, int64_t rows, const float* x, int64_t k, float* rest, float* out,
                      int64_t stride) {
  for (int64_t begin = 0; begin < k; begin += kPiece) {
    const int64_t end = begin + kPiece < k ? begin + kPiece : k;
    for (int64_t r = 0; r < rows; r += kSlabRows) add_piece<C>(w + r * k, x, begin, end, rest + r * C * 16);
  }
  for (int64_t r = 0; r < rows; r++)
    for (int c = 0; c < C; c++) out[c * stride + r] = tree_sum(load(rest + (r * C + c) * 16));
}

template <class X>
OSSIA_INLINE void widen_rows(const Picked& x, int64_t first, int64_t count, float* to) {
  const int64_t k = x.act.width;
  for (int64_t c = 0; c < count; c++) {
    const X* from = static_cast<const X*>(x.act.data) + x.row(first + c) * k;
    for (int64_t i = 0; i < k; i += 16) store(to + i * count + c * 16, load(from + i));
  }
}

template <class X, int... kLess>
static void slab_tiles(const float* w, int64_t rows, const Picked& x, float* out, int64_t stride, Scratch& scratch,
                       std::integer_sequence<int, kLess...>) {
  using Tile = void (*)(const float*, int64_t, const float*, int64_t, float*, float*, int64_t);
  static constexpr Tile kTiles[kSlabCols] = {slab_tile<kLess + 1>...};
  const int64_t k = x.act.width;
  float *tile = scratch.get<float>(5, kSlabCols * k), *rest = scratch.get<float>(6, kSlab * kSlabCols * 16);
  for (int64_t i = 0; i < x.count; i += kSlabCols) {
    const int64_t count = x.count - i < kSlabCols ? x.count - i : kSlabCols;
    widen_rows<X>(x, i, count, tile);
    kTiles[count - 1](w, rows, tile, k, rest, out + i * stride, stride);
  }
}

template <class X>
static void lanes_dots(const Slab& w, const Picked& x, float* out, int64_t stride, Scratch& scratch) {
  if (x.count <= kMostDirect) {
    constexpr auto some = std::make_integer_sequence<int, kDirectCols>();
    if (w.kind == Kind::mxfp4) return direct_rows<uint8_t, X>(w, x, out, stride, some);
    return direct_rows<X, X>(w, x, out, stride, some);
  }
  float* wide = scratch.get<float>(4, kSlab * w.k);
  for (int64_t first = 0; first < w.rows; first += kSlab) {
    const int64_t rows = w.rows - first < kSlab ? w.rows - first : kSlab;
    for (int64_t r = 0; r < (rows + kSlabRows - 1) / kSlabRows * kSlabRows; r++) {  // past the end: the last row
      float* to = wide + r / kSlabRows * kSlabRows * w.k + r % kSlabRows * 16;
      widen_row(w, first + (r < rows ? r : rows - 1), to, kSlabRows * 16);
    }
    slab_tiles<X>(wide, rows, x, out + first, stride, scratch, std::make_integer_sequence<int, kSlabCols>());
  }
}

#endif
