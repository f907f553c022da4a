#include "comm/communicator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
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

// --- Numbers of all ranks -------------------------------------------------------------------------------------------

/// `count` numbers that differ from rank to rank.
template <typename Number>
std::vector<Number> numbers_of(int rank, std::size_t count) {
  std::vector<Number> numbers(count);
  for (std::size_t i = 0; i < count; ++i) {
    numbers[i] = static_cast<Number>((i * 7 + static_cast<std::size_t>(rank) * 31) % 101);
  }
  return numbers;
}

/// Uneven counts; every third rank has none.
std::size_t count_of(int rank) { return rank % 3 == 1 ? 0 : static_cast<std::size_t>(rank * 40 + 5); }

template <typename Number>
void expect_gathered(const Communicator& comm) {
  const auto own = numbers_of<Number>(comm.rank(), count_of(comm.rank()));
  const auto expect_all = [&](const Gathered<Number>& all) {
    ASSERT_EQ(all.begin.size(), static_cast<std::size_t>(comm.size()) + 1);
    EXPECT_EQ(all.begin.back(), std::ssize(all.values));
    for (int rank = 0; rank < comm.size(); ++rank) {
      EXPECT_TRUE(std::ranges::equal(all.of(rank), numbers_of<Number>(rank, count_of(rank)))) << rank;
    }
  };
  expect_all(comm.all_gatherv(std::span<const Number>(own)));
  const auto on_root = comm.gatherv(std::span<const Number>(own));
  if (comm.is_root()) {
    expect_all(on_root);
  } else {
    EXPECT_TRUE(on_root.values.empty());
    EXPECT_TRUE(on_root.begin.empty());
  }
}

TEST(Gatherv, BringsUnevenAndEmptyPartsOfAllKindsOfNumbersInOneOrManyPieces) {
  Communicator comm;
  for (const std::size_t piece_bytes : {std::size_t{1} << 30, std::size_t{64}, std::size_t{7}}) {
    comm.set_piece_bytes(piece_bytes);
    expect_gathered<float>(comm);
    expect_gathered<double>(comm);
    expect_gathered<std::int32_t>(comm);
    expect_gathered<std::int64_t>(comm);
    expect_gathered<char>(comm);
  }
}

TEST(Gatherv, NothingFromAnyRankIsNothing) {
  const Communicator comm;
  const auto all = comm.all_gatherv(std::span<const double>());
  EXPECT_TRUE(all.values.empty());
  EXPECT_EQ(all.begin, std::vector<std::int64_t>(static_cast<std::size_t>(comm.size()) + 1));
}

TEST(Communicator, BytesArriveAlsoInManyPieces) {
  Communicator comm;
  comm.set_piece_bytes(5);
  EXPECT_EQ(comm.broadcast(comm.is_root() ? "more than one piece" : ""), "more than one piece");
  std::vector<float> values = comm.is_root() ? numbers_of<float>(1, 33) : std::vector<float>(33);
  comm.broadcast(values, 0);
  EXPECT_EQ(values, numbers_of<float>(1, 33));
}

// --- Neighbours -----------------------------------------------------------------------------------------------------

/// What `from` sends to the rank above it, or below it.
std::vector<float> halo(int from, bool up, std::size_t count) {
  auto values = numbers_of<float>(from, count);
  for (float& value : values) value += up ? 1000.0F : 2000.0F;
  return values;
}

/// Every rank sends to both sides, if there is somebody; `ring`: first and last are neighbours.
void expect_exchange(const Communicator& comm, bool ring, bool pending) {
  const int ranks = comm.size(), rank = comm.rank();
  const auto neighbour = [&](int step) {
    const int other = rank + step;
    return ring ? (other + ranks) % ranks : other < ranks ? other : -1;
  };
  const auto rows = [](int from, bool up) { return static_cast<std::size_t>(from * 3 + (up ? 4 : 0)); };
  const int above = neighbour(-1), below = neighbour(1);
  std::vector<float> up, down, from_above, from_below;
  if (above >= 0) {
    up = halo(rank, true, rows(rank, true));
    from_above.resize(rows(above, false));
  }
  if (below >= 0) {
    down = halo(rank, false, rows(rank, false));
    from_below.resize(rows(below, true));
  }
  const Neighbour<float> to_above = {above, up, from_above}, to_below = {below, down, from_below};
  if (pending) {
    PendingExchange exchange = comm.start_exchange(to_above, to_below);
    std::ranges::fill(up, -1.0F);  // what is sent has been copied
    while (!exchange.advance()) {
    }
    exchange.wait();
    EXPECT_TRUE(exchange.advance());
  } else {
    comm.exchange(to_above, to_below);
  }
  if (above >= 0) {
    EXPECT_EQ(from_above, halo(above, false, rows(above, false)));
  }
  if (below >= 0) {
    EXPECT_EQ(from_below, halo(below, true, rows(below, true)));
  }
}

TEST(Exchange, GivesEachNeighbourWhatIsMeantForItAlsoInManyPieces) {
  Communicator comm;
  for (const std::size_t piece_bytes : {std::size_t{1} << 30, std::size_t{6}}) {
    comm.set_piece_bytes(piece_bytes);
    for (const bool ring : {false, true}) {
      for (const bool pending : {false, true}) expect_exchange(comm, ring, pending);
    }
  }
}

TEST(Exchange, SeveralMayBeUnderWayAndAreToldApartByTheirOrder) {
  const Communicator comm;
  const int next = (comm.rank() + 1) % comm.size(), previous = (comm.rank() + comm.size() - 1) % comm.size();
  const std::vector<double> first = {1.0 + comm.rank()}, second = {100.0 + comm.rank(), 7};
  std::vector<double> first_there(1), second_there(2);
  const auto start = [&](const std::vector<double>& sent, std::vector<double>& received) {
    return comm.start_exchange<double>({previous, {}, received}, {next, sent, {}});
  };
  PendingExchange one = start(first, first_there), two = start(second, second_there);
  two.wait();
  one.wait();
  EXPECT_EQ(first_there, std::vector<double>{1.0 + previous});
  EXPECT_EQ(second_there, (std::vector<double>{100.0 + previous, 7}));
}

TEST(Exchange, ANeighbourThatSendsFewerNumbersThanAreExpectedIsABug) {
  const Communicator comm;
  const std::vector<float> sent(3);
  std::vector<float> received(4);
  EXPECT_THROW(comm.exchange<float>({comm.rank(), sent, {}}, {comm.rank(), {}, received}), Bug);
}

// --- Teams ----------------------------------------------------------------------------------------------------------

TEST(Split, TeamsAreThoseOfOneColourInTheOrderOfTheKey) {
  const Communicator comm;
  const Communicator team = comm.split(comm.rank() % 2, -comm.rank());
  EXPECT_EQ(team.size(), (comm.size() + 1 - comm.rank() % 2) / 2);
  const auto ranks = team.all_gatherv(std::span<const std::int64_t>(std::array{std::int64_t{comm.rank()}}));
  for (int i = 0; i < team.size(); ++i) {
    const std::int64_t rank = ranks.values[static_cast<std::size_t>(i)];
    EXPECT_EQ(rank % 2, comm.rank() % 2);
    if (i > 0) {
      EXPECT_LT(rank, ranks.values[static_cast<std::size_t>(i) - 1]);
    }
    EXPECT_EQ(i == team.rank(), rank == comm.rank());
  }
  EXPECT_EQ(team.local_rank(), comm.local_rank());
  EXPECT_EQ(team.local_ranks(), comm.local_ranks());
}

TEST(Split, TeamsDoNotHearEachOther) {
  const Communicator comm;
  const bool alone = comm.rank() == 0;
  const Communicator team = comm.split(alone ? 0 : 1);
  // As many calls as the team likes.
  for (int i = 0; i < (alone ? 3 : 1); ++i) EXPECT_EQ(team.sum(1), alone ? 1 : comm.size() - 1);
  EXPECT_EQ(team.broadcast("root of " + std::to_string(alone)), "root of " + std::to_string(alone));
  std::vector<float> sums = {1, 2};
  team.start_sum(std::span(sums)).wait();
  EXPECT_EQ(sums[1], 2.0F * static_cast<float>(team.size()));
  EXPECT_EQ(comm.sum(1), comm.size());
}

TEST(Split, ATeamIsSplitAgainAndOutlivesTheOneItCameFrom) {
  const Communicator comm;
  const Communicator pair = Communicator(comm.split(comm.rank() / 2)).split(0);
  EXPECT_EQ(pair.sum(1), pair.size());
  for (int i = 0; i < 3000; ++i) EXPECT_EQ(comm.split(0).size(), comm.size());  // MPI has room for a few thousand
}

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

TEST(TogetherByTeams, TheErrorOfOneTeamReachesAll) {
  const Communicator comm;
  const Communicator team = comm.split(comm.rank() == 0 ? 0 : 1);
  for (const bool first_team : {true, false}) {
    if (!first_team && comm.size() == 1) continue;
    try {
      comm.together_by_teams([&] {
        const bool fails = first_team == (comm.rank() == 0);
        team.together([&] {
          if (fails && team.rank() == team.size() - 1) throw DataError("mark 7");
        });
      });
      ADD_FAILURE() << "nothing thrown";
    } catch (const DataError& error) {
      EXPECT_STREQ(error.what(), "mark 7");
      EXPECT_TRUE(error.known_to_all_ranks());
    }
  }
  EXPECT_EQ(comm.sum(1), comm.size());
}

TEST(TogetherByTeams, AnErrorThatOneRankAloneKnowsOfIsThrownThereAtOnce) {
  const Communicator comm;
  try {
    comm.together_by_teams([&] {
      if (comm.is_root()) throw EnvironmentError("only here");
      throw DataError("only there");
    });
    ADD_FAILURE() << "nothing thrown";
  } catch (const Error& error) {
    EXPECT_FALSE(error.known_to_all_ranks());
    EXPECT_STREQ(error.what(), comm.is_root() ? "only here" : "only there");
  }
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
