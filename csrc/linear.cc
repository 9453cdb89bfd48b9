// linear: out = [out +] (x w^T + bias), tasks of weight rows.
#ifndef OSSIA_ISA
#define OSSIA_FAMILY "../linear.cc"
#include "isa/every_isa.h"
#else

namespace ossia {
namespace OSSIA_ISA {
namespace {

#include "isa/lanes.h"
#include "isa/dots.h"

struct Job {
  const LinearArgs& a;
  int64_t chunk;
};

void some_rows(const void* context, int64_t task, Scratch& scratch) {
  const auto& job = *static_cast<const Job*>(context);
  const LinearArgs& a = job.a;
  const int64_t first = task * job.chunk, rows = a.w.n - first < job.chunk ? a.w.n - first : job.chunk;
  float* y = scratch.get<float>(0, a.x.rows * rows);
  dots(slab(a.w, 0, first, rows), Picked{a.x, nullptr, 0, a.x.rows}, y, rows, scratch);
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
  int64_t chunk = a.x.rows > 64 ? 128 : 64;  // a multiple of every kernel's rows
  while (chunk > 16 && a.w.n / chunk < 8 * team.threads()) chunk /= 2;
  const Job job{a, chunk};
  team.parallel((a.w.n + chunk - 1) / chunk, some_rows, &job);
}

}  // namespace OSSIA_ISA
}  // namespace ossia
#endif
