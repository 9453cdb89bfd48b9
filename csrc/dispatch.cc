// THE table: op x numerics x instruction set. Tests walk it, so a kernel is tested the moment it stands here.
// Ops whose arithmetic does not depend on the numerics stand under all three.
#include "ops.h"

namespace ossia {
namespace {

template <class Args, void (*kernel)(const Args&, Team&)>
void call(const void* args, Team& team) {
  kernel(*static_cast<const Args*>(args), team);
}

#define OSSIA_ALL(args, name, isa) \
  { call<args, isa::name>, call<args, isa::name>, call<args, isa::name> }
#define OSSIA_ISA_TABLE(isa)                                                                                         \
  {                                                                                                                  \
    OSSIA_ALL(EmbedArgs, embed, isa), OSSIA_ALL(RmsNormArgs, rms_norm, isa), OSSIA_ALL(QuantizeArgs, quantize, isa), \
        OSSIA_ALL(LinearArgs, linear, isa), OSSIA_ALL(RopeStoreArgs, rope_store, isa),                               \
        OSSIA_ALL(AttentionArgs, attention, isa), OSSIA_ALL(RouteArgs, route, isa), OSSIA_ALL(MoeArgs, moe, isa),    \
        OSSIA_ALL(GatherRowsArgs, gather_rows, isa),                                                                 \
  }

constexpr Kernel kTable[kIsas][kOps][kNumerics] = {
    OSSIA_ISA_TABLE(scalar),
#if defined(__x86_64__)
    OSSIA_ISA_TABLE(avx2),
    OSSIA_ISA_TABLE(avx512),
#endif
};

}  // namespace

Kernel find_kernel(Op op, Numerics numerics, Isa isa) {
  return kTable[static_cast<int>(isa)][static_cast<int>(op)][static_cast<int>(numerics)];
}

// __builtin_cpu_supports asks the operating system too (XGETBV), not only CPUID.
bool isa_available(Isa isa) {
#if defined(__x86_64__)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (isa == Isa::avx2) return avx2;
  if (isa == Isa::avx512)
    return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
#endif
  return isa == Isa::scalar;
}

}  // namespace ossia
