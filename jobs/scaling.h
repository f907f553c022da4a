#pragma once
// --plan-ranks: a job's plan for other numbers of ranks than there are.

#include "job.h"
#include "machine/scaling.h"

namespace outsole::jobs {

/// --plan-ranks and --plan-node.
void add_scaling_options(po::options_description& options);

/// Prints the table for the ranks and the node that the options name; nothing without --plan-ranks. Rank 0. Throws
/// UsageError.
void print_scaling(const machine::JobWork& work, const po::variables_map& options);

}  // namespace outsole::jobs
