// The tests of pipeline/ run on every rank of an MPI job: rank 0 prints, all agree on the outcome.

#include <gtest/gtest.h>

#include "comm/communicator.h"
#include "core/log.h"

namespace {

/// What other ranks say of a failure, without their chatter about successes.
class FailuresOnly : public testing::EmptyTestEventListener {
  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (!result.failed()) return;
    std::fprintf(stderr, "%s:%d: failure on another rank\n%s\n",
                 result.file_name() != nullptr ? result.file_name() : "?", result.line_number(), result.summary());
  }
};

}  // namespace

int main(int argc, char** argv) {
  const outsole::comm::Environment environment(argc, argv);
  testing::InitGoogleTest(&argc, argv);
  const outsole::comm::Communicator comm;
  outsole::start_log("off", comm.rank(), comm.size());
  if (!comm.is_root()) {
    auto& listeners = testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new FailuresOnly);
  }
  const bool failed = RUN_ALL_TESTS() != 0;
  return comm.any_of(failed) ? 1 : 0;
}
