// Files that are missing, broken, of another kind, or crafted: each is told by name, and none takes the process down.

#include <gmock/gmock.h>

#include "core/errors.h"
#include "sample_store.h"
#include "store/child.h"
#include "store/find.h"

namespace outsole::store {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class DamagedStore : public StoreTest {
 protected:
  DamagedStore() { write_sample(path_); }

  std::string open_error(const std::string& schema = "") const {
    return message_of<DataError>([&] { Store(path_, schema); });
  }
  fs::path shard(int unit) const { return folder_ / "s.shards" / ("0000" + std::to_string(unit) + ".h5"); }

  const fs::path path_ = folder_ / "s.h5";
};

TEST_F(DamagedStore, AMissingShardIsNamedAtOpening) {
  fs::remove(shard(2));
  EXPECT_THAT(open_error(), AllOf(HasSubstr(shard(2).string()), HasSubstr("missing")));
  fs::remove(shard(0));
  EXPECT_THAT(Store::validate_in_child(path_), ElementsAre(HasSubstr("00000.h5"), HasSubstr("00002.h5")));
}

TEST_F(DamagedStore, ATruncatedShardIsNamedAtOpening) {
  fs::resize_file(shard(0), fs::file_size(shard(0)) - 1);
  EXPECT_THAT(open_error(), AllOf(HasSubstr(shard(0).string()), HasSubstr("truncated")));
}

TEST_F(DamagedStore, AFolderInPlaceOfAShardIsNamedAtOpening) {
  fs::remove(shard(1));
  fs::create_directory(shard(1));
  EXPECT_THAT(open_error(), HasSubstr(shard(1).string()));
}

TEST_F(DamagedStore, SwappedShardsOfEqualRowsAreNamedByReadAndValidate) {
  const fs::path twins = folder_ / "twins.h5";
  {
    StoreWriter writer(twins, sample_header(), 2, true);
    for (const std::int64_t unit : {0, 1})
      writer.write_unit(unit, sample_images(0, 3));  // but for their number the same
    writer.finish();
  }
  const fs::path first = folder_ / "twins.shards/00000.h5", second = folder_ / "twins.shards/00001.h5";
  fs::rename(first, folder_ / "aside");
  fs::rename(second, first);
  fs::rename(folder_ / "aside", second);
  const Store store(twins);
  EXPECT_THAT(message_of<DataError>([&] { store.read("id"); }), HasSubstr(first.string()));
  EXPECT_THAT(store.validate(), ElementsAre(HasSubstr(first.string()), HasSubstr(second.string())));
}

TEST_F(DamagedStore, AShardOfAnotherStoreIsNamedByRead) {
  const fs::path other = folder_ / "other.h5";
  StoreHeader header = sample_header();
  header.parameters["inputs_sha256"] = "11ff";  // as long as before: the file has the same size
  {
    StoreWriter writer(other, header, 3, true);
    for (const std::int64_t unit : {0, 1, 2})
      writer.write_unit(unit, sample_images(unit * 10, unit == 0 ? 4 : unit == 1 ? 0 : 3));
    writer.finish();
  }
  fs::copy_file(folder_ / "other.shards/00000.h5", shard(0), fs::copy_options::overwrite_existing);
  const Store store(path_);
  EXPECT_THAT(message_of<DataError>([&] { store.read("id", 0, 1); }), HasSubstr(shard(0).string()));
  EXPECT_THAT(store.validate(), ElementsAre(HasSubstr(shard(0).string())));
}

TEST_F(DamagedStore, EveryFlippedByteOfAShardIsFoundByValidateAndNeverReadAsData) {
  const auto intact = [&] {
    const Store store(path_);
    Columns columns;
    for (const auto& name : store.datasets()) columns[name] = store.read(name);
    return columns;
  }();
  const auto size = static_cast<std::int64_t>(fs::file_size(shard(2)));
  for (std::int64_t position = 0; position < size; position += size / 150) {
    flip_byte(shard(2), position);
    const Store store(path_);
    EXPECT_THAT(store.validate(), ElementsAre(HasSubstr(shard(2).string()))) << "byte " << position;
    for (const auto& [name, column] : intact) {
      try {
        EXPECT_EQ(store.read(name).values, column.values) << name << ", byte " << position;
      } catch (const DataError& error) {
        EXPECT_THAT(error.what(), HasSubstr(shard(2).string()));
      }
    }
    flip_byte(shard(2), position);
  }
}

TEST_F(DamagedStore, EveryFlippedByteOfAViewIsFoundAtOpening) {
  const auto size = static_cast<std::int64_t>(fs::file_size(path_));
  for (std::int64_t position = 0; position < size; position += size / 150) {
    flip_byte(path_, position);
    EXPECT_THAT(open_error(), HasSubstr(path_.string())) << "byte " << position;
    flip_byte(path_, position);
  }
}

TEST_F(DamagedStore, AForgedViewNeverTakesTheProcessDown) {
  const auto size = static_cast<std::int64_t>(fs::file_size(path_));
  for (std::int64_t position = 512; position < size; position += size / 60) {
    flip_byte(path_, position);
    reseal(path_);
    for (const std::string& complaint : Store::validate_in_child(path_))
      EXPECT_THAT(complaint, HasSubstr(folder_.string()));
    flip_byte(path_, position);
  }
  reseal(path_);
  EXPECT_THAT(Store::validate_in_child(path_), ElementsAre());
}

TEST_F(DamagedStore, ARenamedStoreIsTold) {
  fs::rename(path_, folder_ / "t.h5");
  EXPECT_THAT(message_of<DataError>([&] { const Store store(folder_ / "t.h5"); }),
              AllOf(HasSubstr("t.shards"), HasSubstr("t.h5"), HasSubstr("renamed together")));
  fs::rename(folder_ / "s.shards", folder_ / "t.shards");
  EXPECT_THAT(Store::validate_in_child(folder_ / "t.h5"), ElementsAre(HasSubstr("old name")));
}

TEST_F(DamagedStore, AMovedStoreIsValid) {
  fs::create_directory(folder_ / "elsewhere");
  fs::rename(path_, folder_ / "elsewhere/s.h5");
  fs::rename(folder_ / "s.shards", folder_ / "elsewhere/s.shards");
  EXPECT_THAT(Store::validate_in_child(folder_ / "elsewhere/s.h5"), ElementsAre());
}

TEST_F(DamagedStore, AnotherSchemaIsRefused) {
  EXPECT_THAT(open_error("outsole.index"),
              AllOf(HasSubstr(path_.string()), HasSubstr("outsole.exemplars"), HasSubstr("outsole.index")));
}

TEST_F(DamagedStore, AnUnknownVersionIsRefusedNamingThoseKnown) {
  StoreHeader header = sample_header();
  header.version = 99;
  EXPECT_THAT(message_of<DataError>([&] { StoreWriter(folder_ / "t.h5", header, 1, true); }),
              AllOf(HasSubstr("version 99"), HasSubstr("known versions: 1")));
}

TEST_F(DamagedStore, FilesOfOtherKindsAreToldApart) {
  const auto error_of = [&](const fs::path& path) {
    const std::string message = message_of<DataError>([&] { Store{path}; });
    EXPECT_THAT(message, HasSubstr(path.string()));
    EXPECT_THAT(message_of<DataError>([&] { Store(path, "", Origin::kForeign); }), HasSubstr(path.string()));
    EXPECT_EQ(Store::validate_in_child(path).size(), 1U);
    return message;
  };
  write_text(folder_ / "empty.h5", "");
  write_text(folder_ / "text.h5", "id,mirror\n1,0\n");
  fs::create_directory(folder_ / "folder.h5");
  fs::create_symlink("nowhere", folder_ / "link.h5");
  EXPECT_THAT(error_of(folder_ / "absent.h5"), HasSubstr("does not exist"));
  EXPECT_THAT(error_of(folder_ / "link.h5"), HasSubstr("does not exist"));
  EXPECT_THAT(error_of(folder_ / "empty.h5"), HasSubstr("empty"));
  EXPECT_THAT(error_of(folder_ / "text.h5"), HasSubstr("not a store"));
  EXPECT_THAT(error_of(folder_ / "folder.h5"), HasSubstr("folder"));
  EXPECT_THAT(error_of(shard(0)), HasSubstr("not the view"));
  EXPECT_THAT(error_of("/dev/null"), HasSubstr("regular file"));
}

TEST_F(DamagedStore, ATruncatedViewIsNamed) {
  for (const std::uintmax_t size : {1, 100, 512, 513, 3000}) {
    fs::copy_file(path_, folder_ / "t.h5", fs::copy_options::overwrite_existing);
    fs::resize_file(folder_ / "t.h5", size);
    EXPECT_THAT(message_of<DataError>([&] { Store{folder_ / "t.h5"}; }), HasSubstr("t.h5")) << size;
  }
}

TEST_F(DamagedStore, FoldersAreSearchedForStoresAndForWhatJobsLeftBehind) {
  fs::create_directories(folder_ / "deep/t.shards");
  write_text(folder_ / "deep/t.h5.part", "");
  write_text(folder_ / "s.shards/lock", "");
  const FoundStores found = find_stores({folder_});
  EXPECT_THAT(found.files, ElementsAre(path_));
  EXPECT_THAT(found.leftovers, ElementsAre(HasSubstr("t.h5.part"), HasSubstr("t.shards"), HasSubstr("lock")));
  EXPECT_THAT(message_of<DataError>([&] { find_stores({folder_ / "absent"}); }), HasSubstr("absent"));
}

constexpr ChildLimits kLimits{std::chrono::seconds(20), 1 << 30};

TEST(RunInChild, ACrashIsADataErrorThatNamesTheFile) {
  const auto crash = [] {
    return run_in_child(
        "crafted.h5", []() -> std::string { std::abort(); }, kLimits);
  };
  EXPECT_THAT(message_of<DataError>(crash), AllOf(HasSubstr("crafted.h5"), HasSubstr("crashes")));
}

TEST(RunInChild, AnEndlessReadIsCutOff) {
  const auto hang = [] {
    return run_in_child("crafted.h5",
                        []() -> std::string {
                          while (true) pause();
                        },
                        {std::chrono::milliseconds(100), 1 << 30});
  };
  EXPECT_THAT(message_of<DataError>(hang), AllOf(HasSubstr("crafted.h5"), HasSubstr("does not end")));
}

TEST(RunInChild, LongAnswersAndErrorsComeBack) {
  const std::string text(1 << 20, 'x');
  EXPECT_EQ(run_in_child(
                "f.h5", [&] { return text; }, kLimits),
            text);
  const auto fail = [] {
    return run_in_child(
        "f.h5", []() -> std::string { throw DataError("why"); }, kLimits);
  };
  EXPECT_EQ(message_of<DataError>(fail), "why");
  const auto exhaust = [] {
    return run_in_child(
        "f.h5", []() -> std::string { return std::string(std::size_t{2} << 30, 'x').substr(0, 1); }, kLimits);
  };
  EXPECT_THAT(message_of<DataError>(exhaust), HasSubstr("f.h5"));
}

}  // namespace
}  // namespace outsole::store
