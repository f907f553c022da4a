#pragma once
// Ranks and what they say to each other. The only folder that calls MPI.
//
// | call                                   | collective |
// |----------------------------------------|------------|
// | rank, size, local_rank, local_ranks    | no         |
// | everything else                        | yes: every rank calls it, in the same order |

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace outsole::comm {

/// Starts and ends MPI; one per process, in main. Throws EnvironmentError when MPI does not give the thread level
/// funneled.
class Environment {
 public:
  Environment(int& argc, char**& argv);
  ~Environment();
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
};

/// All ranks of the job. Every operation moves bytes in pieces below INT_MAX, so counts are 64 bit here.
class Communicator {
 public:
  /// The world. Needs a live Environment.
  Communicator();

  int rank() const { return rank_; }
  int size() const { return size_; }
  bool is_root() const { return rank_ == 0; }
  /// Position among, and number of, the ranks on this machine.
  int local_rank() const { return local_rank_; }
  int local_ranks() const { return local_ranks_; }

  void barrier() const;

  /// Root's bytes to all.
  std::string broadcast(const std::string& bytes) const;
  void broadcast(std::span<float> values, int root) const;

  /// Every rank's bytes, in rank order: on root (gather; empty elsewhere) or on all (all_gather).
  std::vector<std::string> gather(const std::string& bytes) const;
  std::vector<std::string> all_gather(const std::string& bytes) const;

  std::int64_t sum(std::int64_t value) const;
  std::int64_t max(std::int64_t value) const;
  double max(double value) const;
  bool any_of(bool value) const { return max(std::int64_t{value}) != 0; }

  /// Runs `work`, which must not communicate, on every rank; afterwards, if it threw anywhere, every rank throws the
  /// error of the lowest rank that failed (with its exit code and message; a Bug stays a Bug). The point where an
  /// error on one rank reaches all.
  void together(const std::function<void()>& work) const;

 private:
  int rank_ = 0, size_ = 1, local_rank_ = 0, local_ranks_ = 1;
};

/// Ends all ranks at once with `code` after an error that only this rank knows of.
[[noreturn]] void abort_job(int code);

/// Library name and version of MPI, for `--version`.
std::string mpi_version();

}  // namespace outsole::comm
