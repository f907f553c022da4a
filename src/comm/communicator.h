#pragma once
// Ranks and what they say to each other. The only folder that calls MPI.
//
// | call                                   | collective |
// |----------------------------------------|------------|
// | rank, size, local_rank, local_ranks    | no         |
// | other_threads_may_call                 | no         |
// | PendingSum::advance, PendingSum::wait  | no         |
// | everything else                        | yes: every rank calls it, in the same order |

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace outsole::comm {

/// Starts and ends MPI; one per process, in main. Asks for the thread level serialized; throws EnvironmentError when
/// MPI does not even give funneled.
class Environment {
 public:
  Environment(int& argc, char**& argv);
  ~Environment();
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
};

/// A sum over ranks that is under way. MPI writes into the summed numbers until `wait` has returned: they must live,
/// and nobody may touch them. One that is dropped is not waited for, because after an error other ranks may never join
/// it; all that is left then is to end the job.
class PendingSum {
 public:
  /// True when the sums are there. Many MPI libraries move data only while they are called, so long computations call
  /// this now and then.
  bool advance();
  /// Waits until they are.
  void wait();

 private:
  friend class Communicator;
  struct Requests;
  std::shared_ptr<Requests> requests_;
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

  /// Starts to replace every number by its sum over ranks, the same bits on all of them, and returns at once. Ranks
  /// start their sums in the same order and with the same counts. Not of a GPU's memory: Open MPI sums that only while
  /// it blocks.
  PendingSum start_sum(std::span<float> values) const;
  PendingSum start_sum(std::span<double> values) const;

  /// True when any one thread at a time may communicate, not only the one that started MPI.
  bool other_threads_may_call() const { return other_threads_may_call_; }

  /// Runs `work`, which must not communicate, on every rank; afterwards, if it threw anywhere, every rank throws the
  /// error of the lowest rank that failed (with its exit code and message; a Bug stays a Bug). The point where an
  /// error on one rank reaches all.
  void together(const std::function<void()>& work) const;

 private:
  int rank_ = 0, size_ = 1, local_rank_ = 0, local_ranks_ = 1;
  bool other_threads_may_call_ = false;
};

/// Ends all ranks at once with `code` after an error that only this rank knows of.
[[noreturn]] void abort_job(int code);

/// Library name and version of MPI, for `--version`.
std::string mpi_version();

}  // namespace outsole::comm
