#pragma once
// Ranks and what they say to each other. The only folder that calls MPI.
//
// | call                                                       | collective                     |
// |------------------------------------------------------------|--------------------------------|
// | rank, size, is_root, local_rank, local_ranks               | no                             |
// | other_threads_may_call, set_piece_bytes                    | no                             |
// | advance and wait of PendingSum and PendingExchange         | no                             |
// | exchange, start_exchange                                   | with the neighbours it names   |
// | copies and the end of a Communicator                       | no                             |
// | abort_job, mpi_reads_gpu_memory, mpi_version               | no                             |
// | everything else: barrier, broadcast, gather, gatherv,      | yes: every rank of the         |
// |   all_gather, all_gatherv, sum, max, any_of, start_sum,    |   communicator calls it, in    |
// |   split, together, together_by_teams                       |   the same order               |
//
// An error that only one rank knows of (a rank that hangs, MPI that fails) may end a call before MPI is done with it.
// What MPI may still write into is then left to it for good; what it only reads is the caller's. All that is left to do
// is to end the job.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
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

/// What MPI was asked to do, and the memory that belongs to that.
struct Operation;

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
  std::shared_ptr<Operation> operation_;
};

/// Numbers that move as bytes: float, double, integers, and structs of them.
template <typename Number>
concept Plain = std::is_trivially_copyable_v<Number>;

/// The numbers of all ranks, those of one after those of another.
template <Plain Number>
struct Gathered {
  std::vector<Number> values;
  std::vector<std::int64_t> begin;  // [ranks + 1]: where each rank's begin in `values`, and their end

  std::span<const Number> of(int rank) const {
    const auto r = static_cast<std::size_t>(rank);
    return std::span(values).subspan(static_cast<std::size_t>(begin[r]),
                                     static_cast<std::size_t>(begin[r + 1] - begin[r]));
  }
};

/// What goes to a neighbouring rank and what comes from it. Rank -1: there is none, and nothing goes or comes.
template <Plain Number>
struct Neighbour {
  int rank = -1;
  std::span<const Number> send = {};
  std::span<Number> receive = {};
};

/// An exchange with neighbours that is under way. What is sent has been copied. What comes is copied to where it is
/// wanted by the `advance` that says true or by `wait`, and never at another time: that memory must live until then.
class PendingExchange {
 public:
  /// True when all that was sent has gone and all that comes is there.
  bool advance();
  /// Waits until it is.
  void wait();

 private:
  friend class Communicator;
  struct Arrival {
    std::shared_ptr<std::vector<std::byte>> bytes;
    std::span<std::byte> wanted_at;
  };
  void deliver();

  std::shared_ptr<Operation> operation_;
  std::vector<Arrival> arrivals_;
};

/// All ranks of the job, or a team of them. Every operation moves bytes in pieces below INT_MAX, so counts are 64 bit
/// here. Copies are the same communicator.
class Communicator {
 public:
  /// The world. Needs a live Environment.
  Communicator();

  /// The team of those ranks that give the same `color`, in the order of `key`, then of their ranks here. It must end
  /// before MPI does. Collective.
  Communicator split(int color, int key = 0) const;

  int rank() const { return rank_; }
  int size() const { return size_; }
  bool is_root() const { return rank_ == 0; }
  /// Position among, and number of, the ranks of the whole job on this machine, in a team as in the world.
  int local_rank() const { return local_rank_; }
  int local_ranks() const { return local_ranks_; }

  void barrier() const;

  /// Root's bytes to all.
  std::string broadcast(const std::string& bytes) const;
  void broadcast(std::span<float> values, int root) const;

  /// Every rank's bytes, in rank order: on root (gather; empty elsewhere) or on all (all_gather).
  std::vector<std::string> gather(const std::string& bytes) const;
  std::vector<std::string> all_gather(const std::string& bytes) const;

  /// Every rank's numbers, of which each may have another count or none, in rank order: on root (gatherv; empty
  /// elsewhere) or on all (all_gatherv).
  template <Plain Number>
  Gathered<Number> gatherv(std::span<const Number> own) const {
    return gather_numbers(own, /*to_all=*/false);
  }
  template <Plain Number>
  Gathered<Number> all_gatherv(std::span<const Number> own) const {
    return gather_numbers(own, /*to_all=*/true);
  }

  std::int64_t sum(std::int64_t value) const;
  std::int64_t max(std::int64_t value) const;
  double max(double value) const;
  bool any_of(bool value) const { return max(std::int64_t{value}) != 0; }

  /// Starts to replace every number by its sum over ranks, the same bits on all of them, and returns at once. Ranks
  /// start their sums in the same order and with the same counts. Not of a GPU's memory: Open MPI sums that only while
  /// it blocks.
  PendingSum start_sum(std::span<float> values) const;
  PendingSum start_sum(std::span<double> values) const;

  /// Sends to the ranks above and below and receives from both, all of it at the same time; returns when it is done
  /// (exchange) or at once (start_exchange). Both may be the same rank: what it sends below is then what is received
  /// from above. A rank receives as many numbers as its neighbour sends, and two ranks start their exchanges with each
  /// other in the same order. Memory of the host.
  template <Plain Number>
  PendingExchange start_exchange(const Neighbour<Number>& above, const Neighbour<Number>& below) const {
    return start_exchange_of_bytes(as_bytes(above), as_bytes(below));
  }
  template <Plain Number>
  void exchange(const Neighbour<Number>& above, const Neighbour<Number>& below) const {
    start_exchange(above, below).wait();
  }

  /// True when any one thread at a time may communicate, not only the one that started MPI.
  bool other_threads_may_call() const { return other_threads_may_call_; }

  /// Runs `work`, which must not communicate, on every rank; afterwards, if it threw anywhere, every rank throws the
  /// error of the lowest rank that failed (with its exit code and message; a Bug stays a Bug). The point where an
  /// error on one rank reaches all.
  void together(const std::function<void()>& work) const;

  /// The same for work in which ranks communicate within their teams, parts of this communicator: an error that a
  /// team's `together` has raised on all of the team reaches all teams. An error that a single rank alone knows of is
  /// thrown there at once, since its team may be waiting for it.
  void together_by_teams(const std::function<void()>& work) const;

  /// The most bytes that go in one piece, the same on all ranks: at most and by default 1 GiB. For tests.
  void set_piece_bytes(std::size_t bytes);

 private:
  struct Handle;

  /// Where the numbers of each rank begin, and their end; empty where they do not arrive. Collective.
  std::vector<std::int64_t> begins_of_all(std::int64_t own_count, bool to_all) const;
  /// All ranks' bytes to `all`, which MPI may keep, where those of rank r belong from begin[r] on. Collective.
  void gather_bytes(std::span<const std::byte> own, std::span<const std::int64_t> begin,
                    const std::shared_ptr<std::byte>& all, bool to_all) const;
  PendingExchange start_exchange_of_bytes(const Neighbour<std::byte>& above, const Neighbour<std::byte>& below) const;

  template <Plain Number>
  Gathered<Number> gather_numbers(std::span<const Number> own, bool to_all) const {
    Gathered<Number> all;
    all.begin = begins_of_all(static_cast<std::int64_t>(own.size()), to_all);
    const auto values =
        std::make_shared<std::vector<Number>>(all.begin.empty() ? 0 : static_cast<std::size_t>(all.begin.back()));
    std::vector<std::int64_t> begin_bytes = all.begin;
    for (std::int64_t& begin : begin_bytes) begin *= static_cast<std::int64_t>(sizeof(Number));
    gather_bytes(std::as_bytes(own), begin_bytes, {values, reinterpret_cast<std::byte*>(values->data())}, to_all);
    all.values = std::move(*values);
    return all;
  }

  template <Plain Number>
  static Neighbour<std::byte> as_bytes(const Neighbour<Number>& neighbour) {
    return {neighbour.rank, std::as_bytes(neighbour.send), std::as_writable_bytes(neighbour.receive)};
  }

  std::shared_ptr<Handle> handle_;
  std::size_t piece_bytes_;
  int rank_ = 0, size_ = 1, local_rank_ = 0, local_ranks_ = 1;
  bool other_threads_may_call_ = false;
};

/// Ends all ranks at once with `code` after an error that only this rank knows of.
[[noreturn]] void abort_job(int code);

/// Library name and version of MPI, for `--version`.
std::string mpi_version();

}  // namespace outsole::comm
