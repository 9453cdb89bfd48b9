// attention: paged K and V in tiles of 64 keys, online softmax with a learned sink, optional window.
// A task is a run of queries of one kv head, whose query heads pass over K and V together: keys in lanes for the
// scores (K lies transposed), columns of V in lanes for the sums. Where several queries see a tile, it is brought to
// f32 once; a query alone, as in decode, widens what it reads and asks for the next tile meanwhile.
#ifndef OSSIA_ISA
#define OSSIA_FAMILY "../attention.cc"
#include "isa/every_isa.h"
#else

namespace ossia {
namespace OSSIA_ISA {
namespace {

#include "isa/lanes.h"

constexpr int64_t kLanes = 16;
constexpr int64_t kWorthBringing = 3;  // queries
constexpr int kHeads = OSSIA_LEVEL == OSSIA_AVX512 ? 8 : 4;  // query heads at once: their sums fill the registers

// Vectors of 16 beside one another for R heads: enough chains to hide an addition's latency.
constexpr int columns(int heads) {
  return OSSIA_LEVEL == OSSIA_AVX512 ? (heads > 4 ? 2 : 4) : (heads > 2 ? 1 : heads > 1 ? 2 : 4);
}

struct Job {
  const AttentionArgs& a;
  Team& team;
  int64_t queries, heads, runs;  // queries and kv heads of a task; runs of queries
};

// Running softmax of one query head: m, l in 16 lanes and the sums over v.
struct State {
  float m;
  float *l, *o;
};

// K (D, 64) and V (64, D) of a block and head; int8's scales (64) or null; bytes from here to what is read next.
template <class T>
struct Tile {
  const T *k, *v;
  const float *k_scales, *v_scales;
  int64_t next;
};

// Keys [begin, end) of a tile are visible.
struct Range {
  int64_t begin, end;
  int64_t first() const { return begin / kLanes; }  // of the vectors that hold them
  int64_t last() const { return (end + kLanes - 1) / kLanes; }
};

OSSIA_INLINE int64_t first_key(const AttentionArgs& a, int64_t t) {
  const int64_t first = a.positions[t] - a.window + 1;
  return a.window > 0 && first > 0 ? first : 0;
}

OSSIA_INLINE Range visible(const AttentionArgs& a, int64_t t, int64_t start) {
  const int64_t first = first_key(a, t) - start, end = a.positions[t] - start + 1;
  return {first > 0 ? first : 0, end < kTile ? end : kTile};
}

// ---- R query heads of one query against a tile ----

// Asks for the lines that follow N vectors at `at` by `next` bytes. What is brought to f32 is in the cache already.
template <int N, class T>
OSSIA_INLINE void ask(const T* at, int64_t next) {
  if (sizeof(T) == 4) return;
  for (int n = 0; n < N; n += 64 / (kLanes * sizeof(T)))
    __builtin_prefetch(reinterpret_cast<const char*>(at + kLanes * n) + next, 0, 2);
}

template <int R, int N, class T>
OSSIA_INLINE void score_columns(const float* q, const Tile<T>& tile, int64_t d, int64_t column, float (*p)[kTile]) {
  V c[R][N];
#pragma GCC unroll 8
  for (int r = 0; r < R; r++)
#pragma GCC unroll 4
    for (int n = 0; n < N; n++) c[r][n] = zero();
  const T* at = tile.k + kLanes * column;
#pragma GCC unroll 4
  for (int64_t i = 0; i < d; i++, at += kTile) {
    V k[N];
#pragma GCC unroll 4
    for (int n = 0; n < N; n++) k[n] = load(at + kLanes * n);
    ask<N>(at, tile.next);
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
      const V b = set1(q[r * d + i]);
#pragma GCC unroll 4
      for (int n = 0; n < N; n++) c[r][n] = fma(b, k[n], c[r][n]);
    }
  }
#pragma GCC unroll 4
  for (int n = 0; n < N; n++) {
    const int64_t to = kLanes * (column + n);
    const V scale = tile.k_scales ? load(tile.k_scales + to) : set1(1);
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) store(p[r] + to, tile.k_scales ? mul(c[r][n], scale) : c[r][n]);
  }
}

template <int R, class T>
OSSIA_INLINE void scores(const float* q, const Tile<T>& tile, int64_t d, Range seen, float (*p)[kTile]) {
  constexpr int N = columns(R);
  int64_t column = seen.first();
  for (; column + N <= seen.last(); column += N) score_columns<R, N>(q, tile, d, column, p);
  for (; column < seen.last(); column++) score_columns<R, 1>(q, tile, d, column, p);
}

// The scores at 16 n, -inf for keys out of sight, which may hold anything.
template <bool whole>
OSSIA_INLINE V seen_scores(const float* p, int64_t n, Range seen) {
  if (whole) return load(p + kLanes * n);
  static const float count[kLanes] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const V j = add(load(count), set1(static_cast<float>(kLanes * n))), low = set1(-INFINITY);
  const V below_end = where_less(j, set1(static_cast<float>(seen.end)), load(p + kLanes * n), low);
  return where_less(j, set1(static_cast<float>(seen.begin)), low, below_end);
}

// Scores to weights, in place; what the sums so far shrink by.
template <bool whole, int R>
OSSIA_INLINE void soften(float (*p)[kTile], Range seen, State* s, float* shrink) {
  alignas(64) float fall[kLanes] = {};
  const int64_t first = whole ? 0 : seen.first(), last = whole ? 4 : seen.last();
  for (int r = 0; r < R; r++) {
    V most = seen_scores<whole>(p[r], first, seen);
    if (!whole) store(p[r] + kLanes * first, most);
    for (int64_t n = first + 1; n < last; n++) {
      const V x = seen_scores<whole>(p[r], n, seen);
      if (!whole) store(p[r] + kLanes * n, x);
      most = max(most, x);
    }
    const float top = tree_max(most), m = s[r].m > top ? s[r].m : top;
    fall[r] = s[r].m - m;
    s[r].m = m;
  }
  store(shrink, exp(load(fall)));
  for (int r = 0; r < R; r++) {
    V e[4] = {zero(), zero(), zero(), zero()};
#pragma GCC unroll 4
    for (int n = 0; n < 4; n++) {
      if (!whole && (n < first || n >= last)) continue;
      e[n] = exp(sub(load(p[r] + kLanes * n), set1(s[r].m)));
      store(p[r] + kLanes * n, e[n]);
    }
    store(s[r].l, fma(load(s[r].l), set1(shrink[r]), add(add(e[0], e[1]), add(e[2], e[3]))));
  }
}

// Columns [i, i + 16 N) of o = o * shrink + sum over the visible keys of p v.
template <int R, int N, class T>
OSSIA_INLINE void value_columns(const float (*p)[kTile], const float* shrink, const Tile<T>& tile, Range seen,
                                int64_t d, int64_t i, State* s) {
  V o[R][N];
#pragma GCC unroll 8
  for (int r = 0; r < R; r++)
#pragma GCC unroll 4
    for (int n = 0; n < N; n++) o[r][n] = mul(load(s[r].o + i + kLanes * n), set1(shrink[r]));
  const T* at = tile.v + seen.begin * d + i;
#pragma GCC unroll 4
  for (int64_t j = seen.begin; j < seen.end; j++, at += d) {
    V v[N];
#pragma GCC unroll 4
    for (int n = 0; n < N; n++) v[n] = load(at + kLanes * n);
    ask<N>(at, tile.next);
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
      const V w = set1(p[r][j]);
#pragma GCC unroll 4
      for (int n = 0; n < N; n++) o[r][n] = fma(w, v[n], o[r][n]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; r++)
#pragma GCC unroll 4
    for (int n = 0; n < N; n++) store(s[r].o + i + kLanes * n, o[r][n]);
}

template <int R, class T>
void some_heads(const float* q, const Tile<T>& tile, Range seen, int64_t d, State* s) {
  constexpr int N = columns(R);
  alignas(64) float p[R][kTile], shrink[kLanes];
  scores<R>(q, tile, d, seen, p);
  if (seen.begin == 0 && seen.end == kTile)
    soften<true, R>(p, seen, s, shrink);
  else
    soften<false, R>(p, seen, s, shrink);
  if (tile.v_scales)
    for (int r = 0; r < R; r++)
      for (int64_t n = kLanes * seen.first(); n < kLanes * seen.last(); n += kLanes)
        store(p[r] + n, mul(load(p[r] + n), load(tile.v_scales + n)));
  int64_t i = 0;
  for (; i + kLanes * N <= d; i += kLanes * N) value_columns<R, N>(p, shrink, tile, seen, d, i, s);
  for (; i < d; i += kLanes) value_columns<R, 1>(p, shrink, tile, seen, d, i, s);
}

// The `per` heads of a query that share the tile.
template <class T>
void all_heads(const float* q, const Tile<T>& tile, Range seen, int64_t d, int64_t per, State* s) {
  int64_t h = 0;
  for (; h + kHeads <= per; h += kHeads) some_heads<kHeads>(q + h * d, tile, seen, d, s + h);
  if (per - h >= 4) some_heads<4>(q + h * d, tile, seen, d, s + h), h += 4;
  if (per - h == 3) return some_heads<3>(q + h * d, tile, seen, d, s + h);
  if (per - h == 2) return some_heads<2>(q + h * d, tile, seen, d, s + h);
  if (per - h == 1) return some_heads<1>(q + h * d, tile, seen, d, s + h);
}

// ---- a run of queries of one sequence ----

// The tile as it lies in the cache, int8's scales widened; `scales` has room for 128 floats.
template <class T>
OSSIA_INLINE Tile<T> stored_tile(const Cache& kv, int64_t block, int64_t head, float* scales) {
  const int64_t at = (block * kv.kv_heads + head) * kv.stride, behind = kTile * kv.head_dim;
  Tile<T> tile{static_cast<const T*>(kv.k) + at, static_cast<const T*>(kv.v) + at, nullptr, nullptr, 0};
  if (sizeof(T) > 1) return tile;
  const uint16_t* k = reinterpret_cast<const uint16_t*>(tile.k + behind);
  const uint16_t* v = reinterpret_cast<const uint16_t*>(tile.v + behind);
  for (int64_t j = 0; j < kTile; j += kLanes) {
    store(scales + j, load(k + j));
    store(scales + kTile + j, load(v + j));
  }
  tile.k_scales = scales;
  tile.v_scales = scales + kTile;
  return tile;
}

template <class T>
OSSIA_INLINE Tile<float> brought_tile(const Tile<T>& tile, int64_t d, float* room) {
  for (int64_t i = 0; i < kTile * d; i += kLanes) {
    store(room + i, load(tile.k + i));
    store(room + kTile * d + i, load(tile.v + i));
  }
  return {room, room + kTile * d, tile.k_scales, tile.v_scales, 0};
}

// Queries [begin, end) of a sequence, their q scaled, and how far each has come.
struct Run {
  int64_t begin, end, head, low, high;  // tiles low .. high are seen by some query
  float *q, *room, *scales;
  State* states;
};

OSSIA_INLINE bool block_of(const AttentionArgs& a, const Run& run, int64_t tile, int64_t* block) {
  *block = a.table[a.rows[run.begin] * a.table_width + tile];
  return *block >= 0 && *block < a.kv.num_blocks;
}

template <class T>
void against(const AttentionArgs& a, const Run& run, const Tile<T>& tile, int64_t start) {
  const int64_t d = a.kv.head_dim, per = a.num_heads / a.kv.kv_heads;
  for (int64_t t = run.begin; t < run.end; t++) {
    const Range seen = visible(a, t, start);
    const int64_t i = (t - run.begin) * per;
    if (seen.begin < seen.end) all_heads(run.q + i * d, tile, seen, d, per, run.states + i);
  }
}

OSSIA_INLINE bool seen_by_any(const AttentionArgs& a, const Run& run, int64_t start) {
  for (int64_t t = run.begin; t < run.end; t++) {
    const Range seen = visible(a, t, start);
    if (seen.begin < seen.end) return true;
  }
  return false;
}

template <class T>
void over_tiles(const AttentionArgs& a, Team& team, const Run& run) {
  const bool bring = sizeof(T) < 4 && run.end - run.begin >= kWorthBringing;
  for (int64_t n = run.low; n <= run.high; n++) {
    int64_t block, next;
    if (!seen_by_any(a, run, n * kTile)) continue;
    if (!block_of(a, run, n, &block)) return team.fail("attention: a visible block is not in the table");
    Tile<T> tile = stored_tile<T>(a.kv, block, run.head, run.scales);
    if (bring) {
      against(a, run, brought_tile(tile, a.kv.head_dim, run.room), n * kTile);
      continue;
    }
    if (n < run.high && block_of(a, run, n + 1, &next))
      tile.next = (next - block) * a.kv.kv_heads * a.kv.stride * static_cast<int64_t>(sizeof(T));
    against(a, run, tile, n * kTile);
  }
}

// Scales q and sets every state to its beginning: m = sink, l = (1, 0, ... 0), o = 0.
void begin_run(const AttentionArgs& a, Run& run, float* l, float* o) {
  const int64_t d = a.kv.head_dim, per = a.num_heads / a.kv.kv_heads;
  const int64_t row_width = (a.num_heads + 2 * a.kv.kv_heads) * d;
  run.low = INT64_MAX;
  run.high = -1;
  for (int64_t t = run.begin; t < run.end; t++) {
    const int64_t low = first_key(a, t) / kTile, high = a.positions[t] / kTile, at = (t - run.begin) * per;
    run.low = low < run.low ? low : run.low;
    run.high = high > run.high ? high : run.high;
    const float* q = a.qkv + t * row_width + run.head * per * d;
    for (int64_t i = 0; i < per * d; i += kLanes) store(run.q + at * d + i, mul(load(q + i), set1(a.scale)));
    for (int64_t h = at; h < at + per; h++) {
      run.states[h] = {a.sinks[run.head * per + h - at], l + h * kLanes, o + h * d};
      store(l + h * kLanes, zero());
      l[h * kLanes] = 1.0f;
      std::memset(o + h * d, 0, d * sizeof(float));
    }
  }
}

void end_run(const AttentionArgs& a, const Run& run) {
  const int64_t d = a.kv.head_dim, count = (run.end - run.begin) * (a.num_heads / a.kv.kv_heads);
  for (int64_t i = 0; i < count; i++) {
    const V l = set1(tree_sum(load(run.states[i].l)));
    for (int64_t c = 0; c < d; c += kLanes) store(run.states[i].o + c, div(load(run.states[i].o + c), l));
  }
}

void one_run(const Job& job, Run run, float* l, float* o) {
  begin_run(job.a, run, l, o);
  switch (job.a.kv.kind) {
    case KvKind::f32: over_tiles<float>(job.a, job.team, run); break;
    case KvKind::bf16: over_tiles<uint16_t>(job.a, job.team, run); break;
    case KvKind::int8: over_tiles<int8_t>(job.a, job.team, run); break;
  }
  end_run(job.a, run);
}

void some_queries(const void* context, int64_t task, Scratch& scratch) {
  const Job& job = *static_cast<const Job*>(context);
  const AttentionArgs& a = job.a;
  const int64_t groups = a.kv.kv_heads / job.heads, first_head = task % groups * job.heads, part = task / groups;
  const int64_t per = a.num_heads / a.kv.kv_heads, d = a.kv.head_dim, most = job.queries;
  const int64_t last = (part + 1) * most < a.out.rows ? (part + 1) * most : a.out.rows;
  Run run{};
  run.room = scratch.get<float>(0, 2 * kTile * (d + 1));
  run.scales = run.room + 2 * kTile * d;
  run.q = scratch.get<float>(1, most * per * d);
  run.states = scratch.get<State>(2, most * per);
  float* l = scratch.get<float>(3, most * per * kLanes);
  float* o = scratch.get<float>(4, job.heads * most * per * d);
  float* line = scratch.get<float>(5, job.heads * per * d);
  for (run.begin = part * most; run.begin < last; run.begin = run.end) {
    for (run.end = run.begin + 1; run.end < last && a.rows[run.end] == a.rows[run.begin];) run.end++;
    const int64_t size = (run.end - run.begin) * per * d;
    for (int64_t g = 0; g < job.heads; g++) {
      run.head = first_head + g;
      one_run(job, run, l, o + g * size);
    }
    for (int64_t t = run.begin; t < run.end; t++) {
      for (int64_t g = 0; g < job.heads; g++)
        std::memcpy(line + g * per * d, o + g * size + (t - run.begin) * per * d, per * d * sizeof(float));
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
  const int64_t heads = a.num_heads / a.kv.kv_heads * a.kv.head_dim % 32 ? 2 : 1;
  int64_t queries = 32;
  while (queries > 1 && (a.out.rows + queries - 1) / queries * a.kv.kv_heads / heads < 4 * team.threads()) queries /= 2;
  const Job job{a, team, queries, heads, (a.out.rows + queries - 1) / queries};
  team.parallel(job.runs * (a.kv.kv_heads / heads), some_queries, &job);
}

}  // namespace OSSIA_ISA
}  // namespace ossia
#endif
