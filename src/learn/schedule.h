#pragma once
// How large Adam's steps are as training goes on.

#include <cstdint>
#include <string>

namespace outsole::learn {

/// Constant: the paper's. Cosine: a rise over the first steps, then half a cosine down to nothing at the last one
/// (Loshchilov, Hutter 2017, eq. 5, without restarts); the number of epochs is then part of what a run is.
enum class Schedule { kConstant, kCosine };

std::string name_of(Schedule schedule);
/// "constant" or "cosine"; throws UsageError naming them for another word.
Schedule parse_schedule(const std::string& text);

/// The share of the learning rate that step `step` (from 0) of `steps` takes: 1, or for a cosine in (0, 1].
double learning_rate_share(Schedule schedule, std::int64_t step, std::int64_t steps);

}  // namespace outsole::learn
