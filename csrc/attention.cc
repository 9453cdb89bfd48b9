// attention: paged K and V in tiles of 64 keys, online softmax with a learned sink, optional window.
// A task is a run of queries of one kv head: the tile is brought to f32 once (K transposed, keys in lanes) and every query
// that sees it uses it.
#ifndef OSSIA_ISA
#define OSSIA_FAMILY "attention.cc"
#include "every_isa.h"
#else

namespace ossia {
namespace OSSIA_ISA {
namespace {

#include "lanes.h"

struct Job {
  const AttentionArgs& a;
  Team& team;
  int64_t queries, heads, runs;  // queries and kv heads of a task; runs of queries
};

// Running softmax of one query head: m, l and the sums over v.
struct State {
  float m, l;
  float* o;
};

OSSIA_INLINE int64_t first_key(const AttentionArgs& a, int64_t t) {
  const int64_t first = a.positions[t] - a.window + 1;
  return a.window > 0 && first > 0 ? first : 0;
}

// K of a tile as (D, 64), V as (64, D), both f32.
template <class T>
OSSIA_INLINE void bring_tile(const AttentionArgs& a, int64_t block, int64_t head, float* kt, float* vt) {
  const int64_t d = a.head_dim, at = (block * a.kv_heads + head) * kTile * d;
  const T *k = static_cast<const T*>(a.k) + at, *v = static_cast<const T*>(a.v) + at;
  for (int64_t i = 0; i < kTile * d; i += 16) store(vt + i, load(v + i));
  for (int64_t j = 0; j < kTile; j++) {
    for (int64_t i = 0; i < d; i += 16) {
      float part[16];
      store(part, load(k + j * d + i));
      for (int c = 0; c < 16; c++) kt[(i + c) * kTile + j] = part[c];
    }
  }
}

// One query head against keys [begin, end) of the tile.
OSSIA_INLINE void one_head(const float* q, const float* kt, const float* vt, int64_t begin, int64_t end, int64_t d,
                           float scale, State& s) {
  alignas(64) float p[kTile];
  V c[4] = {zero(), zero(), zero(), zero()};
  for (int64_t i = 0; i < d; i++) {
    const V b = set1(q[i]);
    for (int j = 0; j < 4; j++) c[j] = fma(b, load(kt + i * kTile + 16 * j), c[j]);
  }
  for (int j = 0; j < 4; j++) store(p + 16 * j, mul(c[j], set1(scale)));
  for (int64_t j = 0; j < begin; j++) p[j] = -INFINITY;
  for (int64_t j = end; j < kTile; j++) p[j] = -INFINITY;
  for (int j = 0; j < 4; j++) c[j] = load(p + 16 * j);
  const float most = tree_max(max(max(c[0], c[1]), max(c[2], c[3])));
  const float m = s.m > most ? s.m : most;
  for (int j = 0; j < 4; j++) {
    c[j] = exp(sub(c[j], set1(m)));
    store(p + 16 * j, c[j]);
  }
  const float shrink = exp1(s.m - m), sum = tree_sum(add(add(c[0], c[1]), add(c[2], c[3])));
  s.l = s.l * shrink + sum;
  s.m = m;
  int64_t i = 0;
  for (; i + 64 <= d; i += 64) {
    V o[4];
    for (int n = 0; n < 4; n++) o[n] = mul(load(s.o + i + 16 * n), set1(shrink));
    for (int64_t j = begin; j < end; j++) {
      const V w = set1(p[j]);
      for (int n = 0; n < 4; n++) o[n] = fma(w, load(vt + j * d + i + 16 * n), o[n]);
    }
    for (int n = 0; n < 4; n++) store(s.o + i + 16 * n, o[n]);
  }
  for (; i < d; i += 16) {
    V o = mul(load(s.o + i), set1(shrink));
    for (int64_t j = begin; j < end; j++) o = fma(set1(p[j]), load(vt + j * d + i), o);
    store(s.o + i, o);
  }
}

// Queries [begin, end) share a sequence; o is (queries, heads of this group, D).
void one_group(const Job& job, int64_t begin, int64_t end, int64_t head, float* o, State* states, Scratch& scratch) {
  const AttentionArgs& a = job.a;
  const int64_t d = a.head_dim, per = a.num_heads / a.kv_heads, row_width = (a.num_heads + 2 * a.kv_heads) * d;
  float* kt = scratch.get<float>(0, 2 * kTile * d);
  float* vt = kt + kTile * d;
  int64_t low = INT64_MAX, high = -1;
  for (int64_t t = begin; t < end; t++) {
    if (first_key(a, t) < low) low = first_key(a, t);
    if (a.positions[t] > high) high = a.positions[t];
    for (int64_t h = 0; h < per; h++) {
      float* mine = o + ((t - begin) * per + h) * d;
      std::memset(mine, 0, d * sizeof(float));
      states[(t - begin) * per + h] = {a.sinks[head * per + h], 1.0f, mine};
    }
  }
  for (int64_t tile = low / kTile; tile <= high / kTile; tile++) {
    const int64_t start = tile * kTile;
    bool brought = false;
    for (int64_t t = begin; t < end; t++) {
      const int64_t first = first_key(a, t), from = first > start ? first - start : 0;
      const int64_t last = a.positions[t] - start + 1, to = last < kTile ? last : kTile;
      if (from >= to) continue;
      if (!brought) {
        const int32_t block = a.table[a.rows[t] * a.table_width + tile];
        if (block < 0 || block >= a.num_blocks) return job.team.fail("attention: a visible block is not in the table");
        if (a.kv_is_bf16) bring_tile<uint16_t>(a, block, head, kt, vt);
        else bring_tile<float>(a, block, head, kt, vt);
        brought = true;
      }
      for (int64_t h = 0; h < per; h++) {
        const float* q = a.qkv + t * row_width + (head * per + h) * d;
        one_head(q, kt, vt, from, to, d, a.scale, states[(t - begin) * per + h]);
      }
    }
  }
  for (int64_t i = 0; i < (end - begin) * per; i++)
    for (int64_t c = 0; c < d; c += 16) store(states[i].o + c, div(load(states[i].o + c), set1(states[i].l)));
}

void some_queries(const void* context, int64_t task, Scratch& scratch) {
  const Job& job = *static_cast<const Job*>(context);
  const AttentionArgs& a = job.a;
  const int64_t groups = a.kv_heads / job.heads, first_head = task % groups * job.heads, run = task / groups;
  const int64_t per = a.num_heads / a.kv_heads, d = a.head_dim, most = job.queries;
  const int64_t last = (run + 1) * most < a.out.rows ? (run + 1) * most : a.out.rows;
  float* o = scratch.get<float>(1, job.heads * most * per * d);
  float* line = scratch.get<float>(2, job.heads * per * d);
  State* states = scratch.get<State>(3, most * per);
  for (int64_t begin = run * most, end; begin < last; begin = end) {
    for (end = begin + 1; end < last && a.rows[end] == a.rows[begin];) end++;
    const int64_t size = (end - begin) * per * d;
    for (int64_t g = 0; g < job.heads; g++) one_group(job, begin, end, first_head + g, o + g * size, states, scratch);
    for (int64_t t = begin; t < end; t++) {
      for (int64_t g = 0; g < job.heads; g++)
        std::memcpy(line + g * per * d, o + g * size + (t - begin) * per * d, per * d * sizeof(float));
      store_activation(a.out, t, first_head * per * d, line, job.heads * per * d);
    }
  }
}

bool possible(const AttentionArgs& a) {
  for (int64_t t = 0; t < a.out.rows; t++) {
    if (a.rows[t] < 0 || a.rows[t] >= a.sequences) return false;
    if (a.positions[t] < 0 || a.positions[t] / kTile >= a.table_width) return false;
  }
  return true;
}

}  // namespace

void attention(const AttentionArgs& a, Team& team) {
  if (!possible(a)) return team.fail("attention: a query lies outside its block table");
  // A task writes whole quantisation blocks of 32, so two heads where one is not a multiple of it.
  const int64_t heads = a.num_heads / a.kv_heads * a.head_dim % 32 ? 2 : 1;
  int64_t queries = 32;
  while (queries > 1 && (a.out.rows + queries - 1) / queries * a.kv_heads / heads < 4 * team.threads()) queries /= 2;
  const Job job{a, team, queries, heads, (a.out.rows + queries - 1) / queries};
  team.parallel(job.runs * (a.kv_heads / heads), some_queries, &job);
}

}  // namespace OSSIA_ISA
}  // namespace ossia
#endif
