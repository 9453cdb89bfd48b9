// The sixteen float lanes of lanes.h in NEON: four registers of four, and the small things built from them. Included by
// lanes.h, inside the instruction set's namespace (no include guard).

struct V {
  float32x4_t a, b, c, d;
};
OSSIA_INLINE V set1(float x) {
  const float32x4_t v = vdupq_n_f32(x);
  return {v, v, v, v};
}
OSSIA_INLINE V zero() { return set1(0); }
OSSIA_INLINE V load(const float* p) { return {vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)}; }
OSSIA_INLINE float32x4_t widen_bf16(uint16x4_t x) { return vreinterpretq_f32_u32(vshlq_n_u32(vmovl_u16(x), 16)); }
OSSIA_INLINE V load(const uint16_t* p) {
  const uint16x8_t x = vld1q_u16(p), y = vld1q_u16(p + 8);
  return {widen_bf16(vget_low_u16(x)), widen_bf16(vget_high_u16(x)), widen_bf16(vget_low_u16(y)),
          widen_bf16(vget_high_u16(y))};
}
OSSIA_INLINE V load(const int8_t* p) {
  const int8x16_t x = vld1q_s8(p);
  const int16x8_t low = vmovl_s8(vget_low_s8(x)), high = vmovl_s8(vget_high_s8(x));
  return {vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(low))),
          vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(high)))};
}
OSSIA_INLINE void store(float* p, V x) {
  vst1q_f32(p, x.a);
  vst1q_f32(p + 4, x.b);
  vst1q_f32(p + 8, x.c);
  vst1q_f32(p + 12, x.d);
}

// Each operation on four lanes, four times.
#define OSSIA_FOURS(f, x, y) \
  { f((x).a, (y).a), f((x).b, (y).b), f((x).c, (y).c), f((x).d, (y).d) }
OSSIA_INLINE V add(V x, V y) { return OSSIA_FOURS(vaddq_f32, x, y); }
OSSIA_INLINE V sub(V x, V y) { return OSSIA_FOURS(vsubq_f32, x, y); }
OSSIA_INLINE V mul(V x, V y) { return OSSIA_FOURS(vmulq_f32, x, y); }
OSSIA_INLINE V div(V x, V y) { return OSSIA_FOURS(vdivq_f32, x, y); }
OSSIA_INLINE V fma(V x, V y, V z) {
  return {vfmaq_f32(z.a, x.a, y.a), vfmaq_f32(z.b, x.b, y.b), vfmaq_f32(z.c, x.c, y.c), vfmaq_f32(z.d, x.d, y.d)};
}
OSSIA_INLINE float32x4_t max4(float32x4_t x, float32x4_t y) { return vbslq_f32(vcgtq_f32(x, y), x, y); }  // as x86
OSSIA_INLINE float32x4_t min4(float32x4_t x, float32x4_t y) { return vbslq_f32(vcltq_f32(x, y), x, y); }
OSSIA_INLINE V max(V x, V y) { return OSSIA_FOURS(max4, x, y); }
OSSIA_INLINE V min(V x, V y) { return OSSIA_FOURS(min4, x, y); }
OSSIA_INLINE V where_less(V x, V y, V p, V q) {
  return {vbslq_f32(vcltq_f32(x.a, y.a), p.a, q.a), vbslq_f32(vcltq_f32(x.b, y.b), p.b, q.b),
          vbslq_f32(vcltq_f32(x.c, y.c), p.c, q.c), vbslq_f32(vcltq_f32(x.d, y.d), p.d, q.d)};
}
OSSIA_INLINE float32x4_t magnitude_max4(float32x4_t m, float32x4_t x) {
  const uint32x4_t u = vandq_u32(vreinterpretq_u32_f32(x), vdupq_n_u32(0x7fffffff));
  return vreinterpretq_f32_u32(vmaxq_u32(vreinterpretq_u32_f32(m), u));
}
OSSIA_INLINE V magnitude_max(V m, V x) { return OSSIA_FOURS(magnitude_max4, m, x); }
OSSIA_INLINE float32x4_t times_power4(float32x4_t p, float32x4_t n) {
  const uint32x4_t e = vsubq_u32(vreinterpretq_u32_f32(n), vdupq_n_u32(0x4b400000 - 127));
  return vmulq_f32(p, vreinterpretq_f32_u32(vshlq_n_u32(e, 23)));
}
OSSIA_INLINE V times_power_of_two(V p, V n) { return OSSIA_FOURS(times_power4, p, n); }
OSSIA_INLINE uint16x8_t low_halves(float32x4_t x, float32x4_t y) {
  return vuzp1q_u16(vreinterpretq_u16_f32(x), vreinterpretq_u16_f32(y));
}
OSSIA_INLINE void store_i8(int8_t* p, V n) {
  vst1q_s8(p, vuzp1q_s8(vreinterpretq_s8_u16(low_halves(n.a, n.b)), vreinterpretq_s8_u16(low_halves(n.c, n.d))));
}
OSSIA_INLINE uint16x4_t to_bf16(float32x4_t x) {
  const uint32x4_t u = vreinterpretq_u32_f32(x), top = vshrq_n_u32(u, 16);
  const uint32x4_t even = vandq_u32(top, vdupq_n_u32(1));
  const uint32x4_t up = vshrq_n_u32(vaddq_u32(u, vaddq_u32(even, vdupq_n_u32(0x7fff))), 16);
  return vmovn_u32(vbslq_u32(vceqq_f32(x, x), up, vorrq_u32(top, vdupq_n_u32(0x40))));
}
OSSIA_INLINE void store_bf16(uint16_t* p, V x) {
  vst1q_u16(p, vcombine_u16(to_bf16(x.a), to_bf16(x.b)));
  vst1q_u16(p + 8, vcombine_u16(to_bf16(x.c), to_bf16(x.d)));
}
OSSIA_INLINE float tree_sum(V x) {
  const float32x4_t q = vaddq_f32(vaddq_f32(x.a, x.c), vaddq_f32(x.b, x.d));
  const float32x2_t h = vadd_f32(vget_low_f32(q), vget_high_f32(q));
  return vget_lane_f32(h, 0) + vget_lane_f32(h, 1);
}
OSSIA_INLINE float tree_max(V x) {
  const float32x4_t q = max4(max4(x.a, x.c), max4(x.b, x.d));
  const float32x4_t h = max4(q, vextq_f32(q, q, 2));
  const float a = vgetq_lane_f32(h, 0), b = vgetq_lane_f32(h, 1);
  return a > b ? a : b;
}
OSSIA_INLINE uint32_t top_bits(V x) {
  const uint32x4_t ab = vmaxq_u32(vreinterpretq_u32_f32(x.a), vreinterpretq_u32_f32(x.b));
  const uint32x4_t cd = vmaxq_u32(vreinterpretq_u32_f32(x.c), vreinterpretq_u32_f32(x.d));
  return vmaxvq_u32(vmaxq_u32(ab, cd));
}

OSSIA_INLINE void part_block(const int8_t* q, int8_t* split, int32_t* sum) {
  const int8x16_t a = vld1q_s8(q), b = vld1q_s8(q + 16);
  vst1q_s8(split, vuzp1q_s8(a, b));
  vst1q_s8(split + 16, vuzp2q_s8(a, b));
  *sum = vaddlvq_s8(a) + vaddlvq_s8(b);
}

// Four codes and their magnitudes: to float, times the scale, the sign put back (minus zero's too).
using Mxfp4Table = float;
OSSIA_INLINE Mxfp4Table scaled_table(float half_scale) { return half_scale; }
OSSIA_INLINE float32x4_t decode4(uint16x4_t magnitude, uint16x4_t code, float scale) {
  const uint32x4_t sign = vshlq_n_u32(vshrq_n_u32(vmovl_u16(code), 3), 31);
  const float32x4_t value = vmulq_n_f32(vcvtq_f32_u32(vmovl_u16(magnitude)), scale);
  return vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(value), sign));
}
OSSIA_INLINE V decode16(const uint8_t* nibbles, Mxfp4Table scale) {
  static const uint8_t values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, 1, 2, 3, 4, 6, 8, 12};
  const uint8x8_t n = vld1_u8(nibbles), low = vand_u8(n, vdup_n_u8(15)), high = vshr_n_u8(n, 4);
  const uint8x16_t codes = vcombine_u8(vzip1_u8(low, high), vzip2_u8(low, high));
  const uint8x16_t m = vqtbl1q_u8(vld1q_u8(values), codes);
  const uint16x8_t m0 = vmovl_u8(vget_low_u8(m)), m1 = vmovl_u8(vget_high_u8(m));
  const uint16x8_t c0 = vmovl_u8(vget_low_u8(codes)), c1 = vmovl_u8(vget_high_u8(codes));
  return {decode4(vget_low_u16(m0), vget_low_u16(c0), scale), decode4(vget_high_u16(m0), vget_high_u16(c0), scale),
          decode4(vget_low_u16(m1), vget_low_u16(c1), scale), decode4(vget_high_u16(m1), vget_high_u16(c1), scale)};
}
