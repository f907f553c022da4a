#pragma once
// Runs jobs within the process of a test: to start the program takes a second, most of it LibTorch's, and most of what
// jobs do can be seen without.

#include "run_job.h"

namespace outsole::testing {

/// Runs a job in a folder on the ranks of this process, which must all call; MPI must have been started. The result is
/// this rank's: what it printed, and the exit code that the program would have ended with. Nothing ends a job that
/// hangs.
JobResult run_here(const std::filesystem::path& folder, const std::vector<std::string>& arguments);

}  // namespace outsole::testing
