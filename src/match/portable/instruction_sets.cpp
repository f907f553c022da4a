#include "match/instruction_sets.h"

namespace outsole::match {

std::span<const InstructionSet> special_instruction_sets() { return {}; }

}  // namespace outsole::match
