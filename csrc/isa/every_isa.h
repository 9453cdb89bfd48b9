// Compiles the family file named by OSSIA_FAMILY once per instruction set, each time in a namespace of that name and
// inside a target region (never a file-wide -m flag: inline functions of such files get merged into code for older
// CPUs). Standard headers are included here, outside the regions, for the same reason. No include guard: each family
// includes it.
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "../ops.h"
#include "../threads.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__clang__)
#define OSSIA_PRAGMA(x) _Pragma(#x)
#define OSSIA_TARGET_BEGIN(t) OSSIA_PRAGMA(clang attribute push(__attribute__((target(t))), apply_to = function))
#define OSSIA_TARGET_END _Pragma("clang attribute pop")
#else
#define OSSIA_PRAGMA(x) _Pragma(#x)
#define OSSIA_TARGET_BEGIN(t) _Pragma("GCC push_options") OSSIA_PRAGMA(GCC target(t))
#define OSSIA_TARGET_END _Pragma("GCC pop_options")
#endif
#define OSSIA_INLINE static inline __attribute__((always_inline))

#define OSSIA_SCALAR 0
#define OSSIA_AVX2 1
#define OSSIA_AVX512 2

#define OSSIA_ISA scalar
#define OSSIA_LEVEL OSSIA_SCALAR
#include OSSIA_FAMILY
#undef OSSIA_ISA
#undef OSSIA_LEVEL

#if defined(__x86_64__)
OSSIA_TARGET_BEGIN("avx2,fma")
#define OSSIA_ISA avx2
#define OSSIA_LEVEL OSSIA_AVX2
#include OSSIA_FAMILY
#undef OSSIA_ISA
#undef OSSIA_LEVEL
OSSIA_TARGET_END

OSSIA_TARGET_BEGIN("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")
#define OSSIA_ISA avx512
#define OSSIA_LEVEL OSSIA_AVX512
#include OSSIA_FAMILY
#undef OSSIA_ISA
#undef OSSIA_LEVEL
OSSIA_TARGET_END
#endif
