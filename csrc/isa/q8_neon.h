// The int8 steps of NEON: signed by signed, so nothing is taken back. Four rows by a block for gemv with sdot; 8-row
// panels for gemm with sdot, or with smmla where OSSIA_FAST_INT8 (see dots.h, which includes this inside its
// instruction set's namespace; no include guard).

OSSIA_INLINE int8x16_t mxfp4_table() {
  static const int8_t values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
  return vld1q_s8(values);
}
OSSIA_INLINE int8x16_t low_values(uint8x16_t n) { return vqtbl1q_s8(mxfp4_table(), vandq_u8(n, vdupq_n_u8(15))); }
OSSIA_INLINE int8x16_t high_values(uint8x16_t n) { return vqtbl1q_s8(mxfp4_table(), vshrq_n_u8(n, 4)); }

// ---- gemv: four rows ----

struct Classes {
  float32x4_t sum[4];  // by class, rows in lanes
};
OSSIA_INLINE Classes no_classes() {
  const float32x4_t none = vdupq_n_f32(0);
  return {{none, none, none, none}};
}
OSSIA_INLINE float32x4_t sum_classes(Classes c) {
  return vaddq_f32(vaddq_f32(c.sum[0], c.sum[1]), vaddq_f32(c.sum[2], c.sum[3]));
}
OSSIA_INLINE void store4(float* out, float32x4_t x) { vst1q_f32(out, x); }

// acc + the dots of four rows, each still in four parts, times their scales.
OSSIA_INLINE float32x4_t add_block(const int32x4_t* a, float32x4_t scales, const float* x_scale, float32x4_t acc) {
  const int32x4_t dot = vpaddq_s32(vpaddq_s32(a[0], a[1]), vpaddq_s32(a[2], a[3]));
  return vfmaq_f32(acc, vcvtq_f32_s32(dot), vmulq_f32(scales, vld1q_f32(x_scale)));
}

OSSIA_INLINE float32x4_t four_powers(const uint8_t* const* s, int64_t b) {  // 2^(e-127); 255 is NaN
  const uint32_t e[4] = {s[0][b], s[1][b], s[2][b], s[3][b]};
  const uint32x4_t wide = vld1q_u32(e), power = vmaxq_u32(vshlq_n_u32(wide, 23), vdupq_n_u32(0x00400000));
  return vreinterpretq_f32_u32(vbslq_u32(vceqq_u32(wide, vdupq_n_u32(255)), vdupq_n_u32(0x7fc00000), power));
}

OSSIA_INLINE Classes step(const uint8_t* const* w, const uint8_t* const* s, const Spread& x, int64_t b, int64_t have,
                          Classes c) {
  for (int i = 0; i < 4 && i < have; i++) {
    const int8x16_t even = vld1q_s8(x.even + 16 * (b + i)), odd = vld1q_s8(x.odd + 16 * (b + i));
    int32x4_t a[4];
    for (int r = 0; r < 4; r++) {
      const uint8x16_t n = vld1q_u8(w[r] + 16 * (b + i));
      a[r] = vdotq_s32(vdotq_s32(vdupq_n_s32(0), low_values(n), even), high_values(n), odd);
    }
    c.sum[i] = add_block(a, four_powers(s, b + i), x.scale + 4 * (b + i), c.sum[i]);
  }
  return c;
}

OSSIA_INLINE Classes step(const int8_t* const* w, const float* const* s, const Spread& x, int64_t b, int64_t have,
                          Classes c) {
  for (int i = 0; i < 4 && i < have; i++) {
    const int8x16_t x0 = vld1q_s8(x.whole + 32 * (b + i)), x1 = vld1q_s8(x.whole + 32 * (b + i) + 16);
    int32x4_t a[4];
    for (int r = 0; r < 4; r++) {
      const int8_t* p = w[r] + 32 * (b + i);
      a[r] = vdotq_s32(vdotq_s32(vdupq_n_s32(0), vld1q_s8(p), x0), vld1q_s8(p + 16), x1);
    }
    const float ws[4] = {s[0][b + i], s[1][b + i], s[2][b + i], s[3][b + i]};
    c.sum[i] = add_block(a, vld1q_f32(ws), x.scale + 4 * (b + i), c.sum[i]);
  }
  return c;
}

// ---- gemm panel: 8 rows, 256 bytes a block ----

constexpr int kPanel = 8, kPanelCols = 8, kPanels = 1, kGrain = OSSIA_FAST_INT8 ? 8 : 4;
template <bool kMxfp4>
OSSIA_INLINE int32_t tile_excess(const int8_t*, int32_t) {
  return 0;
}
struct PanelSum {
  float32x4_t low, high;
};

#if OSSIA_FAST_INT8

// Four groups of 8 elements; in a group two rows side by side, four times.
OSSIA_INLINE void store_pair(int8x16_t r0, int8x16_t r1, int pair, uint8_t* group) {
  const uint64x2_t a = vreinterpretq_u64_s8(r0), b = vreinterpretq_u64_s8(r1);
  vst1q_u8(group + 16 * pair, vreinterpretq_u8_u64(vzip1q_u64(a, b)));
  vst1q_u8(group + 64 + 16 * pair, vreinterpretq_u8_u64(vzip2q_u64(a, b)));
}

OSSIA_INLINE void unpack_mxfp4(const char* const* rows, int64_t b, uint8_t* out) {
  for (int p = 0; p < 4; p++) {
    const uint8x16_t n0 = vld1q_u8(reinterpret_cast<const uint8_t*>(rows[2 * p] + 16 * b));
    const uint8x16_t n1 = vld1q_u8(reinterpret_cast<const uint8_t*>(rows[2 * p + 1] + 16 * b));
    store_pair(low_values(n0), low_values(n1), p, out);
    store_pair(high_values(n0), high_values(n1), p, out + 128);
  }
}

OSSIA_INLINE void unpack_q8(const char* const* rows, int64_t b, uint8_t* out) {
  for (int p = 0; p < 4; p++) {
    const int8_t* r0 = reinterpret_cast<const int8_t*>(rows[2 * p] + 32 * b);
    const int8_t* r1 = reinterpret_cast<const int8_t*>(rows[2 * p + 1] + 32 * b);
    store_pair(vld1q_s8(r0), vld1q_s8(r1), p, out);
    store_pair(vld1q_s8(r0 + 16), vld1q_s8(r1 + 16), p, out + 128);
  }
}

#else

// 16 bytes of eight rows to 4 pieces of 8 words: word v of row r is lane r of piece v.
OSSIA_INLINE void bytes_by_row(const char* const* rows, int64_t at, uint8x16_t (*d)[2]) {
  for (int half = 0; half < 2; half++) {
    uint32x4_t n[4];
    for (int i = 0; i < 4; i++)
      n[i] = vreinterpretq_u32_u8(vld1q_u8(reinterpret_cast<const uint8_t*>(rows[4 * half + i] + at)));
    const uint32x4_t a = vzip1q_u32(n[0], n[2]), b = vzip1q_u32(n[1], n[3]);
    const uint32x4_t e = vzip2q_u32(n[0], n[2]), f = vzip2q_u32(n[1], n[3]);
    d[0][half] = vreinterpretq_u8_u32(vzip1q_u32(a, b));
    d[1][half] = vreinterpretq_u8_u32(vzip2q_u32(a, b));
    d[2][half] = vreinterpretq_u8_u32(vzip1q_u32(e, f));
    d[3][half] = vreinterpretq_u8_u32(vzip2q_u32(e, f));
  }
}

OSSIA_INLINE void unpack_mxfp4(const char* const* rows, int64_t b, uint8_t* out) {
  uint8x16_t d[4][2];
  bytes_by_row(rows, 16 * b, d);
  for (int v = 0; v < 4; v++)
    for (int half = 0; half < 2; half++) {
      vst1q_u8(out + 32 * v + 16 * half, vreinterpretq_u8_s8(low_values(d[v][half])));
      vst1q_u8(out + 128 + 32 * v + 16 * half, vreinterpretq_u8_s8(high_values(d[v][half])));
    }
}

OSSIA_INLINE void unpack_q8(const char* const* rows, int64_t b, uint8_t* out) {
  uint8x16_t d[4][2];
  for (int part = 0; part < 2; part++) {
    bytes_by_row(rows, 32 * b + 16 * part, d);
    for (int v = 0; v < 4; v++)
      for (int half = 0; half < 2; half++) vst1q_u8(out + 128 * part + 32 * v + 16 * half, d[v][half]);
  }
}

#endif

OSSIA_INLINE void panel_scales(const uint8_t* const* rows, int64_t b, int64_t have, float* const* out) {
  for (int64_t i = 0; i < have; i++)
    for (int r = 0; r < 8; r++) out[i][r] = mxfp4_half_scale(rows[r][b + i]);
}

OSSIA_INLINE void panel_scales(const float* const* rows, int64_t b, int64_t have, float* const* out) {
  for (int64_t i = 0; i < have; i++)
    for (int r = 0; r < 8; r++) out[i][r] = rows[r][b + i];
}

// One block of the panel times C rows of a tile: dots of rows 0-3 and 4-7 with each.
#if OSSIA_FAST_INT8

template <int C>
OSSIA_INLINE void panel_block(const int8_t* w, const int8_t* x, int32x4_t (*dot)[2]) {
  constexpr int kPairs = (C + 1) / 2;
  int32x4_t a[4][kPairs];
  for (int p = 0; p < 4; p++)
    for (int c = 0; c < kPairs; c++) a[p][c] = vdupq_n_s32(0);
#pragma GCC unroll 4
  for (int g = 0; g < 4; g++) {
    int8x16_t four[4];
    for (int p = 0; p < 4; p++) four[p] = vld1q_s8(w + 64 * g + 16 * p);
#pragma GCC unroll 4
    for (int c = 0; c < kPairs; c++) {
      const int8_t* from = x + 8 * (g * C + 2 * c);
      const int8x8_t none = vdup_n_s8(0);
      const int8x16_t two = 2 * c + 1 < C ? vld1q_s8(from) : vcombine_s8(vld1_s8(from), none);
      for (int p = 0; p < 4; p++) a[p][c] = vmmlaq_s32(a[p][c], four[p], two);
    }
  }
#pragma GCC unroll 8
  for (int c = 0; c < C; c++)
    for (int half = 0; half < 2; half++) {
      const int32x4_t p = a[2 * half][c / 2], q = a[2 * half + 1][c / 2];
      dot[c][half] = c % 2 ? vuzp2q_s32(p, q) : vuzp1q_s32(p, q);
    }
}

#else

OSSIA_INLINE void add_four(int8x16_t w, int8x16_t x, int half, int32x4_t (*dot)[2]) {
  dot[0][half] = vdotq_laneq_s32(dot[0][half], w, x, 0);
  dot[1][half] = vdotq_laneq_s32(dot[1][half], w, x, 1);
  dot[2][half] = vdotq_laneq_s32(dot[2][half], w, x, 2);
  dot[3][half] = vdotq_laneq_s32(dot[3][half], w, x, 3);
}

template <int C>
OSSIA_INLINE void panel_block(const int8_t* w, const int8_t* x, int32x4_t (*dot)[2]) {
  for (int c = 0; c < C; c++) dot[c][0] = dot[c][1] = vdupq_n_s32(0);
#pragma GCC unroll 8
  for (int i = 0; i < 8; i++) {
    const int8x16_t w0 = vld1q_s8(w + 32 * i), w1 = vld1q_s8(w + 32 * i + 16);
    const int8_t* words = x + 4 * i * C;
    int c = 0;
#pragma GCC unroll 2
    for (; c + 4 <= C; c += 4) {
      const int8x16_t four = vld1q_s8(words + 4 * c);
      add_four(w0, four, 0, dot + c);
      add_four(w1, four, 1, dot + c);
    }
#pragma GCC unroll 4
    for (; c < C; c++) {
      const int8x16_t one = vreinterpretq_s8_s32(vld1q_dup_s32(reinterpret_cast<const int32_t*>(words + 4 * c)));
      dot[c][0] = vdotq_s32(dot[c][0], w0, one);
      dot[c][1] = vdotq_s32(dot[c][1], w1, one);
    }
  }
}

#endif

template <int P, int C, bool kMxfp4, class Ahead>
OSSIA_INLINE void panel_class(const uint8_t* w, const float* ws, const int8_t* x, int64_t blocks, const Ahead& ahead,
                              PanelSum (*out)[C]) {
  for (int c = 0; c < C; c++) out[0][c] = {vdupq_n_f32(0), vdupq_n_f32(0)};
  for (int64_t b = 0; b < blocks; b++, w += 256, ws += 8, x += 40 * C) {
    ahead.ask();
    int32x4_t dot[C][2];
    panel_block<C>(reinterpret_cast<const int8_t*>(w), x, dot);
    const float* xs = reinterpret_cast<const float*>(x + 36 * C);
    const float32x4_t low = vld1q_f32(ws), high = vld1q_f32(ws + 4);
#pragma GCC unroll 8
    for (int c = 0; c < C; c++) {
      out[0][c].low = vfmaq_f32(out[0][c].low, vcvtq_f32_s32(dot[c][0]), vmulq_n_f32(low, xs[c]));
      out[0][c].high = vfmaq_f32(out[0][c].high, vcvtq_f32_s32(dot[c][1]), vmulq_n_f32(high, xs[c]));
    }
  }
}
OSSIA_INLINE PanelSum load_sums(const float* p) { return {vld1q_f32(p), vld1q_f32(p + 4)}; }
OSSIA_INLINE PanelSum add_sums(PanelSum a, PanelSum b) { return {vaddq_f32(a.low, b.low), vaddq_f32(a.high, b.high)}; }
OSSIA_INLINE void store_sums(float* out, PanelSum a, int64_t rows) {
  float all[8];
  float* to = rows == 8 ? out : all;
  vst1q_f32(to, a.low);
  vst1q_f32(to + 4, a.high);
  if (rows != 8) std::memcpy(out, all, static_cast<size_t>(rows) * sizeof(float));
}
