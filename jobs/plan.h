#pragma once
// --plan: what a job would do and take, printed for all jobs here.

#include "job.h"
#include "machine/plan.h"

namespace outsole::jobs {

/// The plan for people; with --plan-ranks a table of what other numbers of ranks would take; and for programs, where
/// the time is known, a line for each of these numbers (without them: for the ranks there are):
///
///     plan: ranks=64 seconds=1.2e+03 memory_bytes=3.1e+09
Report plan_report(const machine::Plan& plan, const JobContext& context);

}  // namespace outsole::jobs
