#include "comm/communicator.h"

#include <mpi.h>

#include <algorithm>
#include <climits>

#include "comm/watchdog.h"
#include "core/checked.h"
#include "core/errors.h"
#include "core/out_of_memory.h"

namespace outsole::comm {

namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 30;  // MPI counts are int
constexpr std::size_t kSumPieceNumbers = std::size_t{1} << 22;
constexpr int kGatherTag = 1;

void check(int result, const char* call) {
  if (result == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(result, text, &length);
  throw EnvironmentError(std::string(call) + ": " + text);
}

/// Waits until what was started is done. Every wait for other ranks is here, so that one that hangs is noticed.
void wait_for(std::span<MPI_Request> started) {
  for (int done = 0;; look_after_next_rank()) {
    check(MPI_Testall(narrow<int>(started.size()), started.data(), &done, MPI_STATUSES_IGNORE), "MPI_Testall");
    if (done != 0) return;
  }
}

/// Starts one communication and waits for it: `start` is given where its request goes.
template <typename Start>
void communicate(const char* call, const Start& start) {
  MPI_Request request = MPI_REQUEST_NULL;
  check(start(&request), call);
  wait_for(std::span(&request, 1));
}

/// Calls `move` on one piece of the bytes after the other.
template <typename Byte, typename Move>
void in_pieces(Byte* data, std::size_t bytes, const Move& move) {
  for (std::size_t begin = 0; begin < bytes; begin += kPieceBytes) {
    move(data + begin, narrow<int>(std::min(bytes - begin, kPieceBytes)));
  }
}

void broadcast_bytes(void* data, std::size_t bytes, int root) {
  in_pieces(static_cast<char*>(data), bytes, [&](char* piece, int size) {
    communicate("MPI_Ibcast",
                [&](MPI_Request* request) { return MPI_Ibcast(piece, size, MPI_BYTE, root, MPI_COMM_WORLD, request); });
  });
}

void send_bytes(const void* data, std::size_t bytes, int target) {
  in_pieces(static_cast<const char*>(data), bytes, [&](const char* piece, int size) {
    communicate("MPI_Isend", [&](MPI_Request* request) {
      return MPI_Isend(piece, size, MPI_BYTE, target, kGatherTag, MPI_COMM_WORLD, request);
    });
  });
}

void receive_bytes(void* data, std::size_t bytes, int source) {
  in_pieces(static_cast<char*>(data), bytes, [&](char* piece, int size) {
    communicate("MPI_Irecv", [&](MPI_Request* request) {
      return MPI_Irecv(piece, size, MPI_BYTE, source, kGatherTag, MPI_COMM_WORLD, request);
    });
  });
}

template <typename Number>
Number reduce(Number value, MPI_Datatype type, MPI_Op operation) {
  Number result = 0;
  communicate("MPI_Iallreduce", [&](MPI_Request* request) {
    return MPI_Iallreduce(&value, &result, 1, type, operation, MPI_COMM_WORLD, request);
  });
  return result;
}

/// One message as it goes from rank to rank: error code and text.
std::string encode_error(ExitCode code, const std::string& message) {
  return std::string(1, static_cast<char>(code)) + message;
}

}  // namespace

Environment::Environment(int& argc, char**& argv) {
  int provided = MPI_THREAD_SINGLE;
  check(MPI_Init_thread(&argc, &argv, MPI_THREAD_SERIALIZED, &provided), "MPI_Init_thread");
  if (provided < MPI_THREAD_FUNNELED) throw EnvironmentError("this MPI library cannot be used beside other threads");
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
}

Environment::~Environment() { MPI_Finalize(); }

Communicator::Communicator() {
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

void Communicator::barrier() const {
  communicate("MPI_Ibarrier", [](MPI_Request* request) { return MPI_Ibarrier(MPI_COMM_WORLD, request); });
}

std::string Communicator::broadcast(const std::string& bytes) const {
  std::uint64_t length = bytes.size();
  broadcast_bytes(&length, sizeof length, 0);
  std::string result = is_root() ? bytes : std::string(length, '\0');
  broadcast_bytes(result.data(), result.size(), 0);
  return result;
}

void Communicator::broadcast(std::span<float> values, int root) const {
  broadcast_bytes(values.data(), values.size_bytes(), root);
}

std::vector<std::string> Communicator::gather(const std::string& bytes) const {
  std::uint64_t length = bytes.size();
  if (!is_root()) {
    send_bytes(&length, sizeof length, 0);
    send_bytes(bytes.data(), bytes.size(), 0);
    return {};
  }
  std::vector<std::string> all{bytes};
  for (int source = 1; source < size_; ++source) {
    receive_bytes(&length, sizeof length, source);
    all.emplace_back(length, '\0');
    receive_bytes(all.back().data(), length, source);
  }
  return all;
}

std::vector<std::string> Communicator::all_gather(const std::string& bytes) const {
  std::vector<std::string> all(static_cast<std::size_t>(size_));
  for (int source = 0; source < size_; ++source) {
    auto& text = all[static_cast<std::size_t>(source)];
    std::uint64_t length = bytes.size();
    broadcast_bytes(&length, sizeof length, source);
    text = source == rank_ ? bytes : std::string(length, '\0');
    broadcast_bytes(text.data(), text.size(), source);
  }
  return all;
}

std::int64_t Communicator::sum(std::int64_t value) const { return reduce(value, MPI_INT64_T, MPI_SUM); }

std::int64_t Communicator::max(std::int64_t value) const { return reduce(value, MPI_INT64_T, MPI_MAX); }

double Communicator::max(double value) const { return reduce(value, MPI_DOUBLE, MPI_MAX); }

struct PendingSum::Requests {
  std::vector<MPI_Request> pieces;

  template <typename Number>
  static std::shared_ptr<Requests> start(std::span<Number> values, MPI_Datatype type) {
    auto requests = std::make_shared<Requests>();
    for (std::size_t begin = 0; begin < values.size(); begin += kSumPieceNumbers) {
      const std::span<Number> piece = values.subspan(begin, std::min(kSumPieceNumbers, values.size() - begin));
      check(MPI_Iallreduce(MPI_IN_PLACE, piece.data(), narrow<int>(piece.size()), type, MPI_SUM, MPI_COMM_WORLD,
                           &requests->pieces.emplace_back(MPI_REQUEST_NULL)),
            "MPI_Iallreduce");
    }
    return requests;
  }
};

bool PendingSum::advance() {
  if (!requests_) return true;
  int done = 0;
  auto& pieces = requests_->pieces;
  check(MPI_Testall(narrow<int>(pieces.size()), pieces.data(), &done, MPI_STATUSES_IGNORE), "MPI_Testall");
  return done != 0;
}

void PendingSum::wait() {
  if (requests_) wait_for(requests_->pieces);
}

PendingSum Communicator::start_sum(std::span<float> values) const {
  PendingSum sum;
  sum.requests_ = PendingSum::Requests::start(values, MPI_FLOAT);
  return sum;
}

PendingSum Communicator::start_sum(std::span<double> values) const {
  PendingSum sum;
  sum.requests_ = PendingSum::Requests::start(values, MPI_DOUBLE);
  return sum;
}

void Communicator::together(const std::function<void()>& work) const {
  std::string error;
  try {
    work();
  } catch (const Error& e) {
    error = encode_error(e.code(), e.what());
  } catch (const std::exception& e) {
    const auto memory = out_of_memory(e);
    error = memory ? encode_error(ExitCode::kEnvironment, *memory + "; lower --memory-gib or use more ranks")
                   : encode_error(ExitCode::kBug, e.what());
  }
  // The lowest failing rank speaks for all. One reduction is all that an undisturbed run pays.
  const std::int64_t speaker = -max(error.empty() ? -std::int64_t{size_} : -std::int64_t{rank_});
  if (speaker == size_) return;
  std::uint64_t length = error.size();
  broadcast_bytes(&length, sizeof length, narrow<int>(speaker));
  error.resize(length);
  broadcast_bytes(error.data(), error.size(), narrow<int>(speaker));
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
