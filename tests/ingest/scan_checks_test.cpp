// Rows of a manifest of scans against one another.

#include "ingest/scan_checks.h"

#include <gmock/gmock.h>

#include "core/errors.h"
#include "ingest/dates.h"
#include "message_of.h"

namespace outsole::ingest {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Row {
  std::string shoe, pair, foot;
  double week = 0;
  std::string date = "";
};

struct ManifestRows {
  std::vector<ImageSource> sources;
  std::vector<ScanSubject> subjects;
};

ManifestRows manifest_rows(const std::vector<Row>& rows, const std::string& date_column = "date") {
  ManifestRows scans;
  for (const Row& row : rows) {
    ImageSource source;
    source.id = std::to_string(scans.sources.size());
    source.manifest_row = "m.csv, row " + std::to_string(scans.sources.size() + 1);
    source.metadata[date_column] = row.date;
    scans.sources.push_back(source);
    scans.subjects.push_back({row.shoe, row.pair, row.foot, row.week});
  }
  return scans;
}

std::vector<std::string> assumptions(const std::vector<Row>& rows, const std::string& date_column = "date") {
  const ManifestRows scans = manifest_rows(rows, date_column);
  return check_scans(scans.sources, scans.subjects);
}

std::string refusal(const std::vector<Row>& rows) {
  return testing::message_of<DataError>([&] { assumptions(rows); });
}

/// Rows that contradict each other: which, and how.
struct Contradicted {
  std::vector<Row> rows;
  std::string places, cause;
};

TEST(ScanChecks, RefuseRowsThatContradictEachOtherNamingBoth) {
  const std::vector<Contradicted> all = {
      {{{"A", "1", "L", 0}, {"A", "1", "R", 0}}, "row 1, and row 2", "both feet, L and R"},
      {{{"A", "1", "R", 0}, {"B", "1", "L", 0}, {"A", "1", "L", 4}}, "row 1, and row 3", "both feet, R and L"},
      {{{"left", "1", "L", 0}, {"left", "2", "L", 0}}, "row 1, and row 2", "two pairs, '1' and '2'"},
      {{{"x", "1", "L", 0}, {"left", "1", "L", 0}, {"left", "01", "L", 8}}, "row 2, and row 3", "two pairs"},
      {{{"A", "1", "L", 0}, {"a", "1", "L", 4}}, "row 1, and row 2", "shoes 'A' and 'a' differ only by case"},
      {{{"\xC3\xB6", "1", "L", 0}, {"o\xCC\x88", "1", "L", 4}}, "row 1, and row 2", "shoes"},
      {{{"A", "p", "L", 0}, {"B", "P", "R", 0}}, "row 1, and row 2", "pairs 'p' and 'P' differ only by case"},
      {{{"A", "1", "L", 0, "2021-03-01"}, {"A", "1", "L", 4, "2021-02-01"}},
       "row 1, and row 2",
       "week 0 is of 2021-03-01"},
      {{{"A", "1", "L", 4, "2021-02-01"}, {"A", "1", "L", 0, "2021-03-01"}},
       "row 2, and row 1",
       "week 4 of 2021-02-01"},
      {{{"A", "1", "L", 0, "2021-03-01"}, {"A", "1", "L", 4, "2021-03-01"}}, "row 1, and row 2", "weeks go forward"},
      {{{"A", "1", "L", 0, "1.3.2021"}, {"A", "1", "L", 4, "1.2.2021"}}, "row 1, and row 2", "weeks go forward"},
      {{{"A", "1", "L", 0, "13/3/2021"}, {"A", "1", "L", 4, "12/3/2021"}}, "row 1, and row 2", "weeks go forward"},
      {{{"A", "1", "L", 0, "44256"}, {"A", "1", "L", 4, "44228"}}, "row 1, and row 2", "weeks go forward"},
      {{{"A", "1", "L", 0, "44256"}, {"A", "1", "L", 4, "2021-02-01"}}, "row 1, and row 2", "weeks go forward"},
      {{{"A", "1", "L", 0, "3 Mar 2021"}, {"A", "1", "L", 4, "Feb 3, 2021"}}, "row 1, and row 2", "weeks go forward"},
      {{{"A", "1", "L", 0, "2021-01-01"}, {"A", "1", "L", 2, ""}, {"A", "1", "L", 4, "2020-02-01"}},
       "row 1, and row 3",
       "weeks go forward"},
      {{{"B", "1", "R", 0, "2021-01-01"}, {"A", "1", "L", 2.5, "2021-01-09"}, {"A", "1", "L", 2.75, "2021-01-08"}},
       "row 2, and row 3",
       "week 2.5"},
  };
  for (const auto& [rows, places, cause] : all) {
    const std::string message = refusal(rows);
    EXPECT_THAT(message, HasSubstr("m.csv, " + places));
    EXPECT_THAT(message, HasSubstr(cause));
  }
}

TEST(ScanChecks, TakeRowsThatAgree) {
  const std::vector<std::vector<Row>> all = {
      {{"A", "1", "L", 0}, {"A", "1", "L", 4}, {"B", "1", "R", 0}, {"B", "1", "R", 4}},
      {{"A", "1", "L", 0}, {"A", "1", "L", 0}},  // replicates
      {{"A", "1", "L", 0, "2021-01-01"}, {"A", "1", "L", 0, "2021-01-03"}, {"A", "1", "L", 1, "2021-01-08"}},
      {{"A", "1", "L", 4, "2021-02-01"}, {"A", "1", "L", 0, "2021-01-01"}},      // in any order
      {{"A", "1", "L", 0, "2021-01-01"}, {"B", "2", "L", 4, "2020-01-01"}},      // of two shoes
      {{"A", "1", "L", 0.1, "2021-01-01"}, {"A", "1", "L", 0.2, "2021-01-01"}},  // of one day
      {{"A", "1", "L", 0, ""}, {"A", "1", "L", 4, ""}},
      {{"A", "1", "L", 0, "2021-01-01T10:00"}, {"A", "1", "L", 4, "2021-02-01 09:30:00"}},
  };
  for (const auto& rows : all) EXPECT_THAT(assumptions(rows), IsEmpty());
}

TEST(ScanChecks, SayWhatTheyAssumedOfDates) {
  const auto said = [](const std::vector<Row>& rows, const std::string& column = "date") {
    const auto sentences = assumptions(rows, column);
    return sentences.empty() ? std::string() : sentences.front();
  };
  EXPECT_THAT(said({{"A", "1", "L", 0, "44197"}, {"A", "1", "L", 4, "2021-02-01"}}),
              HasSubstr("column 'date': 1 dates are numbers of days"));
  EXPECT_THAT(said({{"A", "1", "L", 0, "3/4/2021"}, {"A", "1", "L", 4, "1/5/2021"}}), HasSubstr("day first"));
  EXPECT_THAT(said({{"A", "1", "L", 0, "3/4/2021"}, {"A", "1", "L", 4, "4/1/2021"}}), HasSubstr("month first"));
  EXPECT_THAT(said({{"A", "1", "L", 0, "soon"}, {"A", "1", "L", 4, "later"}}), HasSubstr("not all are dates"));
  EXPECT_THAT(said({{"A", "1", "L", 0, "44256"}, {"A", "1", "L", 4, "44280"}}, "Scan_Date"), HasSubstr("'Scan_Date'"));
  EXPECT_THAT(said({{"A", "1", "L", 0, "soon"}}, "updated"), IsEmpty());
  EXPECT_THAT(said({{"A", "1", "L", 0, "soon"}}, "candidate"), IsEmpty());
}

TEST(Dates, AreReadInEveryForm) {
  // 3 April 2021 is day 18720 since 1970.
  for (const char* text : {"2021-04-03", "2021/04/03", "2021.04.03", "2021-4-3", "20210403", "3.4.2021", "03.04.2021",
                           "03.04.21", "3 Apr 2021", "3-Apr-21", "3. April 2021", "Apr 3, 2021", "April 3 2021",
                           "2021-04-03T12:30:00Z", "2021-04-03 12:30", "3/4/2021", "44289"}) {
    const std::vector<std::string> fields = {text};
    const auto readings = read_dates(fields);
    ASSERT_FALSE(readings.empty()) << text;
    EXPECT_EQ(readings.front().days.front(), 18720) << text;
  }
  for (const char* text : {"2021-02-30", "2021-13-01", "32.1.2021", "13/13/2021", "soon", "12", "1e9", "2021", "3.4",
                           "2021-04-03-05", "Foo 3, 2021", "99999"}) {
    const std::vector<std::string> fields = {text};
    EXPECT_TRUE(read_dates(fields).empty()) << text;
  }
}

TEST(Dates, WithSlashesAreReadInTheWayThatFitsAll) {
  const std::vector<std::string> day_first = {"3/4/2021", "13/4/2021"}, month_first = {"3/4/2021", "4/13/2021"},
                                 either = {"3/4/2021", "4/4/2021"}, neither = {"13/4/2021", "4/13/2021"};
  ASSERT_EQ(read_dates(day_first).size(), 1u);
  EXPECT_TRUE(read_dates(day_first).front().is_day_first);
  ASSERT_EQ(read_dates(month_first).size(), 1u);
  EXPECT_FALSE(read_dates(month_first).front().is_day_first);
  EXPECT_EQ(read_dates(either).size(), 2u);
  EXPECT_TRUE(read_dates(neither).empty());
}

}  // namespace
}  // namespace outsole::ingest
