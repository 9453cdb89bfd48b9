// attention: paged K and V in tiles of 64 keys, online softmax with a learned sink, optional window.
// A task is a run of queries of one kv head: the tile is brought to f32 once (K transposed, keys in lanes) and every
// query that sees it uses it.
#ifndef OSSIA_ISA
#define OSSIA_FAMILY "../attention.cc"
#include "isa/every_isa.h"
#else

namespace ossia {
namespace OSSIA_ISA {
namespace {

#include "isa/lanes.h"

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

// ---- bringing a tile: K as (D, 64), V as (64, D), both f32 ----

#if OSSIA_LEVEL == OSSIA_AVX512

constexpr int kSquare = 16;
using Words = __m512i;
OSSIA_INLINE Words load_words(const void* p) { return _mm512_loadu_si512(p); }
OSSIA_INLINE void store_words(float* p, Words w) { _mm512_storeu_si512(p, w); }
OSSIA_INLINE Words low_half(Words w) { return _mm512_slli_epi32(w, 16); }
OSSIA_INLINE Words high_half(Words w) { return _mm512_and_si512(w, _mm512_set1_epi32(static_cast<int>(0xffff0000))); }
OSSIA_INLINE void transpose(Words* a) {
  Words b[16];
  for (int i = 0; i < 16; i += 2) {
    b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    a[i] = _mm512_unpacklo_epi64(b[i], b[i + 2]);
    a[i + 1] = _mm512_unpackhi_epi64(b[i], b[i + 2]);
    a[i + 2] = _mm512_unpacklo_epi64(b[i + 1], b[i + 3]);
    a[i + 3] = _mm512_unpackhi_epi64(b[i + 1], b[i + 3]);
  }
  for (int i = 0; i < 4; i++) {  // 128-bit lane n of a[i + 4 g] is column 4 n + i of rows 4 g .. 4 g + 3
    const Words low0 = _mm512_shuffle_i32x4(a[i], a[i + 4], 0x88),
                low1 = _mm512_shuffle_i32x4(a[i + 8], a[i + 12], 0x88);
    const Words odd0 = _mm512_shuffle_i32x4(a[i], a[i + 4], 0xdd),
                odd1 = _mm512_shuffle_i32x4(a[i + 8], a[i + 12], 0xdd);
    a[i] = _mm512_shuffle_i32x4(low0, low1, 0x88);
    a[i + 8] = _mm512_shuffle_i32x4(low0, low1, 0xdd);
    a[i + 4] = _mm512_shuffle_i32x4(odd0, odd1, 0x88);
    a[i + 12] = _mm512_shuffle_i32x4(odd0, odd1, 0xdd);
  }
}

#elif OSSIA_LEVEL == OSSIA_AVX2

constexpr int kSquare = 8;
using Words = __m256i;
OSSIA_INLINE Words load_words(const void* p) { return _mm256_loadu_si256(static_cast<const Words*>(p)); }
OSSIA_INLINE void store_words(float* p, Words w) { _mm256_storeu_si256(reinterpret_cast<Words*>(p), w); }
OSSIA_INLINE Words low_half(Words w) { return _mm256_slli_epi32(w, 16); }
OSSIA_INLINE Words high_half(Words w) { return _mm256_and_si256(w, _mm256_set1_epi32(static_cast<int>(0xffff0000))); }
OSSIA_INLINE void transpose(Words* a) {
  Words b[8];
  for (int i = 0; i < 8; i += 2) {
    b[i] = _mm256_unpacklo_epi32(a[i], a[i + 1]);
    b[i + 1] = _mm256_unpackhi_epi32(a[i], a[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    a[i] = _mm256_unpacklo_epi64(b[i], b[i + 2]);
    a[i + 1] = _mm256_unpackhi_epi64(b[i], b[i + 2]);
    a[i + 2] = _mm256_unpacklo_epi64(b[i + 1], b[i + 3]);
    a[i + 3] = _mm256_unpackhi_epi64(b[i + 1], b[i + 3]);
  }
  for (int i = 0; i < 4; i++) {
    const Words low = _mm256_permute2x128_si256(a[i], a[i + 4], 0x20);
    a[i + 4] = _mm256_permute2x128_si256(a[i], a[i + 4], 0x31);
    a[i] = low;
  }
}

#endif

OSSIA_INLINE float widen(float x) { return x; }
OSSIA_INLINE float widen(uint16_t x) { return from_bits(static_cast<uint32_t>(x) << 16); }

template <class T>
OSSIA_INLINE void bring_keys(const T* k, int64_t d, float* kt) {
  int64_t column = 0;
#if OSSIA_LEVEL == OSSIA_AVX2 || OSSIA_LEVEL == OSSIA_AVX512
  constexpr int per_word = 4 / sizeof(T);  // bf16: the two of a word are parted after the transposition
  for (; column + kSquare * per_word <= d; column += kSquare * per_word) {
    for (int64_t j = 0; j < kTile; j += kSquare) {
      Words a[kSquare];
#pragma GCC unroll 16
      for (int i = 0; i < kSquare; i++) a[i] = load_words(k + (j + i) * d + column);
      transpose(a);
#pragma GCC unroll 16
      for (int i = 0; i < kSquare; i++) {
        float* to = kt + (column + i * per_word) * kTile + j;
        store_words(to, per_word == 2 ? low_half(a[i]) : a[i]);
        if (per_word == 2) store_words(to + kTile, high_half(a[i]));
      }
    }
  }
#endif
  for (; column < d; column++)
    for (int64_t j = 0; j < kTile; j++) kt[column * kTile + j] = widen(k[j * d + column]);
}

template <class T>
void bring_tile(const AttentionArgs& a, int64_t block, int64_t head, float* kt, float* vt) {
  const int64_t d = a.head_dim, at = (block * a.kv_heads + head) * kTile * d;
  const T* v = static_cast<const T*>(a.v) + at;
  for (int64_t i = 0; i < kTile * d; i += 16) store(vt + i, load(v + i));
  bring_keys(static_cast<const T*>(a.k) + at, d, kt);
}

// ---- R query heads of one query against keys [begin, end) of the tile ----

constexpr int kHeads = OSSIA_LEVEL == OSSIA_AVX512 ? 4 : 1;  // as many as have room for their sums in registers

template <int R>
OSSIA_INLINE void scores(const float* q, const float* kt, int64_t d, float scale, float (*p)[kTile]) {
  V c[R][4];
  for (int r = 0; r < R; r++)
    for (int n = 0; n < 4; n++) c[r][n] = zero();
  for (int64_t i = 0; i < d; i++) {
    V k[4];
    for (int n = 0; n < 4; n++) k[n] = load(kt + i * kTile + 16 * n);
    for (int r = 0; r < R; r++) {
      const V b = set1(q[r * d + i]);
      for (int n = 0; n < 4; n++) c[r][n] = fma(b, k[n], c[r][n]);
    }
  }
  for (int r = 0; r < R; r++)
    for (int n = 0; n < 4; n++) store(p[r] + 16 * n, mul(c[r][n], set1(scale)));
}

// Scores to weights, in place; returns what the sums so far shrink by.
OSSIA_INLINE float soften(float* p, int64_t begin, int64_t end, State& s) {
  for (int64_t j = 0; j < begin; j++) p[j] = -INFINITY;
  for (int64_t j = end; j < kTile; j++) p[j] = -INFINITY;
  V c[4];
  for (int n = 0; n < 4; n++) c[n] = load(p + 16 * n);
  const float most = tree_max(max(max(c[0], c[1]), max(c[2], c[3])));
  const float m = s.m > most ? s.m : most;
  for (int n = 0; n < 4; n++) {
    c[n] = exp(sub(c[n], set1(m)));
    store(p + 16 * n, c[n]);
  }
  const float shrink = exp1(s.m - m);
  s.l = s.l * shrink + tree_sum(add(add(c[0], c[1]), add(c[2], c[3])));
  s.m = m;
  return shrink;
}

// Columns [i, i + 16 N) of o = o * shrink + sum over the visible keys of p v.
template <int R, int N>
OSSIA_INLINE void gather_values(const float (*p)[kTile], const float* shrink, const float* vt, int64_t begin,
                                int64_t end, int64_t d, int64_t i, State* s) {
  V o[R][N];
  for (int r = 0; r < R; r++)
    for (int n = 0; n < N; n++) o[r][n] = mul(load(s[r].o + i + 16 * n), set1(shrink[r]));
  for (int64_t j = begin; j < end; j++) {
    V v[N];
    for (int n = 0; n < N; n++) v[n] = load(vt + j * d + i + 16 * n);
    for (int r = 0; r < R; r++) {
      const V w = set1(p[r][j]);
      for (int n = 0; n < N; n++) o[r][n] = fma(w, v[n], o[r][n]);
    }
  }
  for (int r = 0; r < R; r++)
    for (int n = 0; n < N; n++) store(s[r].o + i + 16 * n, o[r][n]);
}

template <int R>
void some_heads(const float* q, const float* kt, const float* vt, int64_t begin, int64_t end, int64_t d, float scale,
                State* s) {
  alignas(64) float p[R][kTile];
  float shrink[R];
  scores<R>(q, kt, d, scale, p);
  for (int r = 0; r < R; r++) shrink[r] = soften(p[r], begin, end, s[r]);
  int64_t i = 0;
  for (; i + 64 <= d; i += 64) gather_values<R, 4>(p, shrink, vt, begin, end, d, i, s);
  for (; i < d; i += 16) gather_values<R, 1>(p, shrink, vt, begin, end, d, i, s);
}

// The `per` heads of a query that share the tile.
OSSIA_INLINE void all_heads(const float* q, const float* kt, const float* vt, int64_t begin, int64_t end, int64_t d,
                            float scale, int64_t per, State* s) {
  int64_t h = 0;
  for (; h + kHeads <= per; h += kHeads) some_heads<kHeads>(q + h * d, kt, vt, begin, end, d, scale, s + h);
  if (kHeads > 1 && per - h == 3) return some_heads<3>(q + h * d, kt, vt, begin, end, d, scale, s + h);
  if (kHeads > 1 && per - h == 2) return some_heads<2>(q + h * d, kt, vt, begin, end, d, scale, s + h);
  for (; h < per; h++) some_heads<1>(q + h * d, kt, vt, begin, end, d, scale, s + h);
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
        if (a.kv_is_bf16)
          bring_tile<uint16_t>(a, block, head, kt, vt);
        else
          bring_tile<float>(a, block, head, kt, vt);
        brought = true;
      }
      const float* q = a.qkv + t * row_width + head * per * d;
      all_heads(q, kt, vt, from, to, d, a.scale, per, states + (t - begin) * per);
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
