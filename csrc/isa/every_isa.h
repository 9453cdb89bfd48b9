// Compiles the family file named by OSSIA_FAMILY once per instruction set, each time in a namespace of that name and
// inside a target region (never a file-wide -m flag: inline functions of such files get merged into code for older
// CPUs). Families that multiply int8 (OSSIA_PRODUCTS) are compiled once more for what only does that faster, with
// OSSIA_FAST_INT8. Standard headers are included here, outside the regions, for the same reason. No include guard: each
// family includes it.
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "../ops.h"
#include "../threads.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
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
#define OSSIA_NEON 3

#define OSSIA_ISA scalar
#define OSSIA_LEVEL OSSIA_SCALAR
#define OSSIA_FAST_INT8 0
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
#undef OSSIA_FAST_INT8

#ifdef OSSIA_PRODUCTS
OSSIA_TARGET_BEGIN("avx2,fma,avxvnni")
#define OSSIA_ISA avxvnni
#define OSSIA_LEVEL OSSIA_AVX2
#define OSSIA_FAST_INT8 1
#include OSSIA_FAMILY
#undef OSSIA_ISA
#undef OSSIA_LEVEL
#undef OSSIA_FAST_INT8
OSSIA_TARGET_END
#endif

#elif defined(__aarch64__)
OSSIA_TARGET_BEGIN("arch=armv8.2-a+dotprod")
#define OSSIA_ISA neon
#define OSSIA_LEVEL OSSIA_NEON
#include OSSIA_FAMILY
#undef OSSIA_ISA
#undef OSSIA_LEVEL
OSSIA_TARGET_END
#undef OSSIA_FAST_INT8

#ifdef OSSIA_PRODUCTS
OSSIA_TARGET_BEGIN("arch=armv8.2-a+dotprod+i8mm")
#define OSSIA_ISA neon_i8mm
#define OSSIA_LEVEL OSSIA_NEON
#define OSSIA_FAST_INT8 1
#include OSSIA_FAMILY
#undef OSSIA_ISA
#undef OSSIA_LEVEL
#undef OSSIA_FAST_INT8
OSSIA_TARGET_END
#endif

#else
#undef OSSIA_FAST_INT8
#endif
