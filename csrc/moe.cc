// moe: the chosen experts of every token. (token, choice) pairs are sorted by expert, so each expert's weights stream
// once; gate and up, SwiGLU and quantisation are one task, down and the weighted sum another.
#include "experts.h"
#ifndef OSSIA_ISA
#define OSSIA_FAMILY "../moe.cc"
#define OSSIA_PRODUCTS
#include "isa/every_isa.h"
#else

namespace ossia {
namespace OSSIA_ISA {
namespace {

#include "isa/lanes.h"
#include "isa/dots.h"

// Weight rows of a task, or a multiple of them. Interleaved gate, up: 64 are 32 hidden units, one block to quantise.
constexpr int64_t kGateUpRows = 64, kDownRows = 32;

// Long tasks, since the first lines of each come late, as far as every thread still gets several.
int64_t task_rows(int64_t rows, int64_t groups, int64_t unit, int64_t most, int threads) {
  while (most > 1 && groups * rows < most * unit * 8 * threads) most--;
  return most * unit;
}

// Pairs in the order of their experts. Active expert i owns pairs [begin[i], begin[i + 1]).
struct Groups {
  int32_t *token, *place, *expert, *begin;  // place[t * top_k + k] = where that pair went
  int64_t active;
};

struct Job {
  const MoeArgs& a;
  Groups g;
  Act hidden;  // (pairs, F)
  int64_t threads, chunk, chunks;
  int8_t* ready;  // the rows of the present half, expert by expert
  bool down;

  Picked rows(int64_t group) const {
    const int64_t begin = g.begin[group], count = g.begin[group + 1] - begin;
    return down ? Picked{hidden, nullptr, begin, count} : Picked{a.x, g.token + begin, 0, count};
  }
  int8_t* ready_rows(int64_t group) const {
    return ready ? ready + g.begin[group] * ready_stride(rows(group).act.width) : nullptr;
  }
  // Rows of an expert's weights; null data where they could not be read.
  Slab weights(int64_t expert, int64_t first, int64_t rows) const {
    const Mat& all = down ? a.down : a.gate_up;
    if (!a.cache) return slab(all, expert, first, rows);
    const auto lies = a.cache->wait(down ? ExpertCache::down : ExpertCache::gate_up, expert);
    if (!lies.data) return {all.kind, nullptr, nullptr, all.k, rows};
    return slab({all.kind, lies.data, lies.scales, 1, all.n, all.k}, 0, first, rows);
  }
  // Those that begin at `first`, and what this thread will probably read next: `later` of the group `then`.
  Slab weights(int64_t group, int64_t first, int64_t then, int64_t later) const {
    const Mat& all = down ? a.down : a.gate_up;
    const auto size = [&](int64_t at) { return all.n - at < chunk ? all.n - at : chunk; };
    const Slab w = weights(g.expert[group], first, size(first));
    if (a.cache || then >= g.active || later >= all.n) return w;
    return w.before(slab(all, g.expert[then], later, size(later)));
  }
  // Memory a row may take, whichever way its group is multiplied.
  static int64_t ready_stride(int64_t k) { return (k / 32 + 3) / 4 * 4 * 64; }
};

void ready_group(const void* context, int64_t group, Scratch&) {
  const Job& job = *static_cast<const Job*>(context);
  const Picked rows = job.rows(group);
  const Kind kind = job.down ? job.a.down.kind : job.a.gate_up.kind;
  for (int64_t i = 0; i < ready_units(rows); i++) make_ready(kind, rows, i, job.ready_rows(group));
}

void make_half_ready(Job& job, bool down, Team& team) {
  job.down = down;
  if (job.a.x.numerics != Numerics::q8) return;
  const int64_t width = down ? job.hidden.width : job.a.x.width;
  job.ready = team.shared().get<int8_t>(5, job.hidden.rows * Job::ready_stride(width));
  if (job.hidden.rows > 16) return team.parallel(job.g.active, ready_group, &job);
  for (int64_t i = 0; i < job.g.active; i++) ready_group(&job, i, team.shared());  // not worth waking anyone
}

bool group(const MoeArgs& a, Scratch& shared, Groups& g) {
  const int64_t tokens = a.x.rows, pairs = tokens * a.top_k, experts = a.gate_up.count;
  int32_t* memory = shared.get<int32_t>(0, 2 * pairs + 3 * experts + 2);
  g = {memory, memory + pairs, memory + 2 * pairs, memory + 2 * pairs + experts, 0};
  int32_t* next = g.begin + experts + 1;
  std::memset(next, 0, experts * sizeof(int32_t));
  for (int64_t i = 0; i < pairs; i++) {
    if (a.ids[i] < 0 || a.ids[i] >= experts) return false;
    next[a.ids[i]]++;
  }
  int32_t at = 0;
  const int32_t* order = a.cache ? a.cache->order(a.layer) : nullptr;
  for (int64_t i = 0; i < experts; i++) {
    const int64_t e = order ? order[i] : i;
    const int32_t size = next[e];
    next[e] = at;
    if (size == 0) continue;
    g.expert[g.active] = static_cast<int32_t>(e);
    g.begin[g.active++] = at;
    at += size;
  }
  g.begin[g.active] = at;
  for (int64_t i = 0; i < pairs; i++) {
    g.place[i] = next[a.ids[i]]++;
    g.token[g.place[i]] = static_cast<int32_t>(i / a.top_k);
  }
  return true;
}

// Where the team keeps the hidden rows between the two halves.
Act hidden_rows(const MoeArgs& a, Scratch& shared) {
  const int64_t pairs = a.x.rows * a.top_k, width = a.down.k, blocks = width / 32;
  Act h{a.x.numerics, nullptr, nullptr, nullptr, nullptr, pairs, width};
  if (h.numerics == Numerics::q8) {
    h.data = shared.get<int8_t>(1, pairs * width);
    h.split = shared.get<int8_t>(2, pairs * width);
    h.scales = shared.get<float>(3, pairs * blocks);
    h.sums = shared.get<int32_t>(4, pairs * blocks);
  } else {
    h.data = shared.get<float>(1, pairs * width);
  }
  return h;
}

// Interleaved (g, u) pairs, even = gate, odd = up, to (min(g, limit) * sigmoid(alpha g)) * (clamp(u) + 1).
OSSIA_INLINE void swiglu(const float* gate_up, const float* bias, int64_t n, float limit, float alpha, float* out) {
  const V top = set1(limit), bottom = set1(-limit);
  for (int64_t i = 0; i < n; i += 16) {
    float g[16], u[16];
    for (int j = 0; j < 16; j++) {
      g[j] = gate_up[2 * (i + j)] + bias[2 * (i + j)];
      u[j] = gate_up[2 * (i + j) + 1] + bias[2 * (i + j) + 1];
    }
    const V gate = min(top, load(g)), up = max(bottom, min(top, load(u)));
    const V glu = mul(gate, sigmoid(mul(set1(alpha), gate)));
    store(out + i, mul(glu, add(up, set1(1))));
  }
}

void gate_up_rows(const void* context, int64_t task, Scratch& scratch) {
  const Job& job = *static_cast<const Job*>(context);
  const MoeArgs& a = job.a;
  const int64_t group = task / job.chunks, first = task % job.chunks * job.chunk, then = task + job.threads;
  const Slab w = job.weights(group, first, then / job.chunks, then % job.chunks * job.chunk);
  if (!w.data) return;
  const int64_t rows = w.rows, expert = job.g.expert[group], begin = job.g.begin[group],
                count = job.g.begin[group + 1] - begin;
  float* y = scratch.get<float>(0, count * rows);
  float* h = scratch.get<float>(1, rows / 2);
  dots(w, job.rows(group), job.ready_rows(group), y, rows, scratch);
  for (int64_t i = 0; i < count; i++) {
    swiglu(y + i * rows, a.gate_up_bias + expert * a.gate_up.n + first, rows / 2, a.limit, a.alpha, h);
    store_activation(job.hidden, begin + i, first / 2, h, rows / 2);
  }
}

// Weighted sum of a token's experts on `rows` outputs, in the order the router gave them.
OSSIA_INLINE void combine(const Job& job, int64_t t, const float* y, int64_t first, int64_t rows) {
  const MoeArgs& a = job.a;
  float* out = a.out + t * a.down.n + first;
  for (int64_t r = 0; r < rows; r += 16) {
    V sum = zero();
    for (int64_t k = 0; k < a.top_k; k++) {
      const int64_t pair = t * a.top_k + k;
      const V w = set1(a.weights[pair]), bias = load(a.down_bias + a.ids[pair] * a.down.n + first + r);
      const V v = add(load(y + job.g.place[pair] * rows + r), bias);
      sum = k ? fma(w, v, sum) : mul(w, v);
    }
    store(out + r, add(load(out + r), sum));
  }
}

void down_rows(const void* context, int64_t task, Scratch& scratch) {
  const Job& job = *static_cast<const Job*>(context);
  const MoeArgs& a = job.a;
  const int64_t first = task * job.chunk, rows = a.down.n - first < job.chunk ? a.down.n - first : job.chunk;
  float* y = scratch.get<float>(0, job.hidden.rows * rows);
  for (int64_t i = 0; i < job.g.active; i++) {
    const bool last = i + 1 == job.g.active;
    const Slab w = job.weights(i, first, last ? 0 : i + 1, last ? (task + job.threads) * job.chunk : first);
    if (!w.data) return;
    dots(w, job.rows(i), job.ready_rows(i), y + job.g.begin[i] * rows, rows, scratch);
  }
  for (int64_t t = 0; t < a.x.rows; t++) combine(job, t, y, first, rows);
}

}  // namespace

void moe(const MoeArgs& a, Team& team) {
  const bool crowded = a.x.rows * a.top_k / a.gate_up.count >= 16;
  Job job{a, {}, {}, team.threads(), 0, 0, nullptr, false};
  if (!group(a, team.shared(), job.g)) return team.fail("moe: an expert id is outside the weights");
  if (a.cache) a.cache->begin(a.layer, job.g.expert, job.g.begin, job.g.active, a.x.rows);
  job.hidden = hidden_rows(a, team.shared());
  job.chunk = task_rows(a.gate_up.n, job.g.active, kGateUpRows, crowded ? 5 : 3, team.threads());
  job.chunks = (a.gate_up.n + job.chunk - 1) / job.chunk;
  make_half_ready(job, false, team);
  team.parallel(job.g.active * job.chunks, gate_up_rows, &job);
  make_half_ready(job, true, team);
  job.chunk = task_rows(a.down.n, 1, kDownRows, crowded ? 2 : 3, team.threads());
  team.parallel((a.down.n + job.chunk - 1) / job.chunk, down_rows, &job);
  if (a.cache && a.cache->failure().error) team.fail("moe: an expert cannot be read");
}

}  // namespace OSSIA_ISA
}  // namespace ossia
#endif
