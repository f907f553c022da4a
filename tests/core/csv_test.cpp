#include "core/csv.h"

#include <gmock/gmock.h>

#include "core/errors.h"
#include "temporary_folder.h"

namespace outsole {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Csv : public testing::TemporaryFolder {
 protected:
  CsvTable parse(std::string_view text) const { return read_csv(write("table.csv", text)); }

  std::string refusal(std::string_view text) const {
    try {
      parse(text);
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), HasSubstr("table.csv"));
      return error.what();
    }
    return "no refusal";
  }
};

TEST_F(Csv, ReadsQuotedFieldsWithCommasQuotesAndNewlines) {
  const CsvTable table = parse("a,b\n\"x,y\",\"say \"\"so\"\"\"\n\"two\nlines\",plain\n");
  EXPECT_THAT(table.columns, ElementsAre("a", "b"));
  EXPECT_THAT(table.rows, ElementsAre(ElementsAre("x,y", "say \"so\""), ElementsAre("two\nlines", "plain")));
}

TEST_F(Csv, TakesCarriageReturnsByteOrderMarksAndAMissingLastNewline) {
  const CsvTable table = parse(
      "\xEF\xBB\xBF"
      "a,b\r\n1,2\r\n\r\n3,");
  EXPECT_THAT(table.columns, ElementsAre("a", "b"));
  EXPECT_THAT(table.rows, ElementsAre(ElementsAre("1", "2"), ElementsAre("3", "")));
}

TEST_F(Csv, NamesTheLineOfARaggedRow) {
  EXPECT_THAT(refusal("a,b\n1,2\n\"two\nlines\",2\n3\n"), HasSubstr("line 5"));
  EXPECT_THAT(refusal("a,b\n1,2,3\n"), HasSubstr("line 2"));
}

TEST_F(Csv, RefusesWhatIsNoTable) {
  EXPECT_THAT(refusal(""), HasSubstr("empty"));
  EXPECT_THAT(refusal("a,b\n\"open,2\n3,4\n"), HasSubstr("line 2"));
  EXPECT_THAT(refusal("a,a\n1,2\n"), HasSubstr("twice"));
  EXPECT_THAT(refusal(std::string_view("a,b\n1,\0\n", 8)), HasSubstr("NUL"));
  EXPECT_THAT(refusal("a,b\n1,2\r3\n"), HasSubstr("line 2: a carriage return"));
  EXPECT_THAT(refusal("a,b\n1,\"2\"3\n"), HasSubstr("line 2: text behind"));
  EXPECT_THAT(refusal("a,b\n1,\"2\" \"3\"\n"), HasSubstr("line 2: text behind"));
  EXPECT_THROW(read_csv(folder_ / "missing.csv"), DataError);
}

TEST_F(Csv, RefusesMoreColumnsThanATableHasBeforeTheyTakeMemory) {
  std::string header = "c0";
  for (int i = 1; i < 4096; ++i) header += ",c" + std::to_string(i);
  EXPECT_EQ(parse(header).columns.size(), 4096U);
  EXPECT_THAT(refusal(header + ",c4096"), HasSubstr("line 1: more than 4096 fields"));
  EXPECT_THAT(refusal("a\n" + std::string(1 << 20, ',')), HasSubstr("line 2: more than 4096 fields"));
}

TEST_F(Csv, NamesTheColumnsItHasWhenOneIsMissing) {
  const CsvTable table = parse("query,ref\n1,2\n");
  EXPECT_EQ(table.column("ref"), 1u);
  EXPECT_EQ(table.find_column("mark"), std::nullopt);
  EXPECT_THROW(
      try { table.column("mark"); } catch (const DataError& error) {
        EXPECT_THAT(error.what(), HasSubstr("query, ref"));
        throw;
      },
      DataError);
}

TEST_F(Csv, FieldsSurviveWritingAndReading) {
  for (const std::string field :
       {"semi;colon", "tab\tulated", "plain", "with,comma", "with \"quotes\"", "two\nlines", ""}) {
    const CsvTable table = parse("a,b\n" + csv_field(field) + ",x\n");
    EXPECT_EQ(table.rows.at(0).at(0), field);
  }
}

// --- Tables from spreadsheets
// -----------------------------------------------------------------------------------------

std::string utf16(std::u16string_view text, bool is_big_endian) {
  std::string bytes;
  for (const char16_t unit : text) {
    const char high = static_cast<char>(unit >> 8), low = static_cast<char>(unit & 0xFF);
    bytes += is_big_endian ? high : low;
    bytes += is_big_endian ? low : high;
  }
  return bytes;
}

/// A way to save the table id, mirror, note with the rows 00107, 1, a;b and 00525, 0, Gr\u00FC\u00DFe.
struct SavedTable {
  std::string name;
  std::string bytes;
};

std::vector<SavedTable> saved_tables() {
  const std::string umlauts =
                        "Gr\xC3\xBC\xC3\x9F"
                        "e",
                    nbsp = "\xC2\xA0", bom = "\xEF\xBB\xBF";
  const std::string plain = "id,mirror,note\n00107,1,a;b\n00525,0," + umlauts + "\n";
  const auto replaced = [&](const std::string& from, const std::string& to) {
    std::string text = plain;
    for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
      text.replace(at, from.size(), to);
    }
    return text;
  };
  const std::string by_semicolon = "id;mirror;note\r\n00107;1;\"a;b\"\r\n00525;0;" + umlauts + "\r\n";
  const std::string by_tab = "id\tmirror\tnote\r\n00107\t1\ta;b\r\n00525\t0\t" + umlauts + "\r\n";
  const std::u16string wide = u"id,mirror,note\r\n00107,1,a;b\r\n00525,0,Gr\u00FC\u00DFe\r\n";
  const std::u16string wide_by_tab = u"id\tmirror\tnote\r\n00107\t1\ta;b\r\n00525\t0\tGr\u00FC\u00DFe\r\n";
  return {
      {"Plain", plain},
      {"LineEndsOfWindows", replaced("\n", "\r\n")},
      {"LineEndsOfAnOldMac", replaced("\n", "\r")},
      {"NoLastLineEnd", plain.substr(0, plain.size() - 1)},
      {"ByteOrderMark", bom + plain},
      {"ByteOrderMarkAndWindows", bom + replaced("\n", "\r\n")},
      {"Semicolons", by_semicolon},
      {"SemicolonsAndMark", bom + by_semicolon},
      {"Tabs", by_tab},
      {"SeparatorLineOfSemicolons", "sep=;\r\n" + by_semicolon},
      {"SeparatorLineOfCommas", "sep=,\n" + plain},
      {"SeparatorLineOfTabs", "sep=\t\r\n" + by_tab},
      {"WideLittleEndian", "\xFF\xFE" + utf16(wide, false)},
      {"WideBigEndian", "\xFE\xFF" + utf16(wide, true)},
      {"WideByTabs", "\xFF\xFE" + utf16(wide_by_tab, false)},
      {"WideLittleEndianWithoutMark", utf16(wide, false)},
      {"WideBigEndianWithoutMark", utf16(wide, true)},
      {"EmptyColumnAtTheEnd", "id,mirror,note,\n00107,1,a;b,\n00525,0," + umlauts + ",\n"},
      {"ManyEmptyColumnsAtTheEnd", "id,mirror,note,,,\n00107,1,a;b,,,\n00525,0," + umlauts + ",,,\n"},
      {"EmptyColumnsInTheHeaderOnly", "id,mirror,note,,\n00107,1,a;b\n00525,0," + umlauts + "\n"},
      {"EmptyColumnsInTheRowsOnly", "id,mirror,note\n00107,1,a;b,,\n00525,0," + umlauts + ",\n"},
      {"EmptyRowsAtTheEnd", plain + ",,\n,,\n"},
      {"EmptyRowsOfMoreColumns", plain + ",,,,,\n,,,,,\n"},
      {"BlankRowsAtTheEnd", plain + "  , ,\n \n"},
      {"EmptyRowsBeforeAndBetween", ",,\n\n" + replaced("\n00525", "\n,,\n\n00525")},
      {"BlanksAroundNames", replaced("id,mirror,note", " id , mirror ,\tnote ")},
      {"BlanksAroundValues", replaced("00107,1,a;b", " 00107 ,1 , a;b ")},
      {"NoBreakSpaces", replaced("id,mirror", nbsp + "id" + nbsp + ",mirror" + nbsp)},
      {"ZeroWidthSpaces", replaced("00107",
                                   "\xE2\x80\x8B"
                                   "00107")},
      {"BlanksInsideQuotes", replaced("mirror", "\" mirror \"")},
      {"BlanksAroundQuotes", replaced("00107,1", "00107 , \"1\" ")},
      {"AllQuoted", "\"id\",\"mirror\",\"note\"\n\"00107\",\"1\",\"a;b\"\n\"00525\",\"0\",\"" + umlauts + "\"\n"},
      {"FormulaThatKeepsZeros", replaced("00107", "=\"00107\"")},
      {"QuotedFormulaThatKeepsZeros", replaced("00107", "\"=\"\"00107\"\"\"")},
  };
}

class SavedAs : public Csv, public ::testing::WithParamInterface<SavedTable> {};

TEST_P(SavedAs, IsTheSameTable) {
  const CsvTable table = parse(GetParam().bytes);
  EXPECT_THAT(table.columns, ElementsAre("id", "mirror", "note"));
  EXPECT_THAT(table.rows, ElementsAre(ElementsAre("00107", "1", "a;b"), ElementsAre("00525", "0",
                                                                                    "Gr\xC3\xBC\xC3\x9F"
                                                                                    "e")));
}

INSTANTIATE_TEST_SUITE_P(Spreadsheets, SavedAs, ::testing::ValuesIn(saved_tables()),
                         [](const auto& info) { return info.param.name; });

TEST_F(Csv, RefusesEncodingsAndColumnsThatItCannotTell) {
  using namespace std::literals;
  EXPECT_THAT(refusal("\xFF\xFE\0\0i\0\0\0"sv), HasSubstr("UTF-32"));
  EXPECT_THAT(refusal("\xFF\xFEi"sv), HasSubstr("broken UTF-16"));
  EXPECT_THAT(refusal("\xFF\xFEi\0\0\xD8,\0"sv), HasSubstr("broken UTF-16"));
  EXPECT_THAT(refusal("id,brand\n1,Gr\xFC\xDF"
                      "e\n"),
              HasSubstr("line 2: not UTF-8"));
  EXPECT_THAT(refusal("id,mirror,\n1,0,7\n"), HasSubstr("line 2: 3 fields where the header has 2"));
  EXPECT_THAT(refusal("id;mirror\n1;0;7\n"), HasSubstr("line 2: 3 fields where the header has 2, cut at semicolons"));
  EXPECT_THAT(refusal("id, id\n1,2\n"), HasSubstr("column 'id' appears twice"));
  EXPECT_THAT(refusal(",,\n,,\n"), HasSubstr("empty"));
  EXPECT_THAT(refusal("sep=;\nid;mirror\n1\n"), HasSubstr("line 3"));
}

TEST_F(Csv, FindsColumnsWhateverTheCaseUnlessTwoAreMeant) {
  const CsvTable table = parse("Mark,EXEMPLAR,note,Note\n1,2,3,4\n");
  EXPECT_EQ(table.column("mark"), 0u);
  EXPECT_EQ(table.column("exemplar"), 1u);
  EXPECT_EQ(table.column("note"), 2u);
  EXPECT_EQ(table.column("Note"), 3u);
  EXPECT_THROW(table.find_column("NOTE"), DataError);
}

}  // namespace
}  // namespace outsole
