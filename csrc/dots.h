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
    case Numerics::q8: return q8_plain(w, x, out, stride);
    case Numerics::bf16: return lanes_dots<uint16_t>(w, x, out, stride, scratch);
    default: return lanes_dots<float>(w, x, out, stride, scratch);
  }
}
