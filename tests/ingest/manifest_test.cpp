// Manifests as spreadsheets, Macs and people leave them: joined to the images they mean, or refused by name.

#include "ingest/manifest.h"

#include <gmock/gmock.h>

#include "core/errors.h"
#include "message_of.h"
#include "temporary_folder.h"

namespace outsole::ingest {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Manifest : public testing::TemporaryFolder {
 protected:
  void make(const std::vector<std::string>& names) const {
    for (const std::string& name : names) {
      fs::create_directories((folder_ / name).parent_path());
      write(name, "x");
    }
  }

  SourceOptions options(const std::string& table) const {
    write("m.csv", table);
    return {.inputs = {folder_ / "in"}, .manifest = folder_ / "m.csv", .columns = {"mirror"}};
  }

  SourceList join(const std::string& table) const { return list_image_sources(options(table)); }

  /// "id=mirror" of each image, "-" where the manifest does not speak of it.
  static std::vector<std::string> mirrors(const SourceList& list) {
    std::vector<std::string> all;
    for (const ImageSource& source : list.sources) {
      all.push_back(source.id + "=" + source.metadata.value("mirror", "-"));
    }
    return all;
  }

  std::string refusal(const SourceOptions& request) const {
    return testing::message_of<DataError>([&] { list_image_sources(request); });
  }
};

struct Table {
  std::string name, text;
};

/// All of them say that 00107 is mirrored and 00525 is not.
std::vector<Table> tables_that_are_understood() {
  return {
      {"Plain", "id,mirror\n00107,1\n00525,0\n"},
      {"LostZeros", "id,mirror\n107,1\n525,0\n"},
      {"SomeLostZeros", "id,mirror\n0107,1\n00525,0\n"},
      {"MoreZeros", "id,mirror\n000107,1\n525,0\n"},
      {"BlankBeforeAColumn", "id, mirror\n00107, 1\n00525, 0\n"},
      {"BlankBehindAColumn", "id ,mirror \n00107 ,1\n00525 ,0\n"},
      {"LargeLetters", "ID,MIRROR\n00107,1\n00525,0\n"},
      {"LargeFirstLetters", "Id,Mirror\n00107,1\n00525,0\n"},
      {"SemicolonsAndLostZeros", "id;mirror\r\n107;1\r\n525;0\r\n"},
      {"TabsAndLostZeros", "id\tmirror\r\n107\t1\r\n525\t0\r\n"},
      {"EmptyRows", "id,mirror\r\n107,1\r\n525,0\r\n,\r\n,\r\n"},
      {"EmptyColumns", "id,mirror,,\r\n107,1,,\r\n525,0,,\r\n"},
      {"Files", "file,mirror\nin/00107.png,1\nin/00525.png,0\n"},
      {"FilesOfTheInput", "file,mirror\n00107.png,1\n00525.png,0\n"},
      {"FilesWithBackslashes", "file,mirror\nin\\00107.png,1\nin\\00525.png,0\n"},
      {"FilesInAnotherCase", "File,Mirror\nIN/00107.PNG,1\nin/00525.PNG,0\n"},
      {"FilesRoundabout", "file,mirror\n./in/../in/00107.png,1\nin//00525.png,0\n"},
      {"FormulasThatKeepZeros", "id,mirror\n=\"00107\",1\n=\"00525\",0\n"},
  };
}

class Understood : public Manifest, public ::testing::WithParamInterface<Table> {};

TEST_P(Understood, IsAppliedToTheImagesItMeans) {
  make({"in/00107.png", "in/00525.png"});
  EXPECT_THAT(mirrors(join(GetParam().text)), ElementsAre("00107=1", "00525=0"));
}

INSTANTIATE_TEST_SUITE_P(Tables, Understood, ::testing::ValuesIn(tables_that_are_understood()),
                         [](const auto& info) { return info.param.name; });

/// A column that may mean `mirror`.
class NearMiss : public Manifest, public ::testing::WithParamInterface<const char*> {};

TEST_P(NearMiss, IsRefusedByNameOrKeptAsItIs) {
  make({"in/a.png"});
  SourceOptions request = options("id," + std::string(GetParam()) + "\na,1\n");
  EXPECT_THAT(refusal(request), HasSubstr("m.csv: column '" + std::string(GetParam()) + "' may mean 'mirror'"));
  request.lenient = true;
  const SourceList list = list_image_sources(request);
  EXPECT_EQ(list.sources.at(0).metadata, nlohmann::json({{GetParam(), "1"}}));
  ASSERT_EQ(list.assumptions.size(), 1u);
  EXPECT_THAT(list.assumptions[0], HasSubstr(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Columns, NearMiss,
                         ::testing::Values("mirrored", "Mirrored", "mirrors", "miror", "mirrror", "mirro", "mirrr",
                                           "mirorr", "is_mirror", "mirror?", "mirror (1=yes)", "mirror_lr",
                                           "is mirrored", "mir ror", "Mirror:", "mirror_"));

TEST_F(Manifest, OtherColumnsAreKept) {
  make({"in/a.png"});
  for (const char* column : {"brand", "size", "note", "minor", "error", "foot", "side", "mark", "date", "model_no"}) {
    EXPECT_EQ(join("id," + std::string(column) + "\na,1\n").sources.at(0).metadata, nlohmann::json({{column, "1"}}));
  }
  EXPECT_EQ(mirrors(join("id,mirror,mirrored\na,1,0\n")), std::vector<std::string>{"a=1"});
}

TEST_F(Manifest, TheKeyColumnIsMissedByName) {
  make({"in/a.png"});
  EXPECT_THAT(refusal(options("ids_of_images,mirror\na,1\n")), HasSubstr("neither a column 'file' nor a column 'id'"));
  EXPECT_THAT(refusal(options("files,mirror\na.png,1\n")), HasSubstr("'files' may mean 'file'"));
  EXPECT_THAT(refusal(options("id,mirror,Mirror \na,1,1\n")), HasSubstr("m.csv"));
}

/// A row that means no image, and what the refusal says of it.
struct LostRow {
  std::string key, hint;
};

TEST_F(Manifest, ARowWithoutAFileIsAnErrorUnlessLenient) {
  make({"in/00107.png", "in/d.bmp", "in/.e.png", "in/f.mask.png", "in/f.png"});
  const std::vector<LostRow> by_id = {{"gone", "not among the inputs"},
                                      {"108", "not among the inputs"},
                                      {"d", "is there, but not read (extension)"},
                                      {".e", "is there, but not read (hidden)"},
                                      {"f.mask", "is there, but not read (mask)"},
                                      {"02-Jan", "made a date of it"},
                                      {"Jan-02", "made a date of it"},
                                      {"2. Mar 2021", "made a date of it"},
                                      {"1.07E+02", "made a number of it"},
                                      {"1,2E+11", "made a number of it"},
                                      {"107.0", "made a number of it"}};
  for (const auto& [key, hint] : by_id) {
    SourceOptions request = options("id,mirror\n00107,0\n\"" + key + "\",1\n");
    const std::string message = refusal(request);
    EXPECT_THAT(message, HasSubstr("m.csv, row 2: '" + key + "'"));
    EXPECT_THAT(message, HasSubstr(hint));
    EXPECT_THAT(message, HasSubstr("`lenient`"));
    request.lenient = true;
    const SourceList list = list_image_sources(request);
    EXPECT_THAT(mirrors(list), ElementsAre("00107=0", "f=-"));
    EXPECT_EQ(list.rows_without_file.size(), 1u);
  }
  for (const char* key : {"gone.png", "in/gone.png", "C:\\scans\\a.png", "../00107.png"}) {
    EXPECT_THAT(refusal(options("file,mirror\n" + std::string(key) + ",1\n")), HasSubstr(key));
  }
  EXPECT_THAT(refusal(options("file,mirror\nd.bmp,1\nx,1\ny,1\n")), HasSubstr("those of 2 more rows"));
}

TEST_F(Manifest, NumbersThatAreAmbiguousAreRefusedUnlessEachIsNamed) {
  make({"in/1.png", "in/001.png", "in/2.png"});
  EXPECT_THAT(refusal(options("id,mirror\n1,1\n2,0\n")), HasSubstr("m.csv, row 1: image id '1' is ambiguous"));
  EXPECT_THAT(refusal(options("id,mirror\n01,1\n")), HasSubstr("ambiguous"));
  EXPECT_THAT(mirrors(join("id,mirror\n1,1\n001,0\n2,1\n")), ElementsAre("001=0", "1=1", "2=1"));
}

TEST_F(Manifest, TwoRowsOfOneImageAreRefusedHoweverTheyAreWritten) {
  make({"in/00107.png", "in/b.png"});
  EXPECT_THAT(refusal(options("id,mirror\n107,1\n00107,1\n")), HasSubstr("row 2: '00107' has a row already, row 1"));
  EXPECT_THAT(refusal(options("file,mirror\nin/b.png,1\nIN/B.png,1\n")), HasSubstr("has a row already"));
}

TEST_F(Manifest, WhatIsAssumedIsSaidOnceWithAnExample) {
  make({"in/00107.png", "in/00525.png"});
  const SourceList list = join("id,mirror\n107,1\n525,0\n");
  ASSERT_EQ(list.assumptions.size(), 1u);
  EXPECT_THAT(list.assumptions[0], HasSubstr("2 rows"));
  EXPECT_THAT(list.assumptions[0], HasSubstr("'107' is 00107"));
  EXPECT_THAT(join("id,mirror\n00107,1\n").assumptions, IsEmpty());
}

TEST_F(Manifest, NamesMeetInAnyUnicodeNormalForm) {
  make(
      {"in/Schro\xCC\x88"
       "der.png"});
  EXPECT_EQ(join("id,mirror\nSchr\xC3\xB6"
                 "der,1\n")
                .sources.at(0)
                .metadata.at("mirror"),
            "1");
  EXPECT_EQ(join("file,mirror\nin/Schr\xC3\xB6"
                 "der.png,1\n")
                .sources.at(0)
                .metadata.at("mirror"),
            "1");
}

TEST_F(Manifest, NamesMayHoldWhatTablesQuote) {
  make({"in/case #12.png", "in/say \"so\".png", "in/a,b.png", "in/c;d.png", "in/it's.png"});
  EXPECT_THAT(mirrors(join("id,mirror\ncase #12,1\n\"say \"\"so\"\"\",1\n\"a,b\",1\nc;d,1\nit's,1\n")),
              ElementsAre("a,b=1", "c;d=1", "case #12=1", "it's=1", "say \"so\"=1"));
}

TEST_F(Manifest, FilesOfFoldersBelowAreReadWhereRowsNameThem) {
  make({"in/a.png", "in/more/b.png", "in/more/c.png", "in/other/d.png"});
  const auto places = [&](const SourceList& list) {
    std::vector<std::string> all;
    for (const ImageSource& source : list.sources)
      all.push_back(source.file.lexically_relative(folder_ / "in").string());
    return all;
  };
  const SourceList named = join("file,mirror\nmore/b.png,1\n");
  EXPECT_THAT(places(named), ElementsAre("a.png", "more/b.png"));
  ASSERT_EQ(named.not_read.size(), 2u);
  EXPECT_EQ(named.not_read[0].path.filename(), "c.png");
  EXPECT_EQ(named.not_read[0].reason, NotReadBecause::kFolder);
  EXPECT_THAT(places(join("file,mirror\nin/more/b.png,1\nd.png,0\n")),
              ElementsAre("a.png", "more/b.png", "other/d.png"));
  EXPECT_THAT(places(join("file,mirror\na.png,1\n")), ElementsAre("a.png"));
  EXPECT_EQ(join("file,mirror\na.png,1\n").not_read.size(), 2u);
  SourceOptions all = options("id,mirror\nb,1\n");
  all.recursive = true;
  EXPECT_THAT(places(list_image_sources(all)), ElementsAre("a.png", "more/b.png", "more/c.png", "other/d.png"));
  fs::remove(folder_ / "in/a.png");
  EXPECT_THAT(places(join("file,mirror\nmore/b.png,1\n")), ElementsAre("more/b.png"));
}

TEST_F(Manifest, ATableThatLiesAmongTheImagesIsNoneThatWasLeftOut) {
  make({"in/a.png", "in/notes.txt"});
  write("in/m.csv", "id,mirror\na,1\n");
  const SourceList list = list_image_sources({.inputs = {folder_ / "in"}, .manifest = folder_ / "in/m.csv"});
  ASSERT_EQ(list.not_read.size(), 1u);
  EXPECT_EQ(list.not_read[0].path.filename(), "notes.txt");
}

TEST_F(Manifest, FiltersFindTheirColumnWhateverItsCase) {
  make({"in/a.png", "in/b.png"});
  SourceOptions request = options("id, Foot\na, L\nb, R\n");
  request.where = {{"foot", "R"}};
  EXPECT_EQ(list_image_sources(request).sources.at(0).id, "b");
}

TEST_F(Manifest, FiltersTakeSeveralValuesOfOneColumn) {
  make({"in/a.png", "in/b.png", "in/c.png", "in/d.png"});
  const auto ids = [&](const std::vector<ColumnFilter>& where) {
    SourceOptions request = options("id,foot,size\na,L,42\nb,R,42\nc,,43\nd,\"L,R\",43\n");
    request.where = where;
    std::string all;
    for (const ImageSource& source : list_image_sources(request).sources) all += source.id;
    return all;
  };
  EXPECT_EQ(ids({{"foot", "L,R"}}), "abd");
  EXPECT_EQ(ids({{"foot", "L"}, {"foot", "R"}}), "ab");
  EXPECT_EQ(ids({{"foot", "L,R"}, {"size", "42"}}), "ab");
  EXPECT_EQ(ids({{"foot", ""}}), "c");
}

TEST_F(Manifest, FilesAreFoundFromTheManifestBareAndAbsolute) {
  make({"scans/deep/a.png", "scans/deep/b.png", "scans/deep/c.png"});
  write("m.csv", "file\nscans/deep/a.png\nb.png\n" + (folder_ / "scans/deep/c.png").string() + "\n");
  const SourceList list = list_image_sources({.inputs = {folder_ / "scans"}, .manifest = folder_ / "m.csv"});
  EXPECT_EQ(list.sources.size(), 3u);
  EXPECT_TRUE(list.files_without_row.empty());
}

// --- Images without a manifest
// -----------------------------------------------------------------------------------------

using Images = Manifest;

TEST_F(Images, IdsThatDifferOnlyByCaseOrNormalFormAreRefused) {
  struct Pair {
    std::string a, b;
  };
  const std::vector<Pair> pairs = {{"a.png", "A.png"},
                                   {"a.png", "A.PNG"},
                                   {"m1.tif", "M1.jpg"},
                                   {"Schr\xC3\xB6"
                                    "der.png",
                                    "Schro\xCC\x88"
                                    "der.png"},
                                   {"\xC3\x84.png", "\xC3\xA4.png"},
                                   {"a.png", "a .png"},
                                   {"a.png", " a.png"},
                                   {"x/a.png", "A.png"}};
  for (const auto& [a, b] : pairs) {
    make({"in/" + a, "in/" + b});
    const std::string message =
        testing::message_of<DataError>([&] { list_image_sources({.inputs = {folder_ / "in"}, .recursive = true}); });
    EXPECT_THAT(message, HasSubstr("differ only by case, Unicode normal form or blanks"));
    EXPECT_THAT(message, HasSubstr(a));
    EXPECT_THAT(message, HasSubstr(b));
    fs::remove_all(folder_ / "in");
  }
}

TEST_F(Images, AFolderWithoutAnySaysWhatItHolds) {
  make({"in/a.bmp", "in/more/b.png"});
  const std::string message = testing::message_of<DataError>([&] { list_image_sources({.inputs = {folder_ / "in"}}); });
  EXPECT_THAT(message, HasSubstr("in: no image in this folder"));
  EXPECT_THAT(message, HasSubstr("1 (extension), 1 (folder)"));
  EXPECT_THAT(message, HasSubstr("`recursive`"));
  make({"other/c.png"});
  EXPECT_THAT(testing::message_of<DataError>([&] {
                list_image_sources({.inputs = {folder_ / "other", folder_ / "in"}});
              }),
              HasSubstr("in: no image in this folder"));
}

}  // namespace
}  // namespace outsole::ingest
