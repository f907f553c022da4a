#include "retrieval/labels.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "core/errors.h"

namespace outsole::retrieval {
namespace {

class LabelsFile {
 public:
  explicit LabelsFile(const std::string& content)
      : path_(std::filesystem::temp_directory_path() /
              ("outsole_labels_" + std::to_string(::getpid()) + "_" + std::to_string(++count_) + ".csv")) {
    std::ofstream(path_) << content;
  }
  ~LabelsFile() { std::filesystem::remove(path_); }
  const std::filesystem::path& path() const { return path_; }

 private:
  static inline int count_ = 0;
  std::filesystem::path path_;
};

/// The message of the DataError that `action` throws; empty when it throws none.
template <typename Action>
std::string data_error_of(Action action) {
  try {
    action();
  } catch (const DataError& error) {
    return error.what();
  }
  return "";
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(IdLookup, MatchesAllDigitIdsNumerically) {
  const IdLookup lookup({"00001", "0", "7", "a01"}, "exemplar");
  EXPECT_EQ(lookup.find("1"), 0);
  EXPECT_EQ(lookup.find("00001"), 0);
  EXPECT_EQ(lookup.find("000"), 1);
  EXPECT_EQ(lookup.find("007"), 2);
  EXPECT_EQ(lookup.find("a01"), 3);
  EXPECT_EQ(lookup.find("a1"), std::nullopt);
  EXPECT_EQ(lookup.find(""), std::nullopt);
  EXPECT_EQ(lookup.find("2"), std::nullopt);
}

TEST(IdLookup, MatchesNumbersOfAnyLength) {
  const std::string number(100, '9');
  EXPECT_EQ(IdLookup({number}, "mark").find("0" + number), 0);
}

TEST(IdLookup, RefusesAnAmbiguousNumber) {
  const IdLookup lookup({"1", "001", "2"}, "exemplar");
  EXPECT_EQ(lookup.find("2"), 2);
  EXPECT_TRUE(has(data_error_of([&] { lookup.find("01"); }), "exemplar id '01' is ambiguous"));
}

TEST(Labels, ComeAsMarkExemplarOrQueryRef) {
  for (const char* header : {"mark,exemplar", "query,ref"}) {
    const LabelsFile file(std::string(header) + "\n1,1044\n2,14\n");
    const Labels labels = read_labels(file.path());
    ASSERT_EQ(labels.rows.size(), 2u);
    EXPECT_EQ(labels.rows[1].mark, "2");
    EXPECT_EQ(labels.rows[1].exemplar, "14");
  }
}

TEST(Labels, WithoutANeededColumnAreRefused) {
  const LabelsFile file("mark,reference\n1,2\n");
  EXPECT_TRUE(has(data_error_of([&] { read_labels(file.path()); }), "no column 'exemplar'"));
  const LabelsFile grouped("mark,exemplar\n1,2\n");
  EXPECT_TRUE(has(data_error_of([&] { read_labels(grouped.path(), {"area"}); }), "no column 'area'"));
}

TEST(Labels, WithAnEmptyIdAreRefused) {
  const LabelsFile file("mark,exemplar\n1,2\n3,\n");
  EXPECT_TRUE(has(data_error_of([&] { read_labels(file.path()); }), ", line 3: "));
}

TEST(Labels, AreNamedByTheLineOfTheFileThoughOthersAreBlankOrQuotedOverSeveral) {
  const LabelsFile file("mark,exemplar,note\n\n1,2,\"two\nlines\"\n\n3,,\n");
  EXPECT_TRUE(has(data_error_of([&] { read_labels(file.path()); }), ", line 6: "));
}

TEST(Truth, HoldsSeveralExemplarsOfAMarkOnceEach) {
  const LabelsFile file("mark,exemplar\nm1,3\nm1,1\nm1,03\n");
  const Truth truth = resolve_labels(read_labels(file.path()), {"m0", "m1"}, {"00001", "00002", "00003"});
  EXPECT_EQ(truth.exemplars, (std::vector<std::vector<std::int64_t>>{{}, {0, 2}}));
  EXPECT_EQ(truth.marks_without_label, 1);
  EXPECT_EQ(truth.labels_without_mark, 0);
}

TEST(Truth, PassesOverMarksThatWereNotSearched) {
  const LabelsFile file("mark,exemplar\nm1,1\nm9,unknown\n");
  const Truth truth = resolve_labels(read_labels(file.path()), {"m1"}, {"00001"});
  EXPECT_EQ(truth.exemplars, (std::vector<std::vector<std::int64_t>>{{0}}));
  EXPECT_EQ(truth.labels_without_mark, 1);
}

TEST(Truth, NamesTheLineOfAnUnknownExemplar) {
  const LabelsFile file("mark,exemplar\nm1,1\nm2,8\n");
  const Labels labels = read_labels(file.path());
  EXPECT_TRUE(has(data_error_of([&] { resolve_labels(labels, {"m1", "m2"}, {"00001"}); }), "line 3: exemplar '8'"));
}

TEST(Truth, NamesTheLineOfAnAmbiguousId) {
  const LabelsFile file("mark,exemplar\nm1,1\n");
  const Labels labels = read_labels(file.path());
  const auto resolve = [&] { resolve_labels(labels, {"m1"}, {"1", "01"}); };
  EXPECT_TRUE(has(data_error_of(resolve), "line 2: exemplar id '1' is ambiguous"));
}

TEST(Truth, KeepsOneGroupAMark) {
  const LabelsFile file("mark,exemplar,area\nm1,1,full\nm2,1,half\n");
  const Truth truth = resolve_labels(read_labels(file.path(), {"area"}), {"m1", "m2"}, {"1"});
  EXPECT_EQ(truth.groups, (std::vector<std::vector<std::string>>{{"full"}, {"half"}}));
  const LabelsFile torn("mark,exemplar,area\nm1,1,full\nm1,2,half\n");
  const Labels labels = read_labels(torn.path(), {"area"});
  EXPECT_TRUE(has(data_error_of([&] { resolve_labels(labels, {"m1"}, {"1", "2"}); }), "another group"));
}

}  // namespace
}  // namespace outsole::retrieval
