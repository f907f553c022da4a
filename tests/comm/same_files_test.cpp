#include "comm/same_files.h"

#include <gmock/gmock.h>

#include <chrono>
#include <vector>

#include "../shared_folder.h"
#include "core/errors.h"

namespace outsole::comm {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

/// A folder that the last rank sees under the same name as others see theirs.
class SameFiles : public outsole::testing::SharedFolder {
 protected:
  void SetUp() override {
    SharedFolder::SetUp();
    prepare([&] {
      fs::create_directory(folder_ / "here");
      fs::create_directory(folder_ / "elsewhere");
    });
  }
  bool is_elsewhere() const { return comm_.size() > 1 && comm_.rank() + 1 == comm_.size(); }

  /// The names that this rank has for `count` files.
  std::vector<fs::path> files(int count) const {
    std::vector<fs::path> names;
    for (int i = 0; i < count; ++i) {
      names.push_back(folder_ / (is_elsewhere() ? "elsewhere" : "here") / std::to_string(i));
    }
    return names;
  }

  /// File `number` as rank 0 sees it and as the last rank does; nothing where there is none. Of the same time, unless
  /// `is_newer`.
  void put(int number, const char* here, const char* elsewhere, bool is_newer = false) const {
    const std::string name = std::to_string(number);
    const auto time = fs::file_time_type::clock::now() - std::chrono::hours(1);
    for (const auto& [folder, content] : {std::pair("here/", here), std::pair("elsewhere/", elsewhere)}) {
      if (content == nullptr) continue;
      write(folder + name, content);
      const bool is_copy = is_newer && content == elsewhere;
      fs::last_write_time(folder_ / (folder + name), is_copy ? time + std::chrono::minutes(1) : time);
    }
  }

  /// What every rank is told; empty: nothing is wrong.
  std::string complaint(int count, bool may_be_unseen = false) const {
    try {
      require_same_files(comm_, files(count), may_be_unseen);
    } catch (const EnvironmentError& error) {
      EXPECT_TRUE(error.known_to_all_ranks());
      return error.what();
    }
    return "";
  }
};

struct Seen {
  const char* here;
  const char* elsewhere;
  bool is_newer, may_be_unseen;
  const char* told;  // empty: nothing is wrong
};

TEST_F(SameFiles, AreToldApartBySizeTimeAndContent) {
  const std::vector<Seen> cases = {
      {"abc", "abc", false, false, ""},
      {"abc", "abc", true, false, ""},  // a copy
      {"abc", "abcd", false, false, "sees one of 3 bytes"},
      {"abc", "ab", true, false, "one of 2 bytes"},
      {"abc", "", false, false, "one of 0 bytes"},
      {"", "", true, false, ""},
      {"abc", "xyz", true, false, "sees another file than rank 0, of the same size"},
      {"abc", nullptr, false, false, "no such file"},
      {nullptr, "abc", false, false, "rank 0 sees no such file"},
      {nullptr, nullptr, false, false, ""},
      {"abc", nullptr, false, true, ""},
      {nullptr, "abc", false, true, "rank 0 sees no such file"},
      {"abc", "xyz", true, true, "sees another file than rank 0"},
  };
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const Seen& seen = cases[i];
    prepare([&] {
      for (const char* folder : {"here", "elsewhere"}) fs::remove(folder_ / folder / "0");
      put(0, seen.here, seen.elsewhere, seen.is_newer);
    });
    const std::string told = complaint(1, seen.may_be_unseen);
    if (comm_.size() == 1 || *seen.told == '\0') {
      EXPECT_EQ(told, "") << "case " << i;
    } else {
      EXPECT_THAT(told, HasSubstr(seen.told)) << "case " << i;
      EXPECT_THAT(told, HasSubstr("rank " + std::to_string(comm_.size() - 1) + " on ")) << "case " << i;
    }
    comm_.barrier();
  }
}

TEST_F(SameFiles, AreEachLookedAtOnceAMachineWhereTheyAreMany) {
  constexpr int kMany = 40;
  prepare([&] {
    for (int i = 0; i < kMany; ++i) put(i, "content", "content", /*is_newer=*/i % 3 == 0);
  });
  EXPECT_EQ(complaint(kMany), "");
  prepare([&] { put(kMany - 1, "content", "another", /*is_newer=*/true); });  // of the last rank's share
  const std::string told = complaint(kMany);
  if (comm_.size() > 1) {
    EXPECT_THAT(told, HasSubstr("39: rank"));
  }
}

}  // namespace
}  // namespace outsole::comm
