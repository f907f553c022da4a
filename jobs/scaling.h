#pragma once
// --plan-ranks: a job's plan for other numbers of ranks than there are.

#include <string>
#include <vector>

#include "machine/scaling.h"
#include "options.h"

namespace outsole::jobs {

struct ScalingOptions {
  std::vector<int> ranks;  // empty: none asked for
  machine::NodeSpec node;
};

/// --plan-ranks and --plan-node.
void declare_scaling(ScalingOptions& scaling, Options& options);

/// The table for the ranks and the node that the options name; nothing without --plan-ranks.
std::string scaling_text(const machine::JobWork& work, const ScalingOptions& scaling);

}  // namespace outsole::jobs
