// THE table: op x numerics x instruction set. Tests walk it, so a kernel is tested the moment it stands here.
// Ops whose arithmetic does not depend on the numerics stand under all three.
#include "ops.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace ossia {
namespace {

template <class Args, void (*kernel)(const Args&, Team&)>
void call(const void* args, Team& team) {
  kernel(*static_cast<const Args*>(args), team);
}

#define OSSIA_ALL(args, name, isa) \
  { call<args, isa::name>, call<args, isa::name>, call<args, isa::name> }
// `products` is `isa`, or what multiplies int8 faster and is like it otherwise.
#define OSSIA_ISA_TABLE(isa, products)                                                                                 \
  {                                                                                                                    \
    OSSIA_ALL(EmbedArgs, embed, isa), OSSIA_ALL(RmsNormArgs, rms_norm, isa), OSSIA_ALL(QuantizeArgs, quantize, isa),   \
        OSSIA_ALL(LinearArgs, linear, products), OSSIA_ALL(RopeStoreArgs, rope_store, isa),                            \
        OSSIA_ALL(AttentionArgs, attention, isa), OSSIA_ALL(RouteArgs, route, isa), OSSIA_ALL(MoeArgs, moe, products), \
        OSSIA_ALL(GatherRowsArgs, gather_rows, isa), OSSIA_ALL(LmHeadArgs, lm_head, products),                         \
        OSSIA_ALL(SplitPlanesArgs, split_planes, products), OSSIA_ALL(GumbelArgs, gumbel, products),                   \
  }

constexpr Kernel kTable[kIsas][kOps][kNumerics] = {
    OSSIA_ISA_TABLE(scalar, scalar),
#if defined(__x86_64__)
    OSSIA_ISA_TABLE(avx2, avx2),
    OSSIA_ISA_TABLE(avx2, avxvnni),
    OSSIA_ISA_TABLE(avx512, avx512),
#elif defined(__aarch64__)
    {},
    {},
    {},
    OSSIA_ISA_TABLE(neon, neon),
    OSSIA_ISA_TABLE(neon, neon_i8mm),
#endif
};

#if defined(__x86_64__)

// __builtin_cpu_supports asks the operating system too (XGETBV), not only CPUID.
bool has(Isa isa) {
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (isa == Isa::avx2) return avx2;
  if (isa == Isa::avxvnni) {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return avx2 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
  }
  return isa == Isa::avx512 && avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
}

#elif defined(__aarch64__) && defined(__linux__)

bool has(Isa isa) {  // HWCAP_ASIMDDP; HWCAP2_I8MM
  const bool dotprod = getauxval(AT_HWCAP) >> 20 & 1;
  if (isa == Isa::neon) return dotprod;
  return isa == Isa::neon_i8mm && dotprod && (getauxval(AT_HWCAP2) >> 13 & 1);
}

#elif defined(__aarch64__) && defined(__APPLE__)

bool says(const char* name) {
  int value = 0;
  size_t size = sizeof value;
  return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value != 0;
}

bool has(Isa isa) {
  const bool dotprod = says("hw.optional.arm.FEAT_DotProd");
  if (isa == Isa::neon) return dotprod;
  return isa == Isa::neon_i8mm && dotprod && says("hw.optional.arm.FEAT_I8MM");
}

#else

bool has(Isa) { return false; }

#endif

}  // namespace

Kernel find_kernel(Op op, Numerics numerics, Isa isa) {
  return kTable[static_cast<int>(isa)][static_cast<int>(op)][static_cast<int>(numerics)];
}

bool isa_available(Isa isa) { return isa == Isa::scalar || has(isa); }

}  // namespace ossia
