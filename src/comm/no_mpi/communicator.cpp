// The communicator of a build without MPI: one rank, which has nobody to talk to.

#include "comm/communicator.h"

#include <algorithm>
#include <cstdlib>
#include <exception>

#include "core/errors.h"
#include "core/out_of_memory.h"

namespace outsole::comm {

struct Operation {};
struct Communicator::Handle {};

Environment::Environment(int&, char**&) {}
Environment::~Environment() = default;

bool PendingSum::advance() { return true; }
void PendingSum::wait() {}

bool PendingExchange::advance() { return true; }
void PendingExchange::wait() {}

Communicator::Communicator() : piece_bytes_(0), local_ranks_(1), other_threads_may_call_(true) {}
Communicator Communicator::split(int, int) const { return *this; }

void Communicator::barrier() const {}
std::string Communicator::broadcast(const std::string& bytes) const { return bytes; }
void Communicator::broadcast(std::span<float>, int root) const { ensure(root == 0, "the one rank there is"); }
std::vector<std::string> Communicator::gather(const std::string& bytes) const { return {bytes}; }
std::vector<std::string> Communicator::all_gather(const std::string& bytes) const { return {bytes}; }

std::int64_t Communicator::sum(std::int64_t value) const { return value; }
std::int64_t Communicator::max(std::int64_t value) const { return value; }
double Communicator::max(double value) const { return value; }
PendingSum Communicator::start_sum(std::span<float>) const { return {}; }
PendingSum Communicator::start_sum(std::span<double>) const { return {}; }

void Communicator::together(const std::function<void()>& work) const {
  try {
    work();
  } catch (const Error& error) {
    throw_shared_error(error.code(), error.what());
  } catch (const std::exception& error) {
    const auto memory = out_of_memory(error);
    if (!memory) throw_shared_error(ExitCode::kBug, error.what());
    throw_shared_error(ExitCode::kEnvironment, *memory + "; lower `memory_gib` or use more ranks");
  }
}

void Communicator::set_piece_bytes(std::size_t bytes) { piece_bytes_ = bytes; }

std::vector<std::int64_t> Communicator::begins_of_all(std::int64_t own_count, bool) const { return {0, own_count}; }

void Communicator::gather_bytes(std::span<const std::byte> own, std::span<const std::int64_t>,
                                const std::shared_ptr<std::byte>& all, bool) const {
  std::ranges::copy(own, all.get());
}

/// A ring of one rank is its own neighbour: what it sends below comes from above.
PendingExchange Communicator::start_exchange_of_bytes(const Neighbour<std::byte>& above,
                                                      const Neighbour<std::byte>& below) const {
  const auto move = [](const Neighbour<std::byte>& from, const Neighbour<std::byte>& to) {
    if (from.rank < 0) return;
    ensure(from.rank == 0 && to.rank == 0, "the one rank there is");
    ensure(from.send.size() == to.receive.size(), "a rank sent another number of bytes than was expected");
    std::ranges::copy(std::vector<std::byte>(from.send.begin(), from.send.end()), to.receive.begin());
  };
  move(below, above);
  move(above, below);
  return {};
}

void abort_job(int code) { std::_Exit(code); }

std::string mpi_version() { return "none"; }

}  // namespace outsole::comm
