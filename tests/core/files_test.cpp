#include "core/files.h"

#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "core/errors.h"
#include "temporary_folder.h"

namespace outsole {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Files = testing::TemporaryFolder;

TEST_F(Files, AtomicWriteReplacesTheWholeFileAndLeavesNothingElse) {
  const auto path = write("a.json", "a longer old content");
  write_file_atomically(path, "new");
  EXPECT_EQ(read(path), "new");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
}

TEST_F(Files, AtomicWriteNamesTheFolderThatIsMissing) {
  try {
    write_file_atomically(folder_ / "missing" / "a.json", "x");
    FAIL() << "no error";
  } catch (const EnvironmentError& error) {
    EXPECT_THAT(error.what(), HasSubstr("missing/a.json"));
  }
}

TEST_F(Files, ALinkThatSomebodyPutsBesideWhileItIsWrittenIsNotFollowed) {
  const auto precious = write("precious.txt", "precious");
  std::atomic<bool> done = false;
  std::thread somebody([&] {
    std::error_code ignored;
    while (!done) std::filesystem::create_symlink(precious, folder_ / "a.json.part", ignored);
  });
  for (int attempt = 0; attempt < 300; ++attempt) {
    try {
      write_file_atomically(folder_ / "a.json", "new");
    } catch (const EnvironmentError&) {  // the link was there first
    }
  }
  done = true;
  somebody.join();
  EXPECT_EQ(read(precious), "precious");
}

TEST_F(Files, TextFileAboveTheLimitIsRefused) {
  const auto path = write("a.txt", "12345");
  EXPECT_EQ(read_text_file(path, 5), "12345");
  EXPECT_EQ(read_text_file(write("empty.txt", "")), "");
  EXPECT_THROW(read_text_file(path, 4), DataError);
  EXPECT_THROW(read_text_file(folder_), DataError);
}

TEST_F(Files, InputsAreSortedImagesWithoutMasks) {
  for (const char* name : {"b.PNG", "a.jpg", "a.mask.png", "notes.txt", "c.tif"}) write(name, "x");
  std::filesystem::create_directory(folder_ / "d.png");
  EXPECT_THAT(list_inputs({folder_}, {".png", ".jpg", ".tif"}),
              ElementsAre(folder_ / "a.jpg", folder_ / "b.PNG", folder_ / "c.tif"));
  EXPECT_THAT(list_inputs({folder_ / "notes.txt", folder_ / "a.jpg"}, {".png"}),
              ElementsAre(folder_ / "notes.txt", folder_ / "a.jpg"));
}

TEST_F(Files, ALinkThatLeadsNowhereIsListed) {
  std::filesystem::create_symlink(folder_ / "gone.png", folder_ / "link.png");
  EXPECT_THAT(list_inputs({folder_}, {".png"}), ElementsAre(folder_ / "link.png"));
}

TEST_F(Files, MissingInputsAndEmptyFoldersAreRefused) {
  EXPECT_THROW(list_inputs({folder_ / "missing"}, {".png"}), DataError);
  EXPECT_THROW(list_inputs({folder_ / std::string(5000, 'x')}, {".png"}), DataError);
  EXPECT_THROW(list_inputs({folder_}, {".png"}), DataError);
}

TEST(BesideOutput, OnlyTheEndingOfAStoreGivesWay) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"results.h5", "results.status.json"},
      {"a/results.h5", "a/results.status.json"},
      {"run", "run.status.json"},
      {"run/", "run.status.json"},
      {"a/run/", "a/run.status.json"},
      {"lr0.001", "lr0.001.status.json"},
      {"lr0.003", "lr0.003.status.json"},
      {"lr0.001/", "lr0.001.status.json"},
      {"lr0.001.h5", "lr0.001.status.json"},
      {"lr0.003.h5", "lr0.003.status.json"},
      {"a.b/lr0.001", "a.b/lr0.001.status.json"},
      {"2024.05.01", "2024.05.01.status.json"},
      {"2024.05.02", "2024.05.02.status.json"},
      {"v1.2", "v1.2.status.json"},
      {"v1.3/", "v1.3.status.json"},
      {".hidden", ".hidden.status.json"},
      {".hidden.run", ".hidden.run.status.json"},
      {"wear.json", "wear.json.status.json"},
      {"wear.final.json", "wear.final.json.status.json"},
      {"case 12. final", "case 12. final.status.json"},
      {"ends.in.", "ends.in..status.json"},
      {"fold.h5x", "fold.h5x.status.json"},
      {"data.h5.old", "data.h5.old.status.json"},
  };
  for (const auto& [output, beside] : cases) EXPECT_EQ(beside_output(output, ".status.json"), beside) << output;
}

TEST(IdOf, IsTheNameWithoutFolderAndLastExtension) {
  EXPECT_EQ(id_of("a/b/00001.png"), "00001");
  EXPECT_EQ(id_of("shoe.left.tif"), "shoe.left");
}

}  // namespace
}  // namespace outsole
