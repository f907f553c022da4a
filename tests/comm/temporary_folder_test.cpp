#include "comm/temporary_folder.h"

#include <gmock/gmock.h>
#include <stdlib.h>

#include <array>
#include <map>
#include <string>

#include "../temporary_folder.h"

namespace outsole::comm {
namespace {

namespace fs = std::filesystem;

/// With its own TMPDIR, TEMP and TMP.
class TemporaryFiles : public outsole::testing::TemporaryFolder {
 protected:
  void SetUp() override {
    TemporaryFolder::SetUp();
    for (const char* name : {"TMPDIR", "TEMP", "TMP"}) {
      if (const char* value = std::getenv(name)) before_[name] = value;
      unsetenv(name);
    }
    fs::create_directory(folder_ / "good");
    fs::create_directory(folder_ / "other");
    write("file", "no folder");
  }
  void TearDown() override {
    for (const char* name : {"TMPDIR", "TEMP", "TMP"}) unsetenv(name);
    for (const auto& [name, value] : before_) setenv(name.c_str(), value.c_str(), 1);
    TemporaryFolder::TearDown();
  }
  static std::string tmpdir() {
    const char* value = std::getenv("TMPDIR");
    return value == nullptr ? "" : value;
  }

  std::map<std::string, std::string> before_;
};

TEST_F(TemporaryFiles, StayWhereTheyCanBeKept) {
  const std::array<fs::path, 1> others{folder_ / "other"};
  for (const char* name : {"TMPDIR", "TEMP", "TMP"}) {
    setenv(name, (folder_ / "good").c_str(), 1);
    EXPECT_EQ(provide_temporary_folder(others), "");
    EXPECT_EQ(tmpdir(), name == std::string("TMPDIR") ? (folder_ / "good").string() : "");
    unsetenv(name);
  }
  EXPECT_TRUE(fs::is_empty(folder_ / "good"));
  EXPECT_TRUE(fs::is_empty(folder_ / "other"));
}

TEST_F(TemporaryFiles, GoElsewhereFromAFolderThatIsNoneOrTakesNone) {
  const std::array<fs::path, 3> others{folder_ / "gone", folder_ / "file", folder_ / "other"};
  for (const fs::path& bad : {folder_ / "gone", folder_ / "file", fs::path("/proc"), fs::path("/sys")}) {
    setenv("TMPDIR", bad.c_str(), 1);
    EXPECT_THAT(provide_temporary_folder(others), ::testing::HasSubstr(bad.string() + ": no files can be kept there"));
    EXPECT_EQ(tmpdir(), folder_ / "other");
  }
  EXPECT_TRUE(fs::is_empty(folder_ / "other"));
}

TEST_F(TemporaryFiles, StayWithoutAnyPlaceThatTakesThem) {
  setenv("TMPDIR", (folder_ / "gone").c_str(), 1);
  const std::array<fs::path, 1> others{folder_ / "file"};
  EXPECT_EQ(provide_temporary_folder(others), "");
  EXPECT_EQ(tmpdir(), folder_ / "gone");
}

}  // namespace
}  // namespace outsole::comm
