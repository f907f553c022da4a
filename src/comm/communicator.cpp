#include "comm/communicator.h"

#include <mpi.h>

#include <algorithm>
#include <climits>
#include <exception>
#include <numeric>

#include "comm/watchdog.h"
#include "core/checked.h"
#include "core/errors.h"
#include "core/out_of_memory.h"

namespace outsole::comm {

namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 30;  // MPI counts are int
constexpr std::size_t kStagedBytes = std::size_t{1} << 26;
constexpr std::size_t kSumPieceNumbers = std::size_t{1} << 22;
constexpr int kGatherTag = 1, kUpTag = 2, kDownTag = 3;

void check(int result, const char* call) {
  if (result == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(result, text, &length);
  throw EnvironmentError(std::string(call) + ": " + text);
}

}  // namespace

struct Operation {
  std::vector<MPI_Request> requests;
  std::vector<MPI_Status> statuses;
  std::vector<int> receives;                  // bytes, of each request; -1: not of a message
  std::vector<std::shared_ptr<void>> memory;  // that MPI writes into
  bool is_done = false;

  MPI_Request* new_request(int receives_bytes = -1) {
    receives.push_back(receives_bytes);
    return &requests.emplace_back(MPI_REQUEST_NULL);
  }

  bool advance() {
    if (is_done) return true;
    int done = 0;
    statuses.resize(requests.size());
    check(MPI_Testall(narrow<int>(requests.size()), requests.data(), &done, statuses.data()), "MPI_Testall");
    if (done == 0) return false;
    is_done = true;
    for (std::size_t i = 0; i < receives.size(); ++i) {
      int count = 0;
      if (receives[i] < 0) continue;
      check(MPI_Get_count(&statuses[i], MPI_BYTE, &count), "MPI_Get_count");
      ensure(count == receives[i], "a rank sent another number of bytes than was expected");
    }
    return true;
  }

  /// Every wait for other ranks is here, so that one that hangs is noticed.
  void wait() {
    while (!advance()) look_after_next_rank();
  }
};

namespace {

/// One that is not done when nobody waits for it any longer belongs to MPI, which may write into its memory whenever it
/// is called. It stays reachable, so that tools do not take it for a leak.
void end_operation(Operation* operation) {
  static auto* const left_to_mpi = new std::vector<Operation*>;
  if (operation->is_done || operation->requests.empty()) {
    delete operation;
  } else {
    left_to_mpi->push_back(operation);
  }
}

std::shared_ptr<Operation> new_operation() { return {new Operation, end_operation}; }

/// Starts one communication and waits for it: `start` is given where its request goes. `memory` is what MPI writes to.
template <typename Start>
void communicate(const char* call, const std::shared_ptr<void>& memory, const Start& start) {
  const auto operation = new_operation();
  operation->memory.push_back(memory);
  check(start(operation->new_request()), call);
  operation->wait();
}

/// Calls `move` on one piece of the bytes after the other.
template <typename Byte, typename Move>
void in_pieces(Byte* data, std::size_t bytes, std::size_t piece_bytes, const Move& move) {
  for (std::size_t begin = 0; begin < bytes; begin += piece_bytes) {
    move(data + begin, narrow<int>(std::min(bytes - begin, piece_bytes)));
  }
}

/// `data` lies in `memory`.
void broadcast_bytes(MPI_Comm comm, const std::shared_ptr<void>& memory, void* data, std::size_t bytes, int root,
                     std::size_t piece_bytes) {
  in_pieces(static_cast<std::byte*>(data), bytes, piece_bytes, [&](std::byte* piece, int size) {
    communicate("MPI_Ibcast", memory,
                [&](MPI_Request* request) { return MPI_Ibcast(piece, size, MPI_BYTE, root, comm, request); });
  });
}

std::string broadcast_text(MPI_Comm comm, const std::string& own, int rank, int root, std::size_t piece_bytes) {
  const auto length = std::make_shared<std::uint64_t>(own.size());
  broadcast_bytes(comm, length, length.get(), sizeof *length, root, piece_bytes);
  const auto text = std::make_shared<std::string>(rank == root ? own : std::string(*length, '\0'));
  broadcast_bytes(comm, text, text->data(), text->size(), root, piece_bytes);
  return std::move(*text);
}

void start_sending(Operation& operation, MPI_Comm comm, std::span<const std::byte> bytes, int target, int tag,
                   std::size_t piece_bytes) {
  in_pieces(bytes.data(), bytes.size(), piece_bytes, [&](const std::byte* piece, int size) {
    check(MPI_Isend(piece, size, MPI_BYTE, target, tag, comm, operation.new_request()), "MPI_Isend");
  });
}

void start_receiving(Operation& operation, MPI_Comm comm, std::span<std::byte> bytes, int source, int tag,
                     std::size_t piece_bytes) {
  in_pieces(bytes.data(), bytes.size(), piece_bytes, [&](std::byte* piece, int size) {
    check(MPI_Irecv(piece, size, MPI_BYTE, source, tag, comm, operation.new_request(size)), "MPI_Irecv");
  });
}

template <typename Number>
Number reduce(Number value, MPI_Datatype type, MPI_Op operation, MPI_Comm comm) {
  struct Numbers {
    Number own, result;
  };
  const auto numbers = std::make_shared<Numbers>(Numbers{value, 0});
  communicate("MPI_Iallreduce", numbers, [&](MPI_Request* request) {
    return MPI_Iallreduce(&numbers->own, &numbers->result, 1, type, operation, comm, request);
  });
  return numbers->result;
}

template <typename Number>
std::shared_ptr<Operation> start_sum_of(std::span<Number> values, MPI_Datatype type, MPI_Comm comm) {
  const auto operation = new_operation();
  for (std::size_t begin = 0; begin < values.size(); begin += kSumPieceNumbers) {
    const std::span<Number> piece = values.subspan(begin, std::min(kSumPieceNumbers, values.size() - begin));
    check(MPI_Iallreduce(MPI_IN_PLACE, piece.data(), narrow<int>(piece.size()), type, MPI_SUM, comm,
                         operation->new_request()),
          "MPI_Iallreduce");
  }
  return operation;
}

/// One message as it goes from rank to rank: error code and text.
std::string encode_error(ExitCode code, const std::string& message) {
  return std::string(1, static_cast<char>(code)) + message;
}

std::vector<std::string> as_texts(const Gathered<char>& all) {
  std::vector<std::string> texts;
  for (std::size_t rank = 0; rank + 1 < all.begin.size(); ++rank) {
    const auto part = all.of(static_cast<int>(rank));
    texts.emplace_back(part.begin(), part.end());
  }
  return texts;
}

}  // namespace

Environment::Environment(int& argc, char**& argv) {
  int provided = MPI_THREAD_SINGLE;
  check(MPI_Init_thread(&argc, &argv, MPI_THREAD_SERIALIZED, &provided), "MPI_Init_thread");
  if (provided < MPI_THREAD_FUNNELED) throw EnvironmentError("this MPI library cannot be used beside other threads");
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
}

Environment::~Environment() { MPI_Finalize(); }

struct Communicator::Handle {
  MPI_Comm comm = MPI_COMM_WORLD;

  Handle() = default;
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  /// After an error other ranks may never join in freeing a team, and it may still be in use.
  ~Handle() {
    int is_over = 0;
    MPI_Finalized(&is_over);
    if (comm != MPI_COMM_WORLD && is_over == 0 && std::uncaught_exceptions() == 0) MPI_Comm_free(&comm);
  }
};

Communicator::Communicator() : handle_(std::make_shared<Handle>()), piece_bytes_(kPieceBytes) {
  check(MPI_Comm_rank(MPI_COMM_WORLD, &rank_), "MPI_Comm_rank");
  check(MPI_Comm_size(MPI_COMM_WORLD, &size_), "MPI_Comm_size");
  MPI_Comm machine = MPI_COMM_NULL;
  check(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &machine),
        "MPI_Comm_split_type");
  check(MPI_Comm_rank(machine, &local_rank_), "MPI_Comm_rank");
  check(MPI_Comm_size(machine, &local_ranks_), "MPI_Comm_size");
  check(MPI_Comm_free(&machine), "MPI_Comm_free");
  int thread_level = MPI_THREAD_SINGLE;
  check(MPI_Query_thread(&thread_level), "MPI_Query_thread");
  other_threads_may_call_ = thread_level >= MPI_THREAD_SERIALIZED;
}

Communicator Communicator::split(int color, int key) const {
  barrier();  // MPI cannot split without blocking: a rank that hangs is waited for here
  MPI_Comm comm = MPI_COMM_NULL;
  check(MPI_Comm_split(handle_->comm, color, key, &comm), "MPI_Comm_split");
  Communicator team = *this;
  team.handle_ = std::make_shared<Handle>();
  team.handle_->comm = comm;
  check(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  check(MPI_Comm_rank(comm, &team.rank_), "MPI_Comm_rank");
  check(MPI_Comm_size(comm, &team.size_), "MPI_Comm_size");
  return team;
}

void Communicator::set_piece_bytes(std::size_t bytes) {
  ensure(bytes > 0 && bytes <= kPieceBytes, "a piece has at least a byte and less than INT_MAX");
  piece_bytes_ = bytes;
}

void Communicator::barrier() const {
  communicate("MPI_Ibarrier", nullptr, [&](MPI_Request* request) { return MPI_Ibarrier(handle_->comm, request); });
}

std::string Communicator::broadcast(const std::string& bytes) const {
  return broadcast_text(handle_->comm, bytes, rank_, 0, piece_bytes_);
}

void Communicator::broadcast(std::span<float> values, int root) const {
  const std::size_t staged_bytes = std::min(piece_bytes_, kStagedBytes);
  in_pieces(reinterpret_cast<std::byte*>(values.data()), values.size_bytes(), staged_bytes,
            [&](std::byte* piece, int size) {
              const auto staged = std::make_shared<std::vector<std::byte>>(piece, piece + size);
              broadcast_bytes(handle_->comm, staged, staged->data(), staged->size(), root, staged_bytes);
              if (rank_ != root) std::ranges::copy(*staged, piece);
            });
}

std::vector<std::string> Communicator::gather(const std::string& bytes) const {
  return as_texts(gatherv(std::span(bytes)));
}

std::vector<std::string> Communicator::all_gather(const std::string& bytes) const {
  return as_texts(all_gatherv(std::span(bytes)));
}

std::vector<std::int64_t> Communicator::begins_of_all(std::int64_t own_count, bool to_all) const {
  const auto own = std::make_shared<std::int64_t>(own_count);
  const auto counts = std::make_shared<std::vector<std::int64_t>>(static_cast<std::size_t>(size_));
  communicate(to_all ? "MPI_Iallgather" : "MPI_Igather", counts, [&](MPI_Request* request) {
    std::int64_t* const all = counts->data();
    return to_all ? MPI_Iallgather(own.get(), 1, MPI_INT64_T, all, 1, MPI_INT64_T, handle_->comm, request)
                  : MPI_Igather(own.get(), 1, MPI_INT64_T, all, 1, MPI_INT64_T, 0, handle_->comm, request);
  });
  if (!to_all && !is_root()) return {};
  std::vector<std::int64_t> begin(counts->size() + 1);
  std::partial_sum(counts->begin(), counts->end(), begin.begin() + 1);
  return begin;
}

void Communicator::gather_bytes(std::span<const std::byte> own, std::span<const std::int64_t> begin,
                                const std::shared_ptr<std::byte>& all, bool to_all) const {
  const auto operation = new_operation();
  operation->memory.push_back(all);
  const auto part_of = [&](int rank) {
    const std::int64_t first = begin[static_cast<std::size_t>(rank)], last = begin[static_cast<std::size_t>(rank) + 1];
    return std::span(all.get() + first, static_cast<std::size_t>(last - first));
  };
  if (!to_all && !is_root()) {
    start_sending(*operation, handle_->comm, own, 0, kGatherTag, piece_bytes_);
    return operation->wait();
  }
  std::ranges::copy(own, part_of(rank_).begin());
  if (!to_all) {
    for (int source = 1; source < size_; ++source) {
      start_receiving(*operation, handle_->comm, part_of(source), source, kGatherTag, piece_bytes_);
    }
    return operation->wait();
  }
  if (static_cast<std::size_t>(begin.back()) > piece_bytes_) {
    for (int source = 0; source < size_; ++source) {
      broadcast_bytes(handle_->comm, all, part_of(source).data(), part_of(source).size(), source, piece_bytes_);
    }
    return;
  }
  const auto counts = std::make_shared<std::vector<int>>(), begins = std::make_shared<std::vector<int>>();
  operation->memory.insert(operation->memory.end(), {counts, begins});
  for (int source = 0; source < size_; ++source) {
    counts->push_back(narrow<int>(part_of(source).size()));
    begins->push_back(narrow<int>(begin[static_cast<std::size_t>(source)]));
  }
  check(MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_BYTE, all.get(), counts->data(), begins->data(), MPI_BYTE, handle_->comm,
                        operation->new_request()),
        "MPI_Iallgatherv");
  operation->wait();
}

std::int64_t Communicator::sum(std::int64_t value) const { return reduce(value, MPI_INT64_T, MPI_SUM, handle_->comm); }

std::int64_t Communicator::max(std::int64_t value) const { return reduce(value, MPI_INT64_T, MPI_MAX, handle_->comm); }

double Communicator::max(double value) const { return reduce(value, MPI_DOUBLE, MPI_MAX, handle_->comm); }

bool PendingSum::advance() { return !operation_ || operation_->advance(); }

void PendingSum::wait() {
  if (operation_) operation_->wait();
}

PendingSum Communicator::start_sum(std::span<float> values) const {
  PendingSum sum;
  sum.operation_ = start_sum_of(values, MPI_FLOAT, handle_->comm);
  return sum;
}

PendingSum Communicator::start_sum(std::span<double> values) const {
  PendingSum sum;
  sum.operation_ = start_sum_of(values, MPI_DOUBLE, handle_->comm);
  return sum;
}

PendingExchange Communicator::start_exchange_of_bytes(const Neighbour<std::byte>& above,
                                                      const Neighbour<std::byte>& below) const {
  PendingExchange exchange;
  exchange.operation_ = new_operation();
  const auto start = [&](const Neighbour<std::byte>& neighbour, int send_tag, int receive_tag) {
    if (neighbour.rank < 0) {
      ensure(neighbour.send.empty() && neighbour.receive.empty(), "no neighbour to exchange bytes with");
      return;
    }
    Operation& operation = *exchange.operation_;
    const auto sent = std::make_shared<std::vector<std::byte>>(neighbour.send.begin(), neighbour.send.end());
    const auto received = std::make_shared<std::vector<std::byte>>(neighbour.receive.size());
    operation.memory.insert(operation.memory.end(), {sent, received});
    exchange.arrivals_.push_back({received, neighbour.receive});
    start_receiving(operation, handle_->comm, *received, neighbour.rank, receive_tag, piece_bytes_);
    start_sending(operation, handle_->comm, *sent, neighbour.rank, send_tag, piece_bytes_);
  };
  start(above, kUpTag, kDownTag);
  start(below, kDownTag, kUpTag);
  return exchange;
}

void PendingExchange::deliver() {
  for (const Arrival& arrival : arrivals_) std::ranges::copy(*arrival.bytes, arrival.wanted_at.begin());
  arrivals_.clear();
}

bool PendingExchange::advance() {
  if (operation_ && !operation_->advance()) return false;
  deliver();
  return true;
}

void PendingExchange::wait() {
  if (operation_) operation_->wait();
  deliver();
}

void Communicator::together(const std::function<void()>& work) const {
  std::string error;
  try {
    work();
  } catch (const Error& e) {
    error = encode_error(e.code(), e.what());
  } catch (const std::exception& e) {
    const auto memory = out_of_memory(e);
    error = memory ? encode_error(ExitCode::kEnvironment, *memory + "; lower `memory_gib` or use more ranks")
                   : encode_error(ExitCode::kBug, e.what());
  }
  // The lowest failing rank speaks for all. One reduction is all that an undisturbed run pays.
  const std::int64_t speaker = -max(error.empty() ? -std::int64_t{size_} : -std::int64_t{rank_});
  if (speaker == size_) return;
  error = broadcast_text(handle_->comm, error, rank_, narrow<int>(speaker), piece_bytes_);
  throw_shared_error(static_cast<ExitCode>(error[0]), error.substr(1));
}

void abort_job(int code) {
  MPI_Abort(MPI_COMM_WORLD, code);
  std::abort();
}

std::string mpi_version() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
  int length = 0;
  MPI_Get_library_version(text, &length);
  const std::string all(text);
  return all.substr(0, all.find_first_of(",\n"));
}

}  // namespace outsole::comm
