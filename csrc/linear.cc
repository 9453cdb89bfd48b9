// linear: out = [out +] (x w^T + bias), tasks of weight rows.
#ifndef OSSIA_ISA
#define OSSIA_FAMILY "../linear.cc"
#define OSSIA_PRODUCTS
#include "isa/every_isa.h"
#else

namespace ossia {
namespace OSSIA_ISA {
namespace {

#include "isa/lanes.h"
#include "isa/dots.h"

struct Job {
  const LinearArgs& a;
  int64_t chunk, threads;
  int8_t* ready;
  Picked all() const { return {a.x, nullptr, 0, a.x.rows}; }
  Slab weights(int64_t task) const {
    const int64_t first = task * chunk < a.w.n ? task * chunk : 0;
    return slab(a.w, 0, first, a.w.n - first < chunk ? a.w.n - first : chunk);
  }
};

void ready_unit(const void* context, int64_t unit, Scratch&) {
  const auto& job = *static_cast<const Job*>(context);
  make_ready(job.a.w.kind, job.all(), unit, job.ready);
}

void some_rows(const void* context, int64_t task, Scratch& scratch) {
  const auto& job = *static_cast<const Job*>(context);
  const LinearArgs& a = job.a;
  const Slab w = job.weights(task).before(job.weights(task + job.threads));  // others take those in between
  const int64_t first = task * job.chunk, rows = w.rows;
  float* y = scratch.get<float>(0, a.x.rows * rows);
  dots(w, job.all(), job.ready, y, rows, scratch);
  for (int64_t t = 0; t < a.x.rows; t++) {
    float* out = a.out + t * a.w.n + first;
    float* from = y + t * rows;
    if (a.bias)
      for (int64_t r = 0; r < rows; r++) from[r] += a.bias[first + r];
    if (a.accumulate) {
      for (int64_t r = 0; r < rows; r++) out[r] += from[r];
    } else {
      std::memcpy(out, from, rows * sizeof(float));
    }
  }
}

}  // namespace

void linear(const LinearArgs& a, Team& team) {
  int64_t chunk = 128;  // a multiple of every kernel's rows
  while (chunk > 32 && a.w.n / chunk < 8 * team.threads()) chunk /= 2;
  const Job job{a, chunk, team.threads(), team.shared().get<int8_t>(0, ready_bytes(a.x.numerics, a.x.rows, a.x.width))};
  team.parallel(ready_units(job.all()), ready_unit, &job);
  team.parallel((a.w.n + chunk - 1) / chunk, some_rows, &job);
}

}  // namespace OSSIA_ISA
}  // namespace ossia
#endif
