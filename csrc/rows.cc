// Ops on whole rows: embed, rms_norm, quantize, rope_store, route, gather_rows.
#ifndef OSSIA_ISA
#define OSSIA_FAMILY "../rows.cc"
#include "isa/every_isa.h"
#else

namespace ossia {
namespace OSSIA_ISA {
namespace {

#include "isa/lanes.h"

// Rows a task takes: whole when few, so that a decode step wakes nobody.
struct Rows {
  int64_t count, chunk;
  Rows(int64_t rows, int64_t floats_each) : count(rows) {
    const int64_t worth = 32768 / (floats_each > 0 ? floats_each : 1);  // about 10 microseconds
    chunk = worth < 1 ? 1 : worth;
  }
  int64_t tasks() const { return (count + chunk - 1) / chunk; }
  int64_t begin(int64_t task) const { return task * chunk; }
  int64_t end(int64_t task) const { return (task + 1) * chunk < count ? (task + 1) * chunk : count; }
};

template <class Args>
struct Job {
  const Args& a;
  Rows rows;
  Team& team;
};

bool in_range(const int32_t* ids, int64_t n, int64_t limit) {
  for (int64_t i = 0; i < n; i++)
    if (ids[i] < 0 || ids[i] >= limit) return false;
  return true;
}

void embed_rows(const void* context, int64_t task, Scratch&) {
  const auto& job = *static_cast<const Job<EmbedArgs>*>(context);
  const EmbedArgs& a = job.a;
  for (int64_t t = job.rows.begin(task); t < job.rows.end(task); t++) {
    const int64_t from = a.ids[t] * a.width;
    float* out = a.out + t * a.width;
    if (!a.table_is_bf16) {
      std::memcpy(out, static_cast<const float*>(a.table) + from, a.width * sizeof(float));
      continue;
    }
    const uint16_t* row = static_cast<const uint16_t*>(a.table) + from;
    for (int64_t i = 0; i < a.width; i += 16) store(out + i, load(row + i));
  }
}

void norm_rows(const void* context, int64_t task, Scratch& scratch) {
  const auto& job = *static_cast<const Job<RmsNormArgs>*>(context);
  const RmsNormArgs& a = job.a;
  const int64_t width = a.out.width;
  for (int64_t t = job.rows.begin(task); t < job.rows.end(task); t++) {
    const float* x = a.x + t * width;
    float* y = a.normed ? a.normed + t * width : scratch.get<float>(0, width);
    V sum = zero();
    for (int64_t i = 0; i < width; i += 16) sum = fma(load(x + i), load(x + i), sum);
    const float mean = tree_sum(sum) / static_cast<float>(width);
    const V r = set1(1.0f / std::sqrt(mean + a.eps));
    for (int64_t i = 0; i < width; i += 16) store(y + i, mul(mul(load(x + i), r), load(a.weight + i)));
    store_activation(a.out, t, 0, y, width);
  }
}

void quantize_rows(const void* context, int64_t task, Scratch&) {
  const auto& job = *static_cast<const Job<QuantizeArgs>*>(context);
  const int64_t width = job.a.out.width;
  for (int64_t t = job.rows.begin(task); t < job.rows.end(task); t++)
    store_activation(job.a.out, t, 0, job.a.x + t * width, width);
}

// Half-split (NeoX) rotation of one head: (x1, x2) -> (x1 cos - x2 sin, x2 cos + x1 sin).
OSSIA_INLINE void rotate(float* head, const float* cos, const float* sin, int64_t half) {
  for (int64_t i = 0; i < half; i++) {
    const float x1 = head[i], x2 = head[i + half];
    head[i] = x1 * cos[i] - x2 * sin[i];
    head[i + half] = x2 * cos[i] + x1 * sin[i];
  }
}

// A head's values as int8 and the scale they share, in bf16's bits; d is a multiple of 16.
OSSIA_INLINE uint16_t quantize_head(const float* head, int64_t d, int8_t* codes) {
  const V magic = set1(12582912.0f);
  V most = zero();
  for (int64_t i = 0; i < d; i += 16) most = magnitude_max(most, load(head + i));
  const uint32_t top = top_bits(most);
  if (top >= 0x7f800000 || from_bits(top) < 7.888609052210118e-31f) {  // inf, NaN; below 2^-100
    std::memset(codes, 0, d);
    return top >= 0x7f800000 ? 0x7fc0 : 0;
  }
  uint16_t scale[16];
  store_bf16(scale, set1(from_bits(top) / 127.0f));
  const V inverse = set1(1.0f / from_bits(static_cast<uint32_t>(scale[0]) << 16));
  for (int64_t i = 0; i < d; i += 16) store_i8(codes + i, add(mul(load(head + i), inverse), magic));
  return scale[0];
}

// One token's head into its place among the 64 of a block: value i at at[i * apart].
template <class T>
OSSIA_INLINE void put(const T* values, int64_t d, T* at, int64_t apart) {
  for (int64_t i = 0; i < d; i++) at[i * apart] = values[i];
}

OSSIA_INLINE void store_head(const Cache& kv, void* array, int64_t at, int64_t offset, bool is_key, const float* head,
                             uint16_t* narrow) {
  const int64_t d = kv.head_dim, first = at + (is_key ? offset : offset * d), apart = is_key ? kTile : 1;
  if (kv.kind == KvKind::f32) return put(head, d, static_cast<float*>(array) + first, apart);
  if (kv.kind == KvKind::bf16) {
    for (int64_t i = 0; i < d; i += 16) store_bf16(narrow + i, load(head + i));
    return put(narrow, d, static_cast<uint16_t*>(array) + first, apart);
  }
  int8_t *codes = reinterpret_cast<int8_t*>(narrow), *to = static_cast<int8_t*>(array);
  const uint16_t scale = quantize_head(head, d, codes);
  put(codes, d, to + first, apart);
  std::memcpy(to + at + kTile * d + 2 * offset, &scale, 2);
}

void rope_rows(const void* context, int64_t task, Scratch& scratch) {
  const auto& job = *static_cast<const Job<RopeStoreArgs>*>(context);
  const RopeStoreArgs& a = job.a;
  const Cache& kv = a.kv;
  const int64_t d = kv.head_dim, half = d / 2;
  uint16_t* narrow = scratch.get<uint16_t>(0, d);
  for (int64_t t = job.rows.begin(task); t < job.rows.end(task); t++) {
    float* heads = a.qkv + t * (a.num_heads + 2 * kv.kv_heads) * d;
    for (int64_t h = 0; h < a.num_heads + kv.kv_heads; h++)
      rotate(heads + h * d, a.cos + t * half, a.sin + t * half, half);
    const int64_t block = a.slots[t] / kTile, offset = a.slots[t] % kTile;
    for (int64_t g = 0; g < kv.kv_heads; g++) {
      const int64_t at = (block * kv.kv_heads + g) * kv.stride;
      store_head(kv, kv.k, at, offset, true, heads + (a.num_heads + g) * d, narrow);
      store_head(kv, kv.v, at, offset, false, heads + (a.num_heads + kv.kv_heads + g) * d, narrow);
    }
  }
}

// Top-k of a row's logits and the softmax over those; ties, and NaNs, go to the lower index.
void choose(float* logits, int64_t experts, int64_t k, int32_t* ids, float* weights) {
  for (int64_t i = 0; i < k; i++) {
    int64_t best = -1;
    for (int64_t e = 0; e < experts; e++) {
      bool taken = false;
      for (int64_t j = 0; j < i; j++) taken |= ids[j] == e;
      if (!taken && (best < 0 || logits[e] > logits[best])) best = e;
    }
    ids[i] = static_cast<int32_t>(best);
  }
  float sum = 0;
  for (int64_t i = 0; i < k; i++) {
    weights[i] = exp1(logits[ids[i]] - logits[ids[0]]);
    sum += weights[i];
  }
  for (int64_t i = 0; i < k; i++) weights[i] /= sum;
}

void route_rows(const void* context, int64_t task, Scratch& scratch) {
  const auto& job = *static_cast<const Job<RouteArgs>*>(context);
  const RouteArgs& a = job.a;
  float* logits = scratch.get<float>(0, a.experts);
  for (int64_t t = job.rows.begin(task); t < job.rows.end(task); t++) {
    const float* x = a.normed + t * a.width;
    for (int64_t e = 0; e < a.experts; e++) {
      const float* w = a.router + e * a.width;
      V sum = zero();
      for (int64_t i = 0; i < a.width; i += 16) sum = fma(load(x + i), load(w + i), sum);
      logits[e] = tree_sum(sum) + a.bias[e];
    }
    choose(logits, a.experts, a.top_k, a.ids + t * a.top_k, a.weights + t * a.top_k);
  }
}

void gather(const void* context, int64_t task, Scratch&) {
  const auto& job = *static_cast<const Job<GatherRowsArgs>*>(context);
  const GatherRowsArgs& a = job.a;
  for (int64_t i = job.rows.begin(task); i < job.rows.end(task); i++)
    std::memcpy(a.out + i * a.width, a.x + a.rows[i] * a.width, a.width * sizeof(float));
}

template <class Args>
void over_rows(const Args& a, int64_t rows, int64_t floats_each, Task task, Team& team) {
  const Job<Args> job{a, Rows(rows, floats_each), team};
  team.parallel(job.rows.tasks(), task, &job);
}

}  // namespace

void embed(const EmbedArgs& a, Team& team) {
  if (!in_range(a.ids, a.rows, a.vocab)) return team.fail("embed: a token id is outside the table");
  over_rows(a, a.rows, a.width, embed_rows, team);
}

void rms_norm(const RmsNormArgs& a, Team& team) { over_rows(a, a.out.rows, 4 * a.out.width, norm_rows, team); }

void quantize(const QuantizeArgs& a, Team& team) { over_rows(a, a.out.rows, 2 * a.out.width, quantize_rows, team); }

void rope_store(const RopeStoreArgs& a, Team& team) {
  if (!in_range(a.slots, a.rows, a.kv.num_blocks * kTile)) return team.fail("rope_store: a slot is outside the cache");
  // The keys of neighbours share cache lines, so a thread takes many.
  const int64_t each = 2 * (a.num_heads + 2 * a.kv.kv_heads) * a.kv.head_dim;
  over_rows(a, a.rows, a.rows > 64 ? each / 16 : each, rope_rows, team);
}

void route(const RouteArgs& a, Team& team) { over_rows(a, a.rows, a.experts * a.width, route_rows, team); }

void gather_rows(const GatherRowsArgs& a, Team& team) {
  if (!in_range(a.rows, a.count, a.available)) return team.fail("gather_rows: a row is outside the array");
  over_rows(a, a.count, a.width, gather, team);
}

}  // namespace OSSIA_ISA
}  // namespace ossia
#endif
