// Dense weights quantised, once, when a model is loaded. Runs on the calling thread alone: a loader has its own.
#pragma once

#include <cstdint>

#include "ops.h"

namespace ossia {

// Rows of bf16 or f32 values to int8 in blocks of 32 with a scale each: amax / 127, q = rne(w * (127 / amax)), zero
// where amax < 2^-100. The same bits in every instruction set. False when a value is inf or NaN (the rows are then not
// all written).
struct PackArgs {
  const void* from;
  bool from_is_bf16;
  int8_t* data;
  float* scales;
  int64_t blocks;
};

bool pack_q8(const PackArgs& args, Isa isa);

#define OSSIA_DECLARE_PACK(isa)   \
  namespace isa {                 \
  bool pack_q8(const PackArgs&);  \
  }
OSSIA_DECLARE_PACK(scalar)
OSSIA_DECLARE_PACK(avx2)
OSSIA_DECLARE_PACK(avx512)
OSSIA_DECLARE_PACK(neon)

}  // namespace ossia
