#pragma once
// Finds a rank that hangs, so that the others do not wait for it for ever.
//
// A thread of every rank writes the rank's pulse to a file every so often: a count that rises as long as the process
// uses its processor. A rank that computes does, however long its unit of work takes, and so does one that waits for
// the others (waiting is a loop here). One that was stopped, or that waits for a disk which never answers, does not.
// While a rank waits for others it looks at the pulse of the next one (the last looks at rank 0); when that has stood
// still for too long, the call that waits throws, and the error ends the job like any that one rank alone knows of.

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include "comm/communicator.h"

namespace outsole::comm {

/// Watches as long as it lives. One per process.
class Watchdog {
 public:
  /// `folder` is where the pulses go: all ranks must see it, the one above it need not exist yet. A rank is given up
  /// after `limit` without a pulse: collective calls then throw EnvironmentError naming rank, machine, process and what
  /// it did last (now_doing). Time in which this process was stopped itself does not count. With one rank it does
  /// nothing. Collective.
  Watchdog(const Communicator& comm, const std::filesystem::path& folder, std::chrono::duration<double> limit);
  /// Not collective.
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  struct State;

 private:
  std::unique_ptr<State> state_;
};

/// Notes what this rank does from now on ("indexing: unit 3"), in case it hangs. Any thread.
void now_doing(const std::string& what);

/// Looks at the pulse of the next rank if it is time to. For whatever waits for other ranks, again and again;
/// throws as Watchdog says. One thread at a time.
void look_after_next_rank();

}  // namespace outsole::comm
