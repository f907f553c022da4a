#include "store/make_store.h"

#include <gmock/gmock.h>

#include <csignal>

#include "../shared_folder.h"
#include "../store/sample_store.h"
#include "comm/from_root.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/stop.h"

namespace outsole::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class MakeStore : public testing::SharedFolder {
 protected:
  static constexpr std::int64_t kUnits = 7;

  /// Seven units of two images.
  StoreJob job() {
    StoreJob job;
    job.output = folder_ / "s.h5";
    job.header = sample_header();
    job.units = kUnits;
    job.doing = "testing";
    job.make = [this](std::int64_t unit, const Columns&) {
      made_.push_back(unit);
      return sample_images(unit * 10, 2);
    };
    job.conclude = [this](bool was_finished) {
      EXPECT_TRUE(comm_.is_root());
      ++concluded_;
      return nlohmann::json{{"was_finished", was_finished}};
    };
    return job;
  }

  /// What one rank would write.
  std::string serial_sha256() const {
    const fs::path path = folder_ / "serial/s.h5";
    prepare([&] {
      StoreWriter writer(path, sample_header(), kUnits, true);
      for (std::int64_t unit = 0; unit < kUnits; ++unit) writer.write_unit(unit, sample_images(unit * 10, 2));
      writer.finish();
    });
    return Store(path).sha256();
  }

  /// The message of every rank.
  template <typename Kind>
  std::string refusal(const StoreJob& wanted) const {
    try {
      make_store(comm_, wanted);
    } catch (const Kind& error) {
      EXPECT_TRUE(error.known_to_all_ranks());
      return error.what();
    }
    ADD_FAILURE() << "no refusal";
    return {};
  }

  std::vector<std::int64_t> made_;
  int concluded_ = 0;
};

TEST_F(MakeStore, WritesWhatOneRankWouldAndConcludesOnRankZero) {
  EXPECT_FALSE(make_store(comm_, job()));
  comm_.barrier();
  EXPECT_EQ(Store(folder_ / "s.h5").sha256(), serial_sha256());
  EXPECT_EQ(comm_.sum(std::ssize(made_)), kUnits);
  EXPECT_EQ(comm_.sum(std::int64_t{concluded_}), 1);
  const auto provenance = nlohmann::json::parse(read_text_file(folder_ / "s.provenance.json"));
  EXPECT_EQ(provenance.at("details").at("was_finished"), false);
  made_.clear();
  EXPECT_TRUE(make_store(comm_, job()));
  EXPECT_TRUE(made_.empty());
}

TEST_F(MakeStore, RanksMayMakeEveryUnitTogether) {
  StoreJob together = job();
  together.make = nullptr;
  std::vector<std::int64_t> told;
  together.make_together = [&](std::span<const std::int64_t> missing, StoreWriter& writer) {
    for (const std::int64_t unit : missing) {
      told.push_back(comm_.sum(unit) / comm_.size());
      comm_.together([&] {
        if (comm_.rank() == comm_.size() - 1) writer.write_unit(unit, sample_images(unit * 10, 2));
      });
    }
  };
  make_store(comm_, together);
  comm_.barrier();
  EXPECT_THAT(told, ElementsAre(0, 1, 2, 3, 4, 5, 6));
  EXPECT_EQ(Store(folder_ / "s.h5").sha256(), serial_sha256());
}

TEST_F(MakeStore, CarriesOnWithTheUnitsThatAreMissing) {
  StoreJob failing = job();
  failing.make = [](std::int64_t unit, const Columns&) {
    if (unit == kUnits - 1) throw EnvironmentError("no more");
    return sample_images(unit * 10, 2);
  };
  EXPECT_EQ(refusal<EnvironmentError>(failing), "no more");
  comm_.barrier();
  EXPECT_FALSE(fs::exists(folder_ / "s.h5"));
  const bool has_first = fs::exists(folder_ / "s.shards/00000.h5");
  comm_.barrier();
  EXPECT_TRUE(has_first);
  make_store(comm_, job());
  EXPECT_LT(comm_.sum(std::ssize(made_)), kUnits);
  EXPECT_EQ(Store(folder_ / "s.h5").sha256(), serial_sha256());
}

TEST_F(MakeStore, BadDataLeavesNothingOnlyWhereTheJobWantsIt) {
  StoreJob refused = job();
  refused.made = [&] { comm_.together([] { throw DataError("nothing of use"); }); };
  EXPECT_EQ(refusal<DataError>(refused), "nothing of use");
  comm_.barrier();
  EXPECT_TRUE(fs::exists(folder_ / "s.shards/00006.h5"));
  prepare([&] { fs::remove_all(folder_ / "s.shards"); });
  refused.leaves_nothing_after_bad_data = true;
  refusal<DataError>(refused);
  comm_.barrier();
  EXPECT_FALSE(fs::exists(folder_ / "s.shards"));
}

TEST_F(MakeStore, ARankThatSeesOtherInputsIsNamed) {
  StoreJob wanted = job();
  if (comm_.rank() == 1) wanted.header.parameters["count"] = 4;
  if (comm_.size() == 1) return;
  const std::string message = refusal<EnvironmentError>(wanted);
  EXPECT_THAT(message, HasSubstr("rank 1"));
  EXPECT_THAT(message, HasSubstr("'/count'"));
  EXPECT_FALSE(fs::exists(folder_ / "s.shards"));
}

TEST(FromRoot, TellsAllRanksAndItsErrorReachesAll) {
  const comm::Communicator comm;
  const fs::path odd("caf\xE9.png");
  const auto paths = comm::paths_from_root(comm, [&] {
    EXPECT_TRUE(comm.is_root());
    return std::vector<fs::path>{"a.png", odd};
  });
  EXPECT_THAT(paths, ElementsAre(fs::path("a.png"), odd));
  EXPECT_EQ(comm::json_from_root(comm, [] { return nlohmann::json{{"id", "caf\xE9"}}; }).at("id"), "caf\xE9");
  EXPECT_THROW(comm::from_root(comm, []() -> std::string { throw DataError("gone"); }), DataError);
}

// The last one: the process remembers the signal.
TEST_F(MakeStore, AStopComesWhenTheUnitsInTheMakingAreWritten) {
  StoreJob stopped = job();
  stopped.make = [&](std::int64_t unit, const Columns&) {
    if (unit == 0) std::raise(SIGTERM);
    return sample_images(unit * 10, 2);
  };
  install_stop_handler();
  EXPECT_THAT(refusal<Error>(stopped), HasSubstr("run the same command again"));
  comm_.barrier();
  EXPECT_TRUE(fs::exists(folder_ / "s.shards/00000.h5"));
  EXPECT_FALSE(fs::exists(folder_ / "s.shards/00001.h5"));
}

}  // namespace
}  // namespace outsole::store
