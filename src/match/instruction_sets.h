#pragma once
// The instruction sets that the channel kernel is compiled for beside the generic one. Which these are is a matter of
// the sources that a processor's build takes: x86/, or portable/ where there are none. Internal to match/.

#include <span>

#include "match/channel_kernel.h"

namespace outsole::match {

struct InstructionSet {
  const ChannelKernel& kernel;
  const char* description;
  const char* needs;    // of the processor, in words
  bool (*runs_here)();  // whether this processor has it
};

/// Fastest first.
std::span<const InstructionSet> special_instruction_sets();

}  // namespace outsole::match
