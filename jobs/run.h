#pragma once

#include <string>
#include <vector>

#include "comm/launch.h"

namespace outsole::jobs {

/// What was found out before MPI was started.
struct Start {
  comm::Launch launch;
  std::string notice;  // that the log should show; empty: none
};

/// Runs `words`, the program's name and what follows it on the command line: finds the job, reads its options, runs it
/// on all ranks and turns errors into exit codes. What it says goes to standard output and standard error. Collective;
/// MPI must have been started. An error that only one rank knows of ends all processes, others end the job alone.
int run(const std::vector<std::string>& words, const Start& start);

}  // namespace outsole::jobs
