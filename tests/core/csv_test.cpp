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
  for (const std::string field : {"plain", "with,comma", "with \"quotes\"", "two\nlines", ""}) {
    const CsvTable table = parse("a,b\n" + csv_field(field) + ",x\n");
    EXPECT_EQ(table.rows.at(0).at(0), field);
  }
}

}  // namespace
}  // namespace outsole
