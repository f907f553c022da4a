// Stores behind links, moved, and with their shards on another disk.

#include <gmock/gmock.h>

#include "core/errors.h"
#include "sample_store.h"
#include "store/audit.h"
#include "store/make_store.h"
#include "store/shard.h"

namespace outsole::store {
namespace {

/// A store in data/, and other places from which it is asked for.
class Links : public StoreTest {
 protected:
  Links() {
    for (const char* name : {"data", "elsewhere", "deep/er"}) fs::create_directories(folder_ / name);
    write_sample(folder_ / "data/s.h5");
  }

  /// Everything that is done with a store is done with this one.
  void expect_whole(const fs::path& path) const {
    const Store alone(folder_ / "data/s.h5"), store(path);
    EXPECT_EQ(store.sha256(), alone.sha256()) << path;
    EXPECT_EQ(store.read("pixels").values, alone.read("pixels").values) << path;
    EXPECT_THAT(store.validate(), ::testing::IsEmpty()) << path;
    EXPECT_THAT(Store::validate_in_child(path), ::testing::IsEmpty()) << path;
    EXPECT_NO_THROW(Store(path, "", Origin::kForeign)) << path;
    EXPECT_TRUE(StoreWriter(path, sample_header(), 3, true).is_finished()) << path;
  }

  void link(const fs::path& target, const fs::path& name) const { fs::create_symlink(target, folder_ / name); }
};

TEST_F(Links, ToAViewFindItsShards) {
  link(folder_ / "data/s.h5", "elsewhere/s.h5");  // absolute, of the same name
  expect_whole(folder_ / "elsewhere/s.h5");
  link(folder_ / "data/s.h5", "elsewhere/other.h5");  // of another name
  expect_whole(folder_ / "elsewhere/other.h5");
  link("../data/s.h5", "elsewhere/relative.h5");
  expect_whole(folder_ / "elsewhere/relative.h5");
  link("s.h5", "data/beside.h5");  // in the same folder
  expect_whole(folder_ / "data/beside.h5");
  link("../elsewhere/relative.h5", "data/chain.h5");  // a link to a link
  expect_whole(folder_ / "data/chain.h5");
  link("../../data/s.h5", "deep/er/current.h5");
  link("er", "deep/link");  // through a folder that is a link
  expect_whole(folder_ / "deep/link/current.h5");
  link(folder_ / "data", "data_link");
  expect_whole(folder_ / "data_link/s.h5");
  fs::create_hard_link(folder_ / "data/s.h5", folder_ / "elsewhere/hard.h5");
  link("../data/s.shards", "elsewhere/hard.shards");  // both by names of their own
  EXPECT_EQ(Store(folder_ / "elsewhere/hard.h5").read("id").values, Store(folder_ / "data/s.h5").read("id").values);
}

TEST_F(Links, OfViewAndShardsAreFollowedBoth) {
  link("../data/s.h5", "elsewhere/s.h5");
  link("../data/s.shards", "elsewhere/s.shards");
  expect_whole(folder_ / "elsewhere/s.h5");
}

TEST_F(Links, OfEachFileMayLeadToAHeapOfFilesWithoutTheirNames) {
  // As annexes of repositories keep them: the folder is real, the files are links to others named by their content.
  fs::create_directories(folder_ / "annex/s.shards");
  int number = 0;
  const auto keep = [&](const fs::path& file, const fs::path& name) {
    const fs::path key = folder_ / "elsewhere" / ("SHA256E-" + std::to_string(number++) + ".h5");
    fs::copy_file(file, key);
    fs::create_symlink(key, folder_ / name);
  };
  keep(folder_ / "data/s.h5", "annex/s.h5");
  for (const char* shard : {"00000.h5", "00001.h5", "00002.h5"}) {
    keep(folder_ / "data/s.shards" / shard, fs::path("annex/s.shards") / shard);
  }
  expect_whole(folder_ / "annex/s.h5");
}

TEST_F(Links, AreNotLedAstrayByShardsOfAnotherStore) {
  // An older store's shards lie where the link is.
  fs::create_directory(folder_ / "elsewhere/s.shards");
  write_text(folder_ / "elsewhere/s.shards/00000.h5", "older");
  link("../data/s.h5", "elsewhere/s.h5");
  expect_whole(folder_ / "elsewhere/s.h5");
}

TEST_F(Links, ThatLeadNowhereOrInCirclesAreRefused) {
  link("gone.h5", "elsewhere/s.h5");
  EXPECT_THROW(Store(folder_ / "elsewhere/s.h5"), DataError);
  link("b.h5", "elsewhere/a.h5");
  link("a.h5", "elsewhere/b.h5");
  EXPECT_THROW(Store(folder_ / "elsewhere/a.h5"), DataError);
  EXPECT_LE(names_of_view(folder_ / "elsewhere/a.h5").size(), 42U);
}

TEST_F(Links, ToAViewWithoutShardsNameWhatIsMissing) {
  fs::remove_all(folder_ / "data/s.shards");
  link("../data/s.h5", "elsewhere/s.h5");
  EXPECT_THAT(message_of<DataError>([&] { const Store store(folder_ / "elsewhere/s.h5"); }),
              ::testing::AllOf(::testing::HasSubstr("s.shards: is missing"), ::testing::HasSubstr("renamed together")));
}

TEST_F(Links, HaveTheProvenanceOfWhatTheyLeadTo) {
  write_text(folder_ / "data/s.provenance.json", R"({"output": "s.h5"})");
  link("../data/s.h5", "elsewhere/other.h5");
  const auto notes =
      audit({folder_ / "elsewhere"}, [](const fs::path&, const auto& wrong) { EXPECT_TRUE(wrong.empty()); }).notes;
  EXPECT_THAT(notes, ::testing::IsEmpty());
}

TEST_F(Links, StoresMovedTogetherWithTheirShardsStayWhole) {
  fs::rename(folder_ / "data", folder_ / "moved");
  fs::create_directory(folder_ / "data");
  EXPECT_THAT(Store(folder_ / "moved/s.h5").validate(), ::testing::IsEmpty());
  fs::copy(folder_ / "moved", folder_ / "copied", fs::copy_options::recursive);
  fs::remove_all(folder_ / "moved");
  EXPECT_THAT(Store(folder_ / "copied/s.h5").validate(), ::testing::IsEmpty());
}

/// Shards on a larger disk: NAME.shards is a link.
class ShardsElsewhere : public StoreTest {
 protected:
  ShardsElsewhere() {
    fs::create_directory(folder_ / "disk");
    fs::create_symlink("disk", folder_ / "s.shards");
  }
  bool link_is_there() const { return fs::is_symlink(fs::symlink_status(folder_ / "s.shards")); }
};

TEST_F(ShardsElsewhere, AreWrittenThere) {
  write_sample(folder_ / "s.h5");
  EXPECT_TRUE(link_is_there());
  EXPECT_TRUE(fs::exists(folder_ / "disk/00002.h5"));
  EXPECT_THAT(Store(folder_ / "s.h5").validate(), ::testing::IsEmpty());
}

TEST_F(ShardsElsewhere, OfAnInterruptedRunAreStillFoundByTheNext) {
  {
    StoreWriter writer(folder_ / "s.h5", sample_header(), 3, true);
    writer.write_unit(0, sample_images(0, 4));
  }
  EXPECT_TRUE(link_is_there());
  const StoreWriter writer(folder_ / "s.h5", sample_header(), 3, true);
  EXPECT_TRUE(writer.has_unit(0));
}

TEST_F(ShardsElsewhere, KeepTheirLinkWhenAJobFailsEarly) {
  { const StoreWriter writer(folder_ / "s.h5", sample_header(), 3, true); }
  EXPECT_TRUE(link_is_there());
  EXPECT_TRUE(fs::is_empty(folder_ / "disk"));
}

TEST_F(ShardsElsewhere, AreRemovedWithTheirStoreAndTheLinkStays) {
  write_sample(folder_ / "s.h5");
  write_text(folder_ / "disk/mine.txt", "mine");
  remove_store(folder_ / "s.h5");
  EXPECT_FALSE(fs::exists(folder_ / "s.h5"));
  EXPECT_TRUE(link_is_there());
  EXPECT_FALSE(fs::exists(folder_ / "disk/00000.h5"));
  EXPECT_TRUE(fs::exists(folder_ / "disk/mine.txt"));
}

TEST_F(ShardsElsewhere, InAFolderOfItsOwnGoWithTheStore) {
  write_sample(folder_ / "t.h5");
  remove_store(folder_ / "t.h5");
  EXPECT_FALSE(fs::exists(folder_ / "t.h5"));
  EXPECT_FALSE(fs::exists(folder_ / "t.shards"));
}

}  // namespace
}  // namespace outsole::store
