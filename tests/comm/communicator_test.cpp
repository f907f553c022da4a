#include "comm/communicator.h"

#include <gtest/gtest.h>

#include <new>
#include <numeric>
#include <stdexcept>

#include "core/errors.h"

namespace outsole::comm {
namespace {

/// Bytes that differ from rank to rank in length and content; `empty_rank` has none.
std::string bytes_of(int rank, int empty_rank) {
  if (rank == empty_rank) return {};
  std::string bytes(static_cast<std::size_t>(1000 * rank * rank + 3), '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i + static_cast<std::size_t>(rank));
  return bytes;
}

TEST(Communicator, RanksOfAMachineAreAmongAllRanks) {
  const Communicator comm;
  EXPECT_LE(0, comm.rank());
  EXPECT_LT(comm.rank(), comm.size());
  EXPECT_LE(0, comm.local_rank());
  EXPECT_LT(comm.local_rank(), comm.local_ranks());
  EXPECT_LE(comm.local_ranks(), comm.size());
  EXPECT_EQ(comm.is_root(), comm.rank() == 0);
}

TEST(Communicator, BroadcastGivesRootsBytesToAll) {
  const Communicator comm;
  for (const std::string& root_bytes : {std::string(), std::string("a\0b", 3), std::string(3'000'001, 'x')}) {
    EXPECT_EQ(comm.broadcast(comm.is_root() ? root_bytes : "of another rank"), root_bytes);
  }
}

TEST(Communicator, BroadcastGivesAnyRanksNumbersToAll) {
  const Communicator comm;
  for (int root = 0; root < comm.size(); ++root) {
    std::vector<float> values(100);
    if (comm.rank() == root) std::iota(values.begin(), values.end(), static_cast<float>(root));
    comm.broadcast(values, root);
    EXPECT_EQ(values.front(), static_cast<float>(root));
    EXPECT_EQ(values.back(), static_cast<float>(root + 99));
    std::vector<float> none;
    comm.broadcast(none, root);
  }
}

TEST(Communicator, GatherBringsUnevenAndEmptyBytesToRootInRankOrder) {
  const Communicator comm;
  for (int empty_rank = 0; empty_rank < comm.size(); ++empty_rank) {
    const auto all = comm.gather(bytes_of(comm.rank(), empty_rank));
    if (!comm.is_root()) {
      EXPECT_TRUE(all.empty());
      continue;
    }
    ASSERT_EQ(all.size(), static_cast<std::size_t>(comm.size()));
    for (int rank = 0; rank < comm.size(); ++rank) {
      EXPECT_TRUE(all[static_cast<std::size_t>(rank)] == bytes_of(rank, empty_rank)) << rank;
    }
  }
}

TEST(Communicator, AllGatherBringsUnevenAndEmptyBytesToAllInRankOrder) {
  const Communicator comm;
  for (int empty_rank = 0; empty_rank < comm.size(); ++empty_rank) {
    const auto all = comm.all_gather(bytes_of(comm.rank(), empty_rank));
    ASSERT_EQ(all.size(), static_cast<std::size_t>(comm.size()));
    for (int rank = 0; rank < comm.size(); ++rank) {
      EXPECT_TRUE(all[static_cast<std::size_t>(rank)] == bytes_of(rank, empty_rank)) << rank;
    }
  }
}

TEST(Communicator, ReductionsSeeEveryRankAndAllNumbers) {
  const Communicator comm;
  const std::int64_t large = std::int64_t{1} << 40;
  EXPECT_EQ(comm.sum(large + comm.rank()), comm.size() * large + comm.size() * (comm.size() - 1) / 2);
  EXPECT_EQ(comm.max(-large - comm.rank()), -large);
  EXPECT_EQ(comm.max(0.25 + comm.rank()), comm.size() - 0.75);
  EXPECT_EQ(comm.max(-1.5), -1.5);
  for (int rank = 0; rank < comm.size(); ++rank) EXPECT_TRUE(comm.any_of(comm.rank() == rank));
  EXPECT_FALSE(comm.any_of(false));
}

template <typename Number>
void expect_sums_of_all_ranks(const Communicator& comm, std::size_t count) {
  std::vector<Number> values(count);
  for (std::size_t i = 0; i < count; ++i)
    values[i] = static_cast<Number>((comm.rank() + 1) * static_cast<int>(i % 100));
  PendingSum sum = comm.start_sum(std::span(values));
  sum.wait();
  EXPECT_TRUE(sum.advance());
  const int ranks = comm.size() * (comm.size() + 1) / 2;
  for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(values[i], static_cast<Number>(ranks * static_cast<int>(i % 100)));
}

TEST(PendingSum, IsTheSumOverRanksAlsoOfMoreNumbersThanGoInOnePiece) {
  const Communicator comm;
  for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{1001}, (std::size_t{1} << 22) + 7}) {
    expect_sums_of_all_ranks<float>(comm, count);
  }
  expect_sums_of_all_ranks<double>(comm, 1001);
}

TEST(PendingSum, SeveralMayBeUnderWayBesideOtherOperations) {
  const Communicator comm;
  std::vector<float> first(5000, 1), second(10, 2);
  PendingSum first_sum = comm.start_sum(std::span(first)), second_sum = comm.start_sum(std::span(second));
  EXPECT_EQ(comm.sum(1), comm.size());
  while (!second_sum.advance()) {
  }
  EXPECT_EQ(second.back(), 2.0F * static_cast<float>(comm.size()));
  first_sum.wait();
  EXPECT_EQ(first.back(), static_cast<float>(comm.size()));
}

TEST(Communicator, LetsThreadsTakeTurns) { EXPECT_TRUE(Communicator().other_threads_may_call()); }

// --- Errors ---------------------------------------------------------------------------------------------------------

/// What together throws on this rank when `work` runs on all.
template <typename Kind>
Kind thrown_together(const Communicator& comm, const std::function<void()>& work) {
  try {
    comm.together(work);
  } catch (const Kind& error) {
    return error;
  }
  throw std::runtime_error("together threw nothing");
}

TEST(Together, NothingIsThrownWhereNothingFailed) {
  const Communicator comm;
  int runs = 0;
  comm.together([&] { ++runs; });
  EXPECT_EQ(runs, 1);
}

TEST(Together, TheErrorOfAnyOneRankReachesAllWithCodeAndMessage) {
  const Communicator comm;
  for (int failing = 0; failing < comm.size(); ++failing) {
    const auto only_there = [&](auto error) {
      return [&comm, failing, error] {
        if (comm.rank() == failing) throw error;
      };
    };
    const std::string message = "of rank " + std::to_string(failing) + std::string(100'000, '.') + "end";
    const auto data = thrown_together<DataError>(comm, only_there(DataError(message)));
    EXPECT_EQ(data.what(), message);
    EXPECT_EQ(data.code(), ExitCode::kData);
    EXPECT_TRUE(data.known_to_all_ranks());
    EXPECT_EQ(thrown_together<UsageError>(comm, only_there(UsageError(""))).code(), ExitCode::kUsage);
    EXPECT_EQ(thrown_together<EnvironmentError>(comm, only_there(EnvironmentError("disk"))).code(),
              ExitCode::kEnvironment);
    EXPECT_EQ(thrown_together<StopRequested>(comm, only_there(StopRequested("stop"))).code(), ExitCode::kStopped);
    EXPECT_STREQ(thrown_together<Bug>(comm, only_there(Bug("broken"))).what(), "broken");
  }
}

TEST(Together, TheLowestFailingRankSpeaksForAll) {
  const Communicator comm;
  for (int first = 0; first < comm.size(); ++first) {
    const auto error = thrown_together<DataError>(comm, [&] {
      if (comm.rank() == first) throw DataError("first");
      if (comm.rank() > first) throw EnvironmentError("later");
    });
    EXPECT_STREQ(error.what(), "first");
  }
}

TEST(Together, ExceptionsOfTheLibraryBecomeErrorsByCause) {
  const Communicator comm;
  EXPECT_EQ(thrown_together<EnvironmentError>(comm, [] { throw std::bad_alloc(); }).code(), ExitCode::kEnvironment);
  EXPECT_STREQ(thrown_together<Bug>(comm, [] { throw std::out_of_range("beyond"); }).what(), "beyond");
}

TEST(Together, RanksStillUnderstandEachOtherAfterAnError) {
  const Communicator comm;
  thrown_together<DataError>(comm, [&] {
    if (comm.rank() == comm.size() - 1) throw DataError("last");
  });
  EXPECT_EQ(comm.sum(1), comm.size());
}

}  // namespace
}  // namespace outsole::comm
