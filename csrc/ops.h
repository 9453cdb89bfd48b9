// The contract between the ops' Python face (src/ossia/kernels/ops.py) and their kernels.
//
// What is exact. Every kernel of an op gives the same bits in every instruction set (scalar, avx2, avxvnni,
// avx512, neon, neon_i8mm), for any number of rows, threads, chunks and for whichever tile ran. NaNs are equal as NaNs;
// their payload is not.
//   q8 dot      activations int8 per block of 32: amax = max|x|, d = amax / 127, q = rne(x * (127 / amax)); blocks with
//               amax < 2^-100 are zero, blocks with an inf or NaN have d = NaN, q = 0. The dot of a block is an exact
//               int32; p[b mod 4] = fma(float(dot), wscale * xscale, p[b mod 4]) for b ascending;
//               result (p0 + p1) + (p2 + p3). MXFP4: integer table 2 * value, wscale = 2^(e-127) / 2; e = 255 is NaN.
//   f32, bf16   16 lanes: lane i mod 16 = fma(x[i], w[i], lane); then lanes l + (l+8), l + (l+4), l + (l+2), 0 + 1.
//               bf16 products are exact in f32 before the fused addition; MXFP4 decodes exactly (or to inf past 2^127).
//               vdpbf16ps is not used: it flushes subnormals and adds in pairs, which no other instruction set repeats.
//   rms_norm    sum of squares in the same 16 lanes; mean = sum / H; y = (x * (1 / sqrt(mean + eps))) * weight.
//   exp         a polynomial of degree 7 after Cody-Waite reduction, every step an explicit fma; 0 below -87.3.
//   rope_store  K lies as (D, 64) in a block, V as (64, D): float32, bf16 (rne), or int8 with one bf16 scale for each
//               head of a token: d = bf16(amax / 127), code = rne(x * (1 / d)), zero where amax < 2^-100, d = NaN and
//               code 0 where a value is inf or NaN. The 64 scales lie behind a head's codes, as two rows of 64 bytes.
//   attention   tiles of 64 keys aligned to the position, ascending; q = q * scale; score = fma(q_d, k_d) over d
//               ascending, and int8 codes are then multiplied by K's scale; per tile
//               m' = max(m, tile max), c = exp(m - m'), p = exp(s - m'), and in 16 lanes
//               l[j mod 16] = fma(l[j mod 16], c, (p_j + p_j+16) + (p_j+32 + p_j+48)), 0 for keys out of sight; o = o * c,
//               then o = fma(p_j, v_j, o) for the visible j ascending, where int8 takes p_j * V's scale for p_j and
//               the code for v_j; starts from m = sink, l = (1, 0, ... 0); result o / tree(l).
//   moe         y = dot + bias; h = (g * sigmoid(alpha * g)) * (u + 1) after clamping, quantised as any activation;
//               out = out + (w_0 y_0, then fma(w_k, y_k, sum) for k ascending).
//   lm_head     logits are q8's, bf16's or f32's dot. score = logit + bias; if in the history x > 0 ? x / r : x * r,
//               then - f * count, - p * (count > 0); then x + T * noise(key, id), product and sum rounded apart; -inf
//               where masked. The largest wins, ties to the lower id. noise: csrc/isa/noise.h, no fused operations.
//               Where only the high plane of an int8 weight is read first (isa/planes.h), the same token follows
//               unless an error beyond `sigmas` standard deviations hid it (docs/performance.md says how likely).
//   route       logits as f32 dot + bias; top-k with ties to the lower index; e_k = exp(l_k - l_0), sum for k
//   ascending.
// Kernels never read past the end of an array: weights may be memory-mapped up to their last byte.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ossia {

enum class Numerics : int { q8, bf16, f32 };
enum class Kind : int { mxfp4, q8, bf16, f32, q8_planes };
enum class Isa : int { scalar, avx2, avxvnni, avx512, neon, neon_i8mm };  // of one CPU: plainest first
enum class Op : int {
  embed,
  rms_norm,
  quantize,
  linear,
  rope_store,
  attention,
  route,
  moe,
  gather_rows,
  lm_head,
  split_planes,
  gumbel
};
enum class KvKind : int { f32, bf16, int8 };
constexpr int kNumerics = 3, kIsas = 6, kOps = 12;
constexpr int64_t kTile = 64;  // keys per cache block and attention tile

// q8_planes: int8 codes, of groups of so many rows first all high nibbles of u = code + 128, then all low ones, each
// row 16 bytes a block of 32, even elements in the low halves of the bytes; scales alike, their upper 16 bits first.
// The same bytes as q8.
constexpr int64_t kPlaneRows = 256;
constexpr float kLowNibbleVariance = 23;  // (256 - 1) / 12 where nibbles are uniform; more for the scales' cut
constexpr int32_t kNoneAllowed = -1, kInfinite = -2, kNotANumber = -3;  // instead of an id

// Rows ready to be multiplied. q8: data int8 (rows, width), scales f32, and for the kernels' own use `split` (each
// block's 16 even then 16 odd elements, which is how MXFP4 nibbles come apart) and `sums` (sum of each block).
struct Act {
  Numerics numerics;
  void* data;
  float* scales;
  int8_t* split;
  int32_t* sums;
  int64_t rows, width;
};

// count stacked weights (N, K); mxfp4 in the published layout: 16 bytes a block, low nibble first.
struct Mat {
  Kind kind;
  const void* data;
  const void* scales;
  int64_t count, n, k;
};

struct EmbedArgs {
  const void* table;
  bool table_is_bf16;
  const int32_t* ids;
  float* out;
  int64_t rows, width, vocab;
};

struct RmsNormArgs {
  const float *x, *weight;
  float eps;
  Act out;
  float* normed;  // or null
};

struct QuantizeArgs {
  const float* x;
  Act out;
};

struct LinearArgs {
  Act x;
  Mat w;
  const float* bias;  // or null
  float* out;         // (rows, n)
  bool accumulate;
};

// One layer's paged K and V, (num_blocks, kv_heads) of them, `stride` elements apart (int8: codes, then scales).
struct Cache {
  KvKind kind;
  void *k, *v;
  int64_t num_blocks, kv_heads, head_dim, stride;
};

struct RopeStoreArgs {
  float* qkv;
  const float *cos, *sin;
  const int32_t* slots;
  Cache kv;
  int64_t rows, num_heads;
};

struct AttentionArgs {
  const float* qkv;
  Cache kv;
  const int32_t *positions, *rows, *table;
  const float* sinks;
  int64_t window;  // 0 = every earlier key
  float scale;
  Act out;
  int64_t num_heads, sequences, table_width;
};

struct RouteArgs {
  const float *normed, *router, *bias;
  int32_t* ids;
  float* weights;
  int64_t rows, width, experts, top_k;
};

class ExpertCache;

struct MoeArgs {
  Act x;
  const int32_t* ids;
  const float* weights;
  Mat gate_up, down;
  const float *gate_up_bias, *down_bias;
  float limit, alpha;
  float* out;
  int64_t top_k;
  ExpertCache* cache;  // or null: where the experts lie that gate_up and down only describe (experts.h)
  int64_t layer;       // in the cache
};

struct GatherRowsArgs {
  const float* x;
  const int32_t* rows;
  float* out;
  int64_t count, width, available;
};

// What lm_head is to do with each row, and every id's changes, ascending within a row: those of row t end at
// edit_ends[t]. A count below 0 is not in the history.
struct Asked {
  const uint8_t* whole;  // 1: write the row's logits, choose nothing
  const float* temperatures;
  const uint64_t* keys;
  const int32_t* mask_of;  // row of masks, or -1
  const uint8_t* masks;    // (mask_count, n), 1 = allowed
  const float* penalties;  // (rows, 3): repetition, frequency, presence
  const int32_t* edit_ends;
  const int32_t* edit_ids;
  const float *edit_bias, *edit_counts;
  int64_t mask_count, edit_count;
};

struct LmHeadArgs {
  Act x;
  Mat w;
  Asked asked;
  int32_t* chosen;    // ids
  int32_t* rescored;  // how many exact logits decided; -1 for all
  float* logits;      // (rows, n)
  float gain, sigmas;
  const int32_t* doubtful;  // ids, ascending
  int64_t doubtful_count, most_rows;
};

struct SplitPlanesArgs {
  int8_t* data;
  float* scales;
  double* stats;  // (n, 5)
  int64_t n, k;
};

struct GumbelArgs {
  uint64_t key;
  const int64_t* ids;
  float* out;
  int64_t count;
};

class Team;
using Kernel = void (*)(const void* args, Team& team);

// The kernel of an op; null where none is registered (dispatch.cc holds the table).
Kernel find_kernel(Op op, Numerics numerics, Isa isa);
bool isa_available(Isa isa);

#define OSSIA_DECLARE_KERNELS(isa)                  \
  namespace isa {                                   \
  void embed(const EmbedArgs&, Team&);              \
  void rms_norm(const RmsNormArgs&, Team&);         \
  void quantize(const QuantizeArgs&, Team&);        \
  void linear(const LinearArgs&, Team&);            \
  void rope_store(const RopeStoreArgs&, Team&);     \
  void attention(const AttentionArgs&, Team&);      \
  void route(const RouteArgs&, Team&);              \
  void moe(const MoeArgs&, Team&);                  \
  void gather_rows(const GatherRowsArgs&, Team&);   \
  void lm_head(const LmHeadArgs&, Team&);           \
  void split_planes(const SplitPlanesArgs&, Team&); \
  void gumbel(const GumbelArgs&, Team&);            \
  }
OSSIA_DECLARE_KERNELS(scalar)
OSSIA_DECLARE_KERNELS(avx2)
OSSIA_DECLARE_KERNELS(avx512)
OSSIA_DECLARE_KERNELS(neon)

// What only multiplies int8 faster has its own kernels where int8 is multiplied.
#define OSSIA_DECLARE_PRODUCTS(isa)                 \
  namespace isa {                                   \
  void linear(const LinearArgs&, Team&);            \
  void moe(const MoeArgs&, Team&);                  \
  void lm_head(const LmHeadArgs&, Team&);           \
  void split_planes(const SplitPlanesArgs&, Team&); \
  void gumbel(const GumbelArgs&, Team&);            \
  }
OSSIA_DECLARE_PRODUCTS(avxvnni)
OSSIA_DECLARE_PRODUCTS(neon_i8mm)

}  // namespace ossia
