#pragma once
// The half of `evaluate` that judges wear models.

#include "job.h"

namespace outsole::jobs {

void add_wear_options(po::options_description& options);

/// `evaluate wear`, on every rank.
void evaluate_wear(const po::variables_map& options, const JobContext& context);

}  // namespace outsole::jobs
