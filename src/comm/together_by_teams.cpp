// The same with MPI and without.

#include <exception>

#include "comm/communicator.h"
#include "core/errors.h"

namespace outsole::comm {

void Communicator::together_by_teams(const std::function<void()>& work) const {
  std::exception_ptr error;
  try {
    work();
  } catch (const Error& e) {
    if (!e.known_to_all_ranks()) throw;
    error = std::current_exception();
  }
  together([&] {
    if (error) std::rethrow_exception(error);
  });
}

}  // namespace outsole::comm
