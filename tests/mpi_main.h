#pragma once
// main of the tests that run on every rank of an MPI job: rank 0 prints, all agree on the outcome.

#include <gtest/gtest.h>

#include <cstdio>

#include "comm/communicator.h"
#include "core/log.h"

namespace outsole::testing {

/// What other ranks say of a failure, without their chatter about successes.
class FailuresOnly : public ::testing::EmptyTestEventListener {
  void OnTestPartResult(const ::testing::TestPartResult& result) override {
    if (!result.failed()) return;
    std::fprintf(stderr, "%s:%d: failure on another rank\n%s\n",
                 result.file_name() != nullptr ? result.file_name() : "?", result.line_number(), result.summary());
  }
};

/// Runs all tests on all ranks; 1 on every rank if any test failed on any, or if none was there to run.
inline int run_tests_on_all_ranks(int argc, char** argv) {
  const comm::Environment environment(argc, argv);
  ::testing::InitGoogleTest(&argc, argv);
  const comm::Communicator comm;
  start_log("off", comm.rank(), comm.size());
  if (!comm.is_root()) {
    auto& listeners = ::testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new FailuresOnly);
  }
  bool failed = RUN_ALL_TESTS() != 0;
  if (::testing::UnitTest::GetInstance()->test_to_run_count() == 0) {
    if (comm.is_root()) std::fprintf(stderr, "the filter leaves no test to run\n");
    failed = true;
  }
  return comm.any_of(failed) ? 1 : 0;
}

}  // namespace outsole::testing
