// lm_head: logits of every token of the vocabulary, and the tokens chosen by them. split_planes: an int8 weight as two
// planes of nibbles, of which choosing reads one. gumbel: the noise alone. ops.h says what is exact.
#ifndef OSSIA_ISA
#define OSSIA_FAMILY "../lm_head.cc"
#define OSSIA_PRODUCTS
#include "isa/every_isa.h"
#else

namespace ossia {
namespace OSSIA_ISA {
namespace {

#include "isa/lanes.h"
#include "isa/dots.h"
#include "isa/noise.h"
#include "isa/planes.h"

constexpr float kInf = __builtin_inff();
constexpr int64_t kJoined = 64;        // rows put together at a time: they stay in the second-level cache
constexpr int64_t kRescored = 8;       // rows of a task
constexpr int64_t kMostAsTheyLie = 4;  // activation rows; for more, rows are joined once for all of them
constexpr int64_t kSightedAtOnce = 4;  // activation rows
constexpr float kLeastVariance = 1e-30f;

enum Shared : int { kReady, kSighted, kUpper, kGroups, kCandidates, kScores };  // slots of the team's scratch

OSSIA_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

// ---- from a logit to a score: bias and penalties, noise, mask ----

OSSIA_INLINE float edited(const Asked& q, int64_t row, int64_t e, float x) {
  const float *p = q.penalties + 3 * row, count = q.edit_counts[e];
  x += q.edit_bias[e];
  if (count < 0) return x;
  x = x > 0 ? x / p[0] : x * p[0];
  x -= p[1] * count;
  return x - p[2] * (count > 0 ? 1.0f : 0.0f);
}

// The first edit of a row whose id is not below `id`; and where the row's edits end.
OSSIA_INLINE int64_t edit_from(const Asked& q, int64_t row, int64_t id) {
  int64_t low = row ? q.edit_ends[row - 1] : 0, high = q.edit_ends[row];
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (q.edit_ids[middle] < id)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

void edit(const Asked& q, int64_t row, int64_t first, int64_t count, float* x) {
  for (int64_t e = edit_from(q, row, first); e < q.edit_ends[row] && q.edit_ids[e] < first + count; e++)
    x[q.edit_ids[e] - first] = edited(q, row, e, x[q.edit_ids[e] - first]);
}

OSSIA_INLINE const uint8_t* mask_of(const Asked& q, int64_t row, int64_t vocab) {
  return q.mask_of[row] < 0 ? nullptr : q.masks + q.mask_of[row] * vocab;
}

void add_noise(float temperature, const float* noise, int64_t count, float* x) {
  for (int64_t i = 0; i < count; i++) x[i] = x[i] + temperature * noise[i];
}

void forbid(const uint8_t* allowed, int64_t count, float* x) {
  for (int64_t i = 0; i < count; i++) x[i] = allowed[i] ? x[i] : -kInf;
}

// Turns logits of the ids [first, first + count), count <= kNoiseAtOnce, into scores; `noise` is filled if T > 0.
void score(const Asked& q, int64_t row, int64_t vocab, int64_t first, int64_t count, const float* noise, float* x) {
  edit(q, row, first, count, x);
  if (q.temperatures[row] > 0) add_noise(q.temperatures[row], noise, count, x);
  if (const uint8_t* allowed = mask_of(q, row, vocab)) forbid(allowed + first, count, x);
}

OSSIA_INLINE void noise_of(const Asked& q, int64_t row, int64_t first, int64_t count, float* noise) {
  if (q.temperatures[row] > 0)
    gumbel_noise(
        q.keys[row], count, [first](int64_t i) { return first + i; }, noise);
}

struct Best {
  float score;
  int32_t id;                             // or why there is none
  void offer(float other, int32_t its) {  // ties to the lower id, which comes first
    if (other > score) score = other, id = its;
  }
};

// ---- the whole product ----

struct Whole {
  const LmHeadArgs& a;
  int8_t* ready;
  int8_t* sighted;  // per row, for planes as they lie; null where rows are joined
  Best* bests;      // (groups, rows)
  int64_t sighted_each;
  Picked all() const { return {a.x, nullptr, 0, a.x.rows}; }
};

void whole_ready(const void* context, int64_t unit, Scratch&) {
  const auto& job = *static_cast<const Whole*>(context);
  if (job.sighted) return sight(job.a.x, unit, 1, true, job.sighted + unit * job.sighted_each);
  make_ready(job.a.w.kind == Kind::q8_planes ? Kind::q8 : job.a.w.kind, job.all(), unit, job.ready);
}

// `count` joined rows of a group, from r on.
Slab joined(const Planes& p, int64_t r, int64_t count, Scratch& scratch) {
  int8_t* q = scratch.get<int8_t>(0, static_cast<size_t>(kJoined * p.k));
  float* scales = scratch.get<float>(1, static_cast<size_t>(kJoined * p.blocks()));
  for (int64_t i = 0; i < count; i++) join_row(p, r + i, q + i * p.k, scales + i * p.blocks());
  return {Kind::q8, q, scales, p.k, count};
}

// Products of `rows` activation rows from t on with a group, exact or approximate with variances; both
// (rows, kPlaneRows).
template <bool kExact>
void sight_group(const LmHeadArgs& a, int64_t group, int64_t t, int64_t rows, int8_t* sighted, int64_t each, float* sum,
                 float* variance) {
  using Sights = void (*)(const Planes&, const Sighted*, float*, float*);
  static constexpr Sights kSights[kSightedAtOnce] = {sight_rows<1, kExact>, sight_rows<2, kExact>,
                                                     sight_rows<3, kExact>, sight_rows<4, kExact>};
  Sighted x[kSightedAtOnce];
  for (int64_t i = 0; i < rows; i++) x[i] = sighted_at(a.x.width / 32, sighted + (t + i) * each);
  kSights[rows - 1](planes_of(a.w, group), x, sum, variance);
}

// Logits (rows, kPlaneRows) of a group of the vocabulary.
void group_logits(const Whole& job, int64_t group, int64_t count, float* y, Scratch& scratch) {
  const Mat& w = job.a.w;
  for (int64_t t = 0; job.sighted && t < job.a.x.rows; t += kSightedAtOnce)
    sight_group<true>(job.a, group, t, least(kSightedAtOnce, job.a.x.rows - t), job.sighted, job.sighted_each,
                      y + t * kPlaneRows, nullptr);
  if (job.sighted) return;
  const int64_t first = group * kPlaneRows, step = w.kind == Kind::q8_planes ? kJoined : kPlaneRows / 2;
  for (int64_t r = 0; r < count; r += step) {
    const int64_t take = least(step, count - r);
    const Slab part =
        w.kind == Kind::q8_planes ? joined(planes_of(w, group), r, take, scratch) : slab(w, 0, first + r, take);
    dots(part, job.all(), job.ready, y + r, kPlaneRows, scratch);
  }
}

// The largest of kPlaneRows, of which only `count` mean anything; no NaN among those.
OSSIA_INLINE float largest(float* x, int64_t count) {
  for (int64_t i = count; i < kPlaneRows; i++) x[i] = -kInf;
  V most = load(x);
  for (int64_t i = 16; i < kPlaneRows; i += 16) most = max(most, load(x + i));
  return tree_max(most);
}

Best best_of(float* x, const float* raw, int64_t first, int64_t count) {
  int nan = 0, infinite = 0;
  for (int64_t i = 0; i < count; i++) {
    nan |= raw[i] != raw[i];
    infinite |= raw[i] == kInf;
  }
  if (nan || infinite) return {kInf, nan ? kNotANumber : kInfinite};
  const float most = largest(x, count);
  if (!(most > -kInf)) return {-kInf, kNoneAllowed};
  int64_t i = 0;
  while (x[i] != most) i++;
  return {most, static_cast<int32_t>(first + i)};
}

void whole_group(const void* context, int64_t group, Scratch& scratch) {
  const auto& job = *static_cast<const Whole*>(context);
  const LmHeadArgs& a = job.a;
  const int64_t first = group * kPlaneRows, count = least(kPlaneRows, a.w.n - first);
  float* y = scratch.get<float>(2, static_cast<size_t>(a.x.rows * kPlaneRows));
  group_logits(job, group, count, y, scratch);
  float noise[kPlaneRows], x[kPlaneRows];
  for (int64_t t = 0; t < a.x.rows; t++) {
    const float* logits = y + t * kPlaneRows;
    if (a.asked.whole[t]) {
      std::memcpy(a.logits + t * a.w.n + first, logits, static_cast<size_t>(count) * sizeof(float));
      continue;
    }
    std::memcpy(x, logits, static_cast<size_t>(count) * sizeof(float));
    noise_of(a.asked, t, first, count, noise);
    score(a.asked, t, a.w.n, first, count, noise, x);
    job.bests[group * a.x.rows + t] = best_of(x, logits, first, count);
  }
}

void whole(const LmHeadArgs& a, Team& team) {
  const int64_t groups = (a.w.n + kPlaneRows - 1) / kPlaneRows, each = sighted_bytes(a.x.width);
  const bool as_they_lie = kPlanesAsTheyLie && a.w.kind == Kind::q8_planes && a.x.rows <= kMostAsTheyLie;
  const auto ready = static_cast<size_t>(ready_bytes(a.x.numerics, a.x.rows, a.x.width));
  Scratch& shared = team.shared();
  const Whole job{a, as_they_lie ? nullptr : shared.get<int8_t>(kReady, ready),
                  as_they_lie ? shared.get<int8_t>(kSighted, static_cast<size_t>(a.x.rows * each)) : nullptr,
                  shared.get<Best>(kGroups, static_cast<size_t>(groups * a.x.rows)), each};
  team.parallel(as_they_lie ? a.x.rows : ready_units(job.all()), whole_ready, &job);
  team.parallel(groups, whole_group, &job);
  for (int64_t t = 0; t < a.x.rows; t++) {
    a.rescored[t] = -1;
    if (a.asked.whole[t]) continue;
    Best best{-kInf, kNoneAllowed};
    int32_t wrong = 0;
    for (int64_t g = 0; g < groups; g++) {
      const Best& other = job.bests[g * a.x.rows + t];
      if (other.id >= kNoneAllowed) best.offer(other.score, other.id);
      if (other.id < kNoneAllowed && other.id < wrong) wrong = other.id;
    }
    a.chosen[t] = wrong ? wrong : best.id;
  }
}

// ---- the screened product: scores between bounds from the high plane, then exact ones where it matters ----

struct Bounds {  // over a group: the largest lower and the largest upper bound
  float lower, upper;
};

struct Screened {
  const LmHeadArgs& a;
  int8_t* ready;    // per row: as the whole product wants it
  int8_t* sighted;  // per row: as the high plane wants it
  float* upper;     // (rows, V)
  Bounds* groups;   // (groups, rows)
  std::atomic<bool>& unsure;
  int64_t ready_each, sighted_each;
  Picked one(int64_t t) const { return {a.x, nullptr, t, 1}; }
};

void screened_ready(const void* context, int64_t t, Scratch&) {
  const auto& job = *static_cast<const Screened*>(context);
  for (int64_t unit = 0; unit < ready_units(job.one(t)); unit++)
    make_ready(Kind::q8, job.one(t), unit, job.ready + t * job.ready_each);
  sight(job.a.x, t, job.a.gain, false, job.sighted + t * job.sighted_each);
}

// From approximate logits and their variances to bounds; false where they mean nothing.
bool bound(float sigmas, int64_t count, float* x, float* variance) {
  int strange = 0;
  for (int64_t i = 0; i < count; i++) {
    const float y = x[i], v = variance[i], margin = sigmas * std::sqrt(v);
    strange |= !(y - y == 0.0f) | !(v - v == 0.0f) | ((v < kLeastVariance) & (y != 0.0f));
    x[i] = y - margin;
    variance[i] = y + margin;
  }
  return !strange;
}

// Rows whose low nibbles are not as random as the bounds suppose are always scored.
void distrust(const LmHeadArgs& a, int64_t first, int64_t count, float* lower, float* upper) {
  int64_t low = 0, high = a.doubtful_count;
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (a.doubtful[middle] < first)
      low = middle + 1;
    else
      high = middle;
  }
  for (; low < a.doubtful_count && a.doubtful[low] < first + count; low++) {
    const int64_t i = a.doubtful[low] - first;
    lower[i] = -kInf;
    if (upper[i] > -kInf) upper[i] = kInf;
  }
}

void screened_group(const void* context, int64_t group, Scratch&) {
  const auto& job = *static_cast<const Screened*>(context);
  const LmHeadArgs& a = job.a;
  const int64_t first = group * kPlaneRows, count = least(kPlaneRows, a.w.n - first);
  float sum[kSightedAtOnce * kPlaneRows], variance[kSightedAtOnce * kPlaneRows], noise[kPlaneRows];
  for (int64_t t = 0; t < a.x.rows; t++) {
    const int64_t i = t % kSightedAtOnce;
    if (i == 0)
      sight_group<false>(a, group, t, least(kSightedAtOnce, a.x.rows - t), job.sighted, job.sighted_each, sum,
                         variance);
    float *lower = sum + i * kPlaneRows, *upper = variance + i * kPlaneRows;
    if (!bound(a.sigmas, count, lower, upper)) job.unsure.store(true);
    noise_of(a.asked, t, first, count, noise);
    score(a.asked, t, a.w.n, first, count, noise, lower);
    score(a.asked, t, a.w.n, first, count, noise, upper);
    distrust(a, first, count, lower, upper);
    std::memcpy(job.upper + t * a.w.n + first, upper, static_cast<size_t>(count) * sizeof(float));
    job.groups[group * a.x.rows + t] = {largest(lower, count), largest(upper, count)};
  }
}

// Ids of a row whose upper bound reaches the largest lower one, ascending; -1 if they are more than `most`.
int64_t candidates_of(const Screened& job, int64_t t, int64_t groups, int64_t most, int32_t* out) {
  const LmHeadArgs& a = job.a;
  float reached = -kInf;
  for (int64_t g = 0; g < groups; g++)
    if (job.groups[g * a.x.rows + t].lower > reached) reached = job.groups[g * a.x.rows + t].lower;
  if (!(reached > -kInf)) return -1;
  int64_t found = 0;
  for (int64_t g = 0; g < groups; g++) {
    if (job.groups[g * a.x.rows + t].upper < reached) continue;
    const int64_t first = g * kPlaneRows, count = least(kPlaneRows, a.w.n - first);
    const float* upper = job.upper + t * a.w.n + first;
    for (int64_t i = 0; i < count; i++) {
      if (!(upper[i] >= reached)) continue;
      if (found == most) return -1;
      out[found++] = static_cast<int32_t>(first + i);
    }
  }
  return found;
}

struct Rescoring {
  const Screened& screened;
  int64_t row, count;
  const int32_t* ids;
  float* scores;
};

void rescore(const void* context, int64_t task, Scratch& scratch) {
  const auto& job = *static_cast<const Rescoring*>(context);
  const LmHeadArgs& a = job.screened.a;
  const int64_t begin = task * kRescored, count = least(kRescored, job.count - begin), blocks = a.w.k / 32;
  int8_t* q = scratch.get<int8_t>(0, static_cast<size_t>(kRescored * a.w.k));
  float* scales = scratch.get<float>(1, static_cast<size_t>(kRescored * blocks));
  for (int64_t i = 0; i < count; i++) {
    const int64_t id = job.ids[begin + i];
    join_row(planes_of(a.w, id / kPlaneRows), id % kPlaneRows, q + i * a.w.k, scales + i * blocks);
  }
  dots({Kind::q8, q, scales, a.w.k, count}, job.screened.one(job.row),
       job.screened.ready + job.row * job.screened.ready_each, job.scores + begin, count, scratch);
  for (int64_t i = 0; i < count; i++) {
    float noise;
    noise_of(a.asked, job.row, job.ids[begin + i], 1, &noise);
    score(a.asked, job.row, a.w.n, job.ids[begin + i], 1, &noise, job.scores + begin + i);
  }
}

bool choose_among(const Screened& job, int64_t t, int64_t count, const int32_t* ids, float* scores, Team& team) {
  const Rescoring exact{job, t, count, ids, scores};
  team.parallel((count + kRescored - 1) / kRescored, rescore, &exact);
  Best best{-kInf, kNoneAllowed};
  for (int64_t i = 0; i < count; i++) {
    if (scores[i] != scores[i]) return false;
    best.offer(scores[i], ids[i]);
  }
  job.a.chosen[t] = best.id;
  job.a.rescored[t] = static_cast<int32_t>(count);
  return best.score < kInf;
}

// False where the bounds leave too much open: then the whole product decides.
bool screened(const LmHeadArgs& a, Team& team) {
  const int64_t groups = (a.w.n + kPlaneRows - 1) / kPlaneRows, most = a.w.n / 16 + 64, rows = a.x.rows;
  const int64_t ready_each = (ready_bytes(Numerics::q8, 1, a.x.width) + 63) / 64 * 64;
  const int64_t sighted_each = sighted_bytes(a.x.width);
  Scratch& shared = team.shared();
  std::atomic<bool> unsure{false};
  const Screened job{a,
                     shared.get<int8_t>(kReady, static_cast<size_t>(rows * ready_each)),
                     shared.get<int8_t>(kSighted, static_cast<size_t>(rows * sighted_each)),
                     shared.get<float>(kUpper, static_cast<size_t>(rows * a.w.n)),
                     shared.get<Bounds>(kGroups, static_cast<size_t>(rows * groups)),
                     unsure,
                     ready_each,
                     sighted_each};
  team.parallel(rows, screened_ready, &job);
  team.parallel(groups, screened_group, &job);
  if (unsure.load()) return false;
  int32_t* ids = shared.get<int32_t>(kCandidates, static_cast<size_t>(most));
  float* scores = shared.get<float>(kScores, static_cast<size_t>(most));
  for (int64_t t = 0; t < rows; t++) {
    const int64_t count = candidates_of(job, t, groups, most, ids);
    if (count < 0 || !choose_among(job, t, count, ids, scores, team)) return false;
  }
  return true;
}

bool may_screen(const LmHeadArgs& a) {
  if (a.w.kind != Kind::q8_planes || a.x.rows > a.most_rows) return false;
  for (int64_t t = 0; t < a.x.rows; t++)
    if (a.asked.whole[t]) return false;
  return true;
}

// ---- split_planes ----

// What a row's codes and scales say about its low nibbles, l = nibble - 7.5 (q = 16 h + 7.5 + l), s the scale: sums of
// s^2, s^2 q^2, s^2 q l, s l, s^2 l^2.
void row_stats(const int8_t* q, const float* scales, int64_t blocks, double* out) {
  double sum[5] = {0, 0, 0, 0, 0};
  for (int64_t b = 0; b < blocks; b++, q += 32) {
    int32_t qq = 0, both = 0, l = 0, ll = 0;  // of 2 l
    for (int i = 0; i < 32; i++) {
      const int32_t code = q[i], low = 2 * (code & 15) - 15;
      qq += code * code;
      both += (code + low) * (code + low);  // GCC 12 makes a wrong vpdpbusd of code * low
      l += low;
      ll += low * low;
    }
    const double s = scales[b], s2 = s * s;
    sum[0] += 32 * s2;
    sum[1] += s2 * qq;
    sum[2] += s2 * (both - qq - ll) * 0.25;
    sum[3] += s * l * 0.5;
    sum[4] += s2 * ll * 0.25;
  }
  for (int i = 0; i < 5; i++) out[i] = sum[i];
}

void split_group(const void* context, int64_t group, Scratch& scratch) {
  const auto& a = *static_cast<const SplitPlanesArgs*>(context);
  const int64_t first = group * kPlaneRows, rows = least(kPlaneRows, a.n - first), blocks = a.k / 32;
  const int64_t codes = rows * a.k, words = rows * blocks;
  int8_t* q = scratch.get<int8_t>(0, static_cast<size_t>(codes));
  float* scales = scratch.get<float>(1, static_cast<size_t>(words));
  std::memcpy(q, a.data + first * a.k, static_cast<size_t>(codes));
  std::memcpy(scales, a.scales + first * blocks, static_cast<size_t>(words) * sizeof(float));
  uint8_t *high = reinterpret_cast<uint8_t*>(a.data + first * a.k), *low = high + codes / 2;
  for (int64_t i = 0; i < codes / 2; i++) {
    const uint8_t even = static_cast<uint8_t>(q[2 * i]) ^ 128, odd = static_cast<uint8_t>(q[2 * i + 1]) ^ 128;
    high[i] = static_cast<uint8_t>((even >> 4) | (odd & 240));
    low[i] = static_cast<uint8_t>((even & 15) | (odd << 4));
  }
  uint16_t *scale_high = reinterpret_cast<uint16_t*>(a.scales + first * blocks), *scale_low = scale_high + words;
  for (int64_t i = 0; i < words; i++) {
    uint32_t word;
    std::memcpy(&word, scales + i, 4);
    scale_high[i] = static_cast<uint16_t>(word >> 16);
    scale_low[i] = static_cast<uint16_t>(word);
  }
  for (int64_t r = 0; r < rows; r++) row_stats(q + r * a.k, scales + r * blocks, blocks, a.stats + (first + r) * 5);
}

// ---- gumbel ----

void gumbel_part(const void* context, int64_t task, Scratch&) {
  const auto& a = *static_cast<const GumbelArgs*>(context);
  const int64_t first = task * kNoiseAtOnce;
  const int64_t* ids = a.ids + first;
  gumbel_noise(
      a.key, least(kNoiseAtOnce, a.count - first), [ids](int64_t i) { return ids[i]; }, a.out + first);
}

}  // namespace

void lm_head(const LmHeadArgs& a, Team& team) {
  const Asked& q = a.asked;
  int64_t end = 0;
  for (int64_t t = 0; t < a.x.rows; t++) {
    if (q.mask_of[t] >= q.mask_count) return team.fail("lm_head: a mask is outside the array");
    if (q.edit_ends[t] < end || q.edit_ends[t] > q.edit_count) return team.fail("lm_head: edits are out of order");
    for (; end < q.edit_ends[t]; end++)
      if (q.edit_ids[end] < 0 || q.edit_ids[end] >= a.w.n)
        return team.fail("lm_head: an edit is outside the vocabulary");
  }
  if (!may_screen(a) || !screened(a, team)) whole(a, team);
}

void split_planes(const SplitPlanesArgs& a, Team& team) {
  team.parallel((a.n + kPlaneRows - 1) / kPlaneRows, split_group, &a);
}

void gumbel(const GumbelArgs& a, Team& team) {
  team.parallel((a.count + kNoiseAtOnce - 1) / kNoiseAtOnce, gumbel_part, &a);
}

}  // namespace OSSIA_ISA
}  // namespace ossia
#endif
