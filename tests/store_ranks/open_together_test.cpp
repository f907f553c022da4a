#include <gmock/gmock.h>
#include <sys/resource.h>

#include "../shared_folder.h"
#include "../store/sample_store.h"
#include "core/errors.h"
#include "store/image_rows.h"

namespace outsole::store {
namespace {

class OpenTogether : public testing::SharedFolder {
 protected:
  void SetUp() override {
    SharedFolder::SetUp();
    prepare([&] { write_sample(folder_ / "s.h5"); });
  }

  /// On ranks other than 0 a path at which there is nothing to be seen.
  fs::path path() const { return folder_ / (comm_.is_root() ? "s.h5" : "unseen/s.h5"); }
};

TEST_F(OpenTogether, OnlyRankZeroLooksAtTheStore) {
  const Store store = Store::open_together(comm_, path(), "outsole.exemplars", {"id", "height_px", "nothing"});
  const Store alone(folder_ / "s.h5");
  EXPECT_EQ(store.sha256(), alone.sha256());
  EXPECT_EQ(store.header().parameters, alone.header().parameters);
  EXPECT_EQ(store.rows(), alone.rows());
  EXPECT_EQ(store.size_bytes(), alone.size_bytes());
  EXPECT_EQ(store.datasets(), alone.datasets());
  EXPECT_EQ(store.unit_rows(2), alone.unit_rows(2));
  EXPECT_EQ(store.shape("pixels"), alone.shape("pixels"));
  EXPECT_EQ(read_values<std::string>(store, "id"), read_values<std::string>(alone, "id"));
  EXPECT_EQ(read_values<std::int32_t>(store, "height_px"), read_values<std::int32_t>(alone, "height_px"));
  if (!comm_.is_root()) {
    EXPECT_THROW(store.read("width_px"), DataError);
  }
}

TEST_F(OpenTogether, EveryRankReadsTheSameAsAlone) {
  Store store = Store::open_together(comm_, folder_ / "s.h5", "", {"id"});
  store.forget_told();
  const Store alone(folder_ / "s.h5");
  EXPECT_EQ(read_values<std::string>(store, "id"), read_values<std::string>(alone, "id"));
  EXPECT_EQ(read_values<std::uint8_t>(store, "pixels"), read_values<std::uint8_t>(alone, "pixels"));
  EXPECT_EQ(store.read("height_px", 2, 3).values, alone.read("height_px", 2, 3).values);
}

TEST_F(OpenTogether, WhatRankZeroFindsWrongReachesAll) {
  EXPECT_THROW(Store::open_together(comm_, path(), "outsole.scans"), DataError);
  prepare([&] { fs::remove(folder_ / "s.shards/00001.h5"); });
  EXPECT_THROW(Store::open_together(comm_, path()), DataError);
}

/// Another view of the same length and time is told by its content, one of another length by that.
TEST_F(OpenTogether, RefusesAnotherStoreUnderTheSameName) {
  if (comm_.size() == 1) return;
  prepare([&] {
    fs::create_directory(folder_ / "local");
    fs::copy(folder_ / "s.h5", folder_ / "local/s.h5");
  });
  const fs::path mine = folder_ / (comm_.is_root() ? "s.h5" : "local/s.h5");
  EXPECT_NO_THROW(Store::open_together(comm_, mine)) << "a copy of another time";
  prepare([&] { flip_byte(folder_ / "local/s.h5", 600); });
  EXPECT_THROW(Store::open_together(comm_, mine), EnvironmentError);
  prepare([&] { write_text(folder_ / "local/s.h5", "something else"); });
  EXPECT_THROW(Store::open_together(comm_, mine), EnvironmentError);
}

TEST_F(OpenTogether, NoticesAShardThatIsAnotherOnItsMachine) {
  if (comm_.size() == 1) return;
  prepare([&] {
    fs::create_directory(folder_ / "local");
    fs::copy(folder_ / "s.h5", folder_ / "local/s.h5");
    fs::copy(folder_ / "s.shards", folder_ / "local/s.shards", fs::copy_options::recursive);
    fs::resize_file(folder_ / "local/s.shards/00000.h5", fs::file_size(folder_ / "s.shards/00000.h5") - 1);
  });
  const Store store = Store::open_together(comm_, folder_ / (comm_.is_root() ? "s.h5" : "local/s.h5"));
  if (comm_.is_root()) {
    EXPECT_NO_THROW(store.read("id"));
  } else {
    EXPECT_THAT(message_of<DataError>([&] { store.read("id"); }), ::testing::HasSubstr("it was truncated"));
  }
}

TEST_F(OpenTogether, OnlyRankZeroTriesAForeignStoreInAChild) {
  const auto faults_of_children = [] {
    rusage usage{};
    getrusage(RUSAGE_CHILDREN, &usage);
    return usage.ru_minflt;
  };
  const auto before = faults_of_children();
  Store::open_together(comm_, folder_ / "s.h5", "", {}, Origin::kForeign);
  EXPECT_EQ(faults_of_children() > before, comm_.is_root());
}

}  // namespace
}  // namespace outsole::store
