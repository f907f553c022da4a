// Copying and renaming: what comes of it is what the job would have written under that name.

#include "store/transfer.h"

#include <gmock/gmock.h>

#include "core/errors.h"
#include "sample_store.h"

namespace outsole::store {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class TransferTest : public StoreTest {
 protected:
  TransferTest() { write_sample(from_); }

  /// Whether `path` is, file by file, the store that its job would have written there.
  void expect_as_written(const fs::path& path) const {
    const fs::path fresh = folder_ / "fresh" / path.filename();
    fs::create_directory(folder_ / "fresh");
    write_sample(fresh);
    EXPECT_EQ(read_text_file(path), read_text_file(fresh));
    EXPECT_THAT(Store(path).validate(), IsEmpty());
    EXPECT_FALSE(fs::exists(path.parent_path() / (path.stem().string() + ".shards") / "lock"));
  }

  const fs::path from_ = folder_ / "s.h5", to_ = folder_ / "other.h5";
};

TEST_F(TransferTest, ACopyIsWhatItsJobWouldHaveWrittenThere) {
  const TransferSummary summary = transfer_store(from_, to_, Transfer::kCopy, {});
  expect_as_written(to_);
  EXPECT_EQ(summary.sha256_now, Store(to_).sha256());
  EXPECT_EQ(summary.sha256_before, Store(from_).sha256());
  EXPECT_TRUE(transfer_store(from_, to_, Transfer::kCopy, {}).was_finished);
}

TEST_F(TransferTest, ARenamedStoreLeavesNothingBehind) {
  transfer_store(from_, to_, Transfer::kRename, {});
  expect_as_written(to_);
  EXPECT_FALSE(fs::exists(from_));
  EXPECT_FALSE(fs::exists(folder_ / "s.shards"));
}

TEST_F(TransferTest, RenamingThatWasKilledWhileItRemovedTheOldStoreIsFinishedByTheSameCommand) {
  transfer_store(from_, to_, Transfer::kCopy, {});
  fs::remove(folder_ / "s.shards/00000.h5");
  transfer_store(from_, to_, Transfer::kRename, {});
  EXPECT_FALSE(fs::exists(from_));
  EXPECT_FALSE(fs::exists(folder_ / "s.shards"));
  expect_as_written(to_);
}

TEST_F(TransferTest, AShardThatAnInterruptedCopyLeftIsHeldAgainstTheStore) {
  fs::create_directory(folder_ / "other.shards");
  fs::copy_file(folder_ / "s.shards/00000.h5", folder_ / "other.shards/00000.h5");
  transfer_store(from_, to_, Transfer::kCopy, {});
  expect_as_written(to_);
}

TEST_F(TransferTest, ADamagedStoreAndANameThatIsTakenAreRefused) {
  EXPECT_THAT(message_of<UsageError>([&] { transfer_store(from_, from_, Transfer::kRename, {}); }),
              HasSubstr("itself"));
  flip_byte(folder_ / "s.shards/00002.h5", 900);
  EXPECT_THAT(message_of<DataError>([&] { transfer_store(from_, to_, Transfer::kCopy, {}); }), HasSubstr("00002.h5"));
  EXPECT_FALSE(fs::exists(to_));
}

}  // namespace
}  // namespace outsole::store
