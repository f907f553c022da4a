// Every folder accounts for what lies in it.

#include "core/input_files.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <chrono>
#include <functional>

#include "core/errors.h"
#include "message_of.h"
#include "temporary_folder.h"

namespace outsole {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

const std::vector<std::string> kExtensions = {".png", ".jpg", ".jpeg", ".tif", ".tiff"};

class InputFilesOf : public testing::TemporaryFolder {
 protected:
  void make(const std::vector<std::string>& names) const {
    for (const std::string& name : names) {
      fs::create_directories((folder_ / name).parent_path());
      if (!name.ends_with('/')) write(name, "x");
    }
  }

  InputFiles find(const std::vector<std::string>& inputs, bool recursive = false) const {
    std::vector<fs::path> paths;
    for (const std::string& input : inputs) paths.push_back(folder_ / input);
    return find_inputs(paths, kExtensions, recursive);
  }

  /// Names below the folder.
  std::vector<std::string> files(const InputFiles& found) const {
    std::vector<std::string> names;
    for (const fs::path& file : found.files) names.push_back(file.lexically_relative(folder_).string());
    return names;
  }
  /// "name: reason", likewise.
  std::vector<std::string> others(const InputFiles& found) const {
    std::vector<std::string> names;
    for (const auto& [path, reason] : found.not_read) {
      names.push_back(path.lexically_relative(folder_).string() + ": " + text_of(reason).name);
    }
    return names;
  }
};

/// A file beside a.png, and why it is not read.
struct Neighbour {
  std::string name, reason;
};

TEST_F(InputFilesOf, AFolderNameEveryNeighbourAndWhyItIsNotRead) {
  const std::vector<Neighbour> neighbours = {
      {"c.jfif", "extension"},
      {"d.bmp", "extension"},
      {"e.HEIC", "extension"},
      {"f.webp", "extension"},
      {"g", "extension"},
      {"h.png.part", "extension"},
      {"i.PDF", "extension"},
      {"labels.csv", "extension"},
      {"report.mask.txt", "extension"},
      {".hidden.png", "hidden"},
      {".gitignore", "hidden"},
      {".mask.png", "hidden"},
      {"._a.png", "system"},
      {"._.DS_Store", "system"},
      {".DS_Store", "system"},
      {"Thumbs.db", "system"},
      {"thumbs.db", "system"},
      {"ehthumbs_vista.db", "system"},
      {"Desktop.ini", "system"},
      {"Icon\r", "system"},
      {"__MACOSX/._a.png", "system"},
      {"@eaDir/a.png", "system"},
      {"$RECYCLE.BIN/a.png", "system"},
      {".Trashes/a.png", "system"},
      {"a.mask.png", "mask"},
      {"a.mask.PNG", "mask"},
      {"a.MASK.png", "mask"},
      {"A.mask.Tif", "mask"},
      {"a.mask.tiff", "mask"},
      {"a.mask.jpeg", "mask"},
      {"more/b.png", "folder"},
      {"b.png/", "folder"},
      {"more/deeper/b.png", "folder"},
  };
  for (const auto& [name, reason] : neighbours) {
    SCOPED_TRACE(name);
    make({"in/a.png", "in/" + name});
    const InputFiles found = find({"in"});
    EXPECT_THAT(files(found), ElementsAre("in/a.png"));
    const std::string top = name.substr(0, name.find('/'));
    EXPECT_THAT(others(found), ElementsAre("in/" + top + ": " + reason));
    fs::remove_all(folder_ / "in");
  }
}

TEST_F(InputFilesOf, FoldersTakeNamesAsTheyAre) {
  const std::vector<std::string> names = {"a #12.png",
                                          "b \"quoted\".png",
                                          "c 'd'.png",
                                          "e%f.png",
                                          "g;h.png",
                                          "i=j.PNG",
                                          "k\nl.png",
                                          "m\\n.tif",
                                          "o.mask.v2.png",
                                          "p.tar.jpg",
                                          "q.Png",
                                          "Schro\xCC\x88"
                                          "der.png",
                                          "\xE2\x82\xAC.jpeg",
                                          "-r.png",
                                          "s .png"};
  for (const std::string& name : names) {
    SCOPED_TRACE(name);
    make({"in/" + name});
    EXPECT_THAT(files(find({"in"})), ElementsAre("in/" + name));
    EXPECT_THAT(find({"in"}).not_read, IsEmpty());
    fs::remove_all(folder_ / "in");
  }
}

TEST_F(InputFilesOf, FoldersBelowAreReadWhenAskedFor) {
  make({"in/a.png", "in/b/c.png", "in/b/d/e.TIF", "in/b/d/notes.txt", "in/f/"});
  EXPECT_THAT(files(find({"in"}, true)), ElementsAre("in/a.png", "in/b/c.png", "in/b/d/e.TIF"));
  EXPECT_THAT(others(find({"in"}, true)), ElementsAre("in/b/d/notes.txt: extension"));
  EXPECT_THAT(others(find({"in"})), ElementsAre("in/b: folder", "in/f: folder"));
}

TEST_F(InputFilesOf, LinksCountAsWhatTheyLeadToButNoFolderIsReadTwice) {
  make({"in/a.png", "in/b/c.png", "elsewhere/d.png"});
  fs::create_symlink(folder_ / "elsewhere/d.png", folder_ / "in/link.png");
  fs::create_symlink(folder_ / "gone.png", folder_ / "in/lost.png");
  fs::create_directory_symlink(folder_ / "elsewhere", folder_ / "in/e");
  fs::create_directory_symlink(folder_ / "in", folder_ / "in/b/loop");
  fs::create_directory_symlink(folder_ / "in/b", folder_ / "in/z");
  EXPECT_THAT(files(find({"in"})), ElementsAre("in/a.png", "in/link.png", "in/lost.png"));
  EXPECT_THAT(others(find({"in"})), ElementsAre("in/b: folder", "in/e: folder", "in/z: folder"));
  EXPECT_THAT(files(find({"in"}, true)),
              ElementsAre("in/a.png", "in/link.png", "in/lost.png", "in/b/c.png", "in/e/d.png"));
  EXPECT_THAT(others(find({"in"}, true)), UnorderedElementsAre("in/b/loop: link", "in/z: link"));
}

TEST_F(InputFilesOf, WhatIsNeitherFileNorFolderIsNotOpened) {
  make({"in/a.png"});
  ASSERT_EQ(::mkfifo((folder_ / "in/b.png").c_str(), 0600), 0);
  EXPECT_THAT(others(find({"in"})), ElementsAre("in/b.png: special"));
}

TEST_F(InputFilesOf, AFileNamedTwiceIsReadOnce) {
  make({"in/a.png", "in/b/c.png"});
  EXPECT_THAT(files(find({"in", "in/a.png", "in/../in/a.png"})), ElementsAre("in/a.png"));
  EXPECT_THAT(others(find({"in/a.png", "in/a.png"})), ElementsAre("in/a.png: duplicate"));
  EXPECT_THAT(files(find({"in/b", "in"}, true)), ElementsAre("in/b/c.png", "in/a.png"));
  fs::create_directory_symlink(folder_ / "in", folder_ / "other");
  EXPECT_THAT(others(find({"in", "other"})), ElementsAre("in/b: folder", "other/a.png: duplicate", "other/b: folder"));
}

TEST_F(InputFilesOf, WordsOfAShellBringTheirMasks) {
  make({"m.png", "m.mask.tif", "n.jpg", "._m.png"});
  const InputFiles found = find({"m.mask.tif", "m.png", "n.jpg", "._m.png"});
  EXPECT_THAT(files(found), ElementsAre("m.png", "n.jpg"));
  EXPECT_THAT(others(found), ElementsAre("m.mask.tif: mask", "._m.png: system"));
}

TEST_F(InputFilesOf, AMaskMayEndInAnUnderscoreOrNameTheMarkWithItsExtension) {
  make(
      {"in/m.jpg", "in/m_mask.png", "in/n.jpg", "in/N.JPG.mask.png", "in/o_mask.png", "in/p.jpg", "in/p.jpg_Mask.tif"});
  const InputFiles found = find({"in"});
  EXPECT_THAT(files(found), ElementsAre("in/m.jpg", "in/n.jpg", "in/o_mask.png", "in/p.jpg"));
  EXPECT_THAT(others(found),
              UnorderedElementsAre("in/m_mask.png: mask", "in/N.JPG.mask.png: mask", "in/p.jpg_Mask.tif: mask"));
  EXPECT_EQ(find_mask(folder_ / "in/m.jpg", kExtensions).filename(), "m_mask.png");
  EXPECT_EQ(find_mask(folder_ / "in/n.jpg", kExtensions).filename(), "N.JPG.mask.png");
  EXPECT_EQ(find_mask(folder_ / "in/p.jpg", kExtensions).filename(), "p.jpg_Mask.tif");
  EXPECT_TRUE(find_mask(folder_ / "in/o_mask.png", kExtensions).empty());  // a mark called so
}

TEST_F(InputFilesOf, MasksThatWouldBePassedOverAreRefused) {
  struct Refused {
    std::vector<std::string> names;
    std::string culprit, cause;
  };
  const std::vector<Refused> refused = {
      {{"m.png", "n.mask.png"}, "n.mask.png", "without its mark"},
      {{"m.png", "n.mask.TIF"}, "n.mask.TIF", "without its mark"},
      {{"m.png", "mm.mask.png"}, "mm.mask.png", "without its mark"},
      {{"m.png", "m.1.mask.png"}, "m.1.mask.png", "without its mark"},
      {{"n.mask.png"}, "n.mask.png", "without its mark"},
      {{"m.bmp", "m.mask.png"}, "m.mask.png", "without its mark"},
      {{"m.png", "m.mask.bmp"}, "m.mask.bmp", "not read"},
      {{"m.png", "m.mask.HEIC"}, "m.mask.HEIC", "not read"},
      {{"m.png", "m.mask.gif"}, "m.mask.gif", "not read"},
      {{"m.png", "m_mask.bmp"}, "m_mask.bmp", "not read"},
      {{"m.png", "m.mask.png", "m_mask.png"}, "m_mask.png", "second mask"},
      {{"m.png", "m.mask.png", "m.mask.tif"}, "m.mask.tif", "second mask"},
      {{"m.png", "m.mask.png", "M.mask.png"}, "m.mask.png", "second mask"},
      {{"m.png", "m.mask.PNG", "m.mask.png"}, "m.mask.png", "second mask"},
  };
  for (const auto& [names, culprit, cause] : refused) {
    SCOPED_TRACE(culprit);
    for (const std::string& name : names) make({"in/" + name});
    const std::string message = testing::message_of<DataError>([&] { find({"in"}); });
    EXPECT_THAT(message, HasSubstr(culprit));
    EXPECT_THAT(message, HasSubstr(cause));
    fs::remove_all(folder_ / "in");
  }
}

TEST_F(InputFilesOf, MarksFindTheirMasksWhateverTheirExtensionAndCase) {
  for (const char* mask : {"m.mask.png", "m.mask.PNG", "m.mask.tif", "M.mask.jpg", "m.Mask.Tiff", "M.MASK.JPEG"}) {
    make({"in/m.png", std::string("in/") + mask, "in/n.png"});
    EXPECT_EQ(find_mask(folder_ / "in/m.png", kExtensions).filename(), mask);
    EXPECT_TRUE(find_mask(folder_ / "in/n.png", kExtensions).empty());
    fs::remove_all(folder_ / "in");
  }
  make(
      {"Schr\xC3\xB6"
       "der.png",
       "Schro\xCC\x88"
       "der.mask.png"});
  EXPECT_FALSE(find_mask(folder_ / "Schr\xC3\xB6"
                                   "der.png",
                         kExtensions)
                   .empty());
  make(
      {"Schr\xC3\xB6"
       "der.mask.png"});
  EXPECT_THROW(find_mask(folder_ / "Schr\xC3\xB6"
                                   "der.png",
                         kExtensions),
               DataError);
}

TEST_F(InputFilesOf, AMaskThatComesLaterToAFolderThatWasQuietIsFound) {
  make({"m.png"});
  fs::last_write_time(folder_, fs::file_time_type::clock::now() - std::chrono::hours(1));
  EXPECT_TRUE(find_mask(folder_ / "m.png", kExtensions).empty());
  make({"m.mask.png"});
  EXPECT_FALSE(find_mask(folder_ / "m.png", kExtensions).empty());
}

TEST_F(InputFilesOf, TheAccountHoldsAll) {
  make({"in/a.png", "in/b.bmp", "in/c/"});
  const InputFiles found = find({"in"});
  EXPECT_EQ(account_of(found.files.size(), found.not_read),
            nlohmann::json({{"read", 1},
                            {"not_read",
                             {{{"path", (folder_ / "in/b.bmp").string()}, {"reason", "extension"}},
                              {{"path", (folder_ / "in/c").string()}, {"reason", "folder"}}}}}));
}

}  // namespace
}  // namespace outsole
