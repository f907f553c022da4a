#include "match/instruction_sets.h"

namespace outsole::match {

extern const ChannelKernel kAvx512Kernel, kAvx2Kernel;

std::span<const InstructionSet> special_instruction_sets() {
  static const InstructionSet sets[] = {
      {kAvx512Kernel, "16 exemplars in a vector, tiles of 24 sums", "AVX-512 F and DQ",
       [] { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"); }},
      {kAvx2Kernel, "8 exemplars in a vector, tiles of 12 sums", "AVX2 and FMA",
       [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }}};
  return sets;
}

}  // namespace outsole::match
