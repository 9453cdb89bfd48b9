// What the machine gives at most, measured with loops that do nothing else: the ceilings beside which a benchmark puts
// its figures. No kernel uses these.
#pragma once

#include <cstdint>

#include "ops.h"
#include "threads.h"

namespace ossia {

enum class Peak : int { int8, f32 };  // the multiplication of q8; that of bf16 and f32, which widen to f32

struct Probe {
  // Reads all of `size` bytes once, shared out over the team; returns seconds.
  double (*read)(const void* data, int64_t size, Team& team);
  // Multiplies and adds in registers for about `seconds`; returns operations (a multiplication and an addition are
  // two) per second.
  double (*peak)(Peak peak, double seconds, Team& team);
  const char* instruction[2];  // by Peak
};

const Probe& find_probe(Isa isa);

}  // namespace ossia
