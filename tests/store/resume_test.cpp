// Interrupted and repeated jobs.

#include <gmock/gmock.h>
#include <sys/resource.h>

#include <csignal>

#include "core/errors.h"
#include "sample_store.h"

namespace outsole::store {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

using ResumedStore = StoreTest;

std::int64_t write_time(const fs::path& path) { return fs::last_write_time(path).time_since_epoch().count(); }

TEST_F(ResumedStore, ShardsOfAnInterruptedRunAreKeptAndTheResultIsTheSame) {
  fs::create_directory(folder_ / "whole");
  write_sample(folder_ / "whole/s.h5");
  const fs::path path = folder_ / "s.h5", kept = folder_ / "s.shards/00002.h5";
  {
    StoreWriter interrupted(path, sample_header(), 3, true);
    interrupted.write_unit(2, sample_images(20, 3));
  }
  write_text(folder_ / "s.shards/00000.h5.part", "half a shard");
  write_text(folder_ / "s.h5.part", "half a view");
  const auto time = write_time(kept);
  {
    StoreWriter writer(path, sample_header(), 3, true);
    EXPECT_FALSE(writer.is_finished());
    EXPECT_FALSE(writer.has_unit(0));
    EXPECT_TRUE(writer.has_unit(2));
    EXPECT_FALSE(fs::exists(folder_ / "s.shards/00000.h5.part"));
    EXPECT_FALSE(fs::exists(folder_ / "s.h5.part"));
  }
  write_sample(path);
  EXPECT_EQ(write_time(kept), time);
  EXPECT_EQ(Store(path).sha256(), Store(folder_ / "whole/s.h5").sha256());
}

TEST_F(ResumedStore, AShardIsKeptOnlyWhileTheStampOfItsUnitStaysTheSame) {
  const fs::path path = folder_ / "s.h5", stamps = folder_ / "s.shards/stamps";
  const auto open = [&](std::vector<std::string> units) {
    return StoreWriter(path, sample_header(), 3, true, std::move(units));
  };
  const auto kept = [](const StoreWriter& writer) {
    return std::vector<bool>{writer.has_unit(0), writer.has_unit(1), writer.has_unit(2)};
  };
  {
    StoreWriter interrupted = open({"a", "b", "c"});
    for (const std::int64_t unit : {0, 1}) interrupted.write_unit(unit, sample_images(4, unit));
  }
  EXPECT_EQ(kept(open({"a", "b", "other"})), (std::vector{true, true, false}));
  EXPECT_EQ(kept(open({"a", "other", "other"})), (std::vector{true, false, false}));
  fs::remove(stamps);  // nobody knows any more what the shards are made from
  EXPECT_EQ(kept(open({"a", "other", "other"})), (std::vector{false, false, false}));
  EXPECT_TRUE(fs::is_empty(folder_));
  StoreWriter writer = open({"a", "b", "c"});
  for (const std::int64_t unit : {0, 1, 2}) writer.write_unit(unit, sample_images(4, unit));
  EXPECT_TRUE(fs::exists(stamps));
  writer.finish();
  EXPECT_FALSE(fs::exists(stamps));
}

TEST_F(ResumedStore, AShardDamagedBetweenTwoRunsIsNotSealedIntoTheStore) {
  const fs::path path = folder_ / "s.h5", shard = folder_ / "s.shards/00001.h5";
  {
    StoreWriter interrupted(path, sample_header(), 3, true);
    for (const std::int64_t unit : {0, 1, 2}) interrupted.write_unit(unit, sample_images(4, unit));
  }
  const auto size = static_cast<std::int64_t>(fs::file_size(shard));
  for (std::int64_t position = 0; position < size; position += size / 40) {
    flip_byte(shard, position);
    EXPECT_THAT(message_of<DataError>([&] { StoreWriter(path, sample_header(), 3, true).finish(); }),
                AllOf(HasSubstr(shard.string()), HasSubstr("remove it and run the job again")))
        << "byte " << position;
    EXPECT_FALSE(fs::exists(path));
    flip_byte(shard, position);
  }
  StoreWriter(path, sample_header(), 3, true).finish();
  EXPECT_TRUE(Store(path).validate().empty());
}

TEST_F(ResumedStore, AFinishedStoreNeedsNothing) {
  write_sample(folder_ / "s.h5");
  EXPECT_FALSE(fs::exists(folder_ / "s.shards/lock"));
  const StoreWriter writer(folder_ / "s.h5", sample_header(), 3, true);
  EXPECT_TRUE(writer.is_finished());
  EXPECT_FALSE(fs::exists(folder_ / "s.shards/lock"));
}

TEST_F(ResumedStore, WhatAJobKilledAtTheVeryEndLeftGoes) {
  write_sample(folder_ / "s.h5");
  for (const char* leftover : {"lock", "stamps"}) write_text(folder_ / "s.shards" / leftover, "");
  EXPECT_TRUE(StoreWriter(folder_ / "s.h5", sample_header(), 3, true).is_finished());
  for (const char* leftover : {"lock", "stamps"}) EXPECT_FALSE(fs::exists(folder_ / "s.shards" / leftover));
}

TEST_F(ResumedStore, OtherParametersAreRefusedByNameFinishedOrNot) {
  StoreHeader other = sample_header();
  other.parameters["where"] = "week=6";
  const auto refusal = [&](std::int64_t units) {
    return message_of<DataError>([&] { StoreWriter(folder_ / "s.h5", other, units, true); });
  };
  {
    StoreWriter interrupted(folder_ / "s.h5", sample_header(), 3, true);
    interrupted.write_unit(1, sample_images(10, 0));
  }
  EXPECT_THAT(refusal(3), AllOf(HasSubstr("'/where'"), HasSubstr("week=4"), HasSubstr("week=6"), HasSubstr("rm -r")));
  write_sample(folder_ / "s.h5");
  EXPECT_THAT(refusal(3), AllOf(HasSubstr("'/where'"), HasSubstr("s.h5")));
  other = sample_header();
  EXPECT_THAT(refusal(4), HasSubstr("units"));
}

TEST_F(ResumedStore, AFileThatIsNoStoreIsNotOverwritten) {
  write_text(folder_ / "s.h5", "precious");
  EXPECT_THAT(message_of<DataError>([&] { StoreWriter(folder_ / "s.h5", sample_header(), 1, true); }),
              HasSubstr("s.h5"));
  EXPECT_EQ(read_text_file(folder_ / "s.h5"), "precious");
  EXPECT_FALSE(fs::exists(folder_ / "s.shards"));
}

TEST_F(ResumedStore, ASecondJobIsRefusedWhileTheFirstWrites) {
  const auto writer = std::make_unique<StoreWriter>(folder_ / "s.h5", sample_header(), 3, true);
  const StoreWriter other_rank(folder_ / "s.h5", sample_header(), 3, false);
  EXPECT_THAT(message_of<UsageError>([&] { StoreWriter(folder_ / "s.h5", sample_header(), 3, true); }),
              AllOf(HasSubstr("s.shards/lock"), HasSubstr("another job")));
}

TEST_F(ResumedStore, AJobThatFailsBeforeItsFirstUnitLeavesNothing) {
  { const StoreWriter writer(folder_ / "s.h5", sample_header(), 3, true); }
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(ResumedStore, FinishingWithoutAUnitNamesItsShard) {
  StoreWriter writer(folder_ / "s.h5", sample_header(), 3, true);
  writer.write_unit(0, sample_images(0, 4));
  EXPECT_THAT(message_of<DataError>([&] { writer.finish(); }), HasSubstr("00001.h5"));
  EXPECT_FALSE(fs::exists(folder_ / "s.h5"));
}

TEST_F(ResumedStore, ShardsThatSeveralRanksCheckedMakeTheSameStore) {
  write_sample(folder_ / "whole/s.h5");
  const fs::path path = folder_ / "s.h5", shard = folder_ / "s.shards/00001.h5";
  StoreWriter writer(path, sample_header(), 3, true);
  const StoreWriter other_rank(path, sample_header(), 3, false);
  for (const std::int64_t unit : {0, 1, 2}) {
    writer.write_unit(unit, sample_images(unit * 10, unit == 0 ? 4 : unit == 1 ? 0 : 3));
  }
  const std::vector<std::string> sha256 = {writer.check_unit(0), other_rank.check_unit(1), other_rank.check_unit(2)};
  flip_byte(shard, 700);
  EXPECT_THAT(message_of<DataError>([&] { other_rank.check_unit(1); }), HasSubstr(shard.string()));
  flip_byte(shard, 700);
  writer.finish({}, sha256);
  EXPECT_EQ(Store(path).sha256(), Store(folder_ / "whole/s.h5").sha256());
  EXPECT_TRUE(Store(path).validate().empty());
}

TEST_F(ResumedStore, ABrokenShardOfAnEarlierRunIsNamed) {
  {
    StoreWriter interrupted(folder_ / "s.h5", sample_header(), 3, true);
    interrupted.write_unit(1, sample_images(10, 0));
  }
  fs::resize_file(folder_ / "s.shards/00001.h5", 700);
  EXPECT_THAT(message_of<DataError>([&] { StoreWriter(folder_ / "s.h5", sample_header(), 3, true); }),
              AllOf(HasSubstr("00001.h5"), HasSubstr("remove it")));
}

TEST_F(ResumedStore, AFolderThatCannotBeMadeIsAnEnvironmentError) {
  write_text(folder_ / "file", "");
  EXPECT_THAT(message_of<EnvironmentError>([&] { StoreWriter(folder_ / "file/s.h5", sample_header(), 1, true); }),
              HasSubstr("file/s.shards"));
}

TEST_F(ResumedStore, AnOutputThatIsNotNamedH5IsAUsageError) {
  EXPECT_THAT(message_of<UsageError>([&] { StoreWriter(folder_ / "s.csv", sample_header(), 1, true); }),
              HasSubstr("s.csv"));
}

// The limit on file sizes stands in for a full disk. In a process of its own: it holds for all that follows.
void write_beyond_limit(const fs::path& path) {
  std::signal(SIGXFSZ, SIG_IGN);
  const rlimit limit{100'000, 100'000};
  setrlimit(RLIMIT_FSIZE, &limit);
  StoreWriter writer(path, sample_header(), 1, true);
  Columns columns = sample_images(0, 1);
  std::vector<std::uint8_t> noise(1'000'000);
  std::uint32_t state = 1;
  for (auto& byte : noise) byte = static_cast<std::uint8_t>((state = state * 1664525 + 1013904223) >> 24);
  columns["pixels"] = {{1}, noise, {std::ssize(noise)}};
  const std::string message = message_of<EnvironmentError>([&] { writer.write_unit(0, columns); });
  EXPECT_THAT(message, AllOf(HasSubstr("00000.h5"), HasSubstr("File too large")));
  EXPECT_FALSE(fs::exists(path.parent_path() / "s.shards/00000.h5.part"));
  writer.write_unit(0, sample_images(0, 4));  // with room again, the process goes on
  writer.finish();
  EXPECT_THAT(Store(path).validate(), ::testing::IsEmpty());
  std::exit(::testing::Test::HasFailure() ? 1 : 0);  // HDF5 must survive this too
}

TEST_F(ResumedStore, ADiskThatFillsUpIsAnEnvironmentErrorThatLeavesNoShard) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(write_beyond_limit(folder_ / "s.h5"), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace outsole::store
