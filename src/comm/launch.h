#pragma once
// Whether a launcher started more processes than MPI knows of: then each believes to be rank 0 of 1, and all of them do
// the same work and write the same files.

#include <functional>
#include <string>

namespace outsole::comm {

/// The value of an environment variable; nullptr: it is not set.
using Environ = std::function<const char*(const char* name)>;

/// What launchers have said in the environment of the processes that they start, before MPI was started.
struct Launch {
  std::string launcher;  // "Slurm", "mpiexec"; empty: none is known
  int tasks = 1;         // that it started together with this process
};

/// Reads it from the environment. Slurm's variables of an allocation are no launch: a script, or a shell in it, runs a
/// program once. An mpirun within a step of Slurm's counts, and not the step.
Launch find_launch(const Environ& environ);

/// What is wrong when MPI has started with `ranks` ranks, and the way out; empty: nothing.
std::string launch_complaint(const Launch& launch, int ranks);

}  // namespace outsole::comm
