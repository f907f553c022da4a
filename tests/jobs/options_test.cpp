// Options as values: declared once, read from words and a file, told in help.

#include "../../jobs/options.h"

#include <gmock/gmock.h>

#include "database.h"

namespace outsole::jobs {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

enum class Colour { kRed, kBlue };

Colour parse_colour(const std::string& text) {
  if (text == "red") return Colour::kRed;
  if (text == "blue") return Colour::kBlue;
  throw UsageError("no colour '" + text + "'");
}

struct Fields {
  bool help = false;
  std::string config;
  std::int64_t top = 20;
  std::uint64_t seed = 7;
  double rate = 1e-5;
  double share = 0.1;
  std::optional<double> weeks;
  std::vector<fs::path> marks;
  fs::path output;
  Colour colour = Colour::kRed;
  bool crops = true;
};

class OptionsTest : public testing::JobTest {
 protected:
  OptionsTest() {
    options_.add_switch("help", fields_.help, "print this");
    options_.add("config", "FILE", fields_.config, "a file");
    options_.add("top", "N", fields_.top, "candidates kept").at_least(1);
    options_.add("seed", "N", fields_.seed, "another seed");
    options_.add("rate", "R", fields_.rate, "of learning").above(0);
    options_.add("share", "S", fields_.share, "of something").at_least(0).below(0.5).in("cm");
    options_.add("weeks", "W", fields_.weeks, "perhaps");
    options_.add("marks", "FILE...", fields_.marks, "images");
    options_.add("output", "FILE", fields_.output, "result").required();
    options_.add_parsed("colour", "red|blue", fields_.colour, parse_colour, "red", "of the picture");
    options_.add_switch("no-crop", fields_.crops, "keep the border");
  }

  void read(std::vector<std::string> words) {
    words.insert(words.end(), {"--output", "out.h5"});
    options_.read("outsole test", "marks", words);
  }

  std::string refusal(const std::vector<std::string>& words) {
    try {
      read(words);
    } catch (const UsageError& error) {
      return error.what();
    }
    return "";
  }

  Fields fields_;
  Options options_;
};

TEST_F(OptionsTest, LandInTheirFields) {
  read({"a.png", "--top", "3", "--seed", "18446744073709551615", "--rate=1e-3", "--weeks", "+4", "b.png", "--colour",
        "blue", "--no-crop"});
  EXPECT_EQ(fields_.top, 3);
  EXPECT_EQ(fields_.seed, 18446744073709551615U);
  EXPECT_EQ(fields_.rate, 1e-3);
  EXPECT_EQ(fields_.weeks, 4);
  EXPECT_THAT(fields_.marks, ElementsAre("a.png", "b.png"));
  EXPECT_EQ(fields_.output, "out.h5");
  EXPECT_EQ(fields_.colour, Colour::kBlue);
  EXPECT_FALSE(fields_.crops);
}

TEST_F(OptionsTest, ThatAreNotGivenLeaveTheirFieldsAlone) {
  read({});
  EXPECT_EQ(fields_.top, 20);
  EXPECT_EQ(fields_.weeks, std::nullopt);
  EXPECT_TRUE(fields_.crops);
}

TEST_F(OptionsTest, OfTheFileCountWhereTheWordsSayNothing) {
  testing::write_bytes(folder_ / "c.ini", "top = 5\nseed = 2\nmarks = a.png\nmarks = b.png\nno-crop = false\n");
  read({"--seed", "9", "--config", folder_ / "c.ini"});
  EXPECT_EQ(fields_.top, 5);
  EXPECT_EQ(fields_.seed, 9U);
  EXPECT_THAT(fields_.marks, ElementsAre("a.png", "b.png"));
  EXPECT_TRUE(fields_.crops);
}

/// A value of the file, and what it means.
TEST_F(OptionsTest, OfTheFileMayHoldAnythingInQuotes) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"(a.png)", "a.png"},
      {R"(case #12.png)", "case"},  // a comment
      {R"("case #12.png")", "case #12.png"},
      {R"("#1.png")", "#1.png"},
      {R"("a b.png")", "a b.png"},
      {R"(" a.png ")", " a.png "},
      {R"("a.png" )", "a.png"},
      {R"("a.png" # the first)", "a.png"},
      {R"("a#b" #c"d)", "a#b"},
      {R"("a\"b.png")", R"(a"b.png)"},
      {R"("a\\b.png")", R"(a\b.png)"},
      {R"("a\\")", R"(a\)"},
      {R"("a\n")", "a\n"},
      {R"("a\tb")", R"(a\tb)"},  // no escape
      {R"("")", ""},
      {R"("a=b.png")", "a=b.png"},
      {R"("[a].png")", "[a].png"},
      {R"("it's.png")", "it's.png"},
      {R"('a.png')", "'a.png'"},
      {R"(a"b".png)", R"(a"b".png)"},
      {R"("a"b.png)", R"("a"b.png)"},
      {R"("open.png)", R"("open.png)"},
      {R"(")", R"(")"},
      {R"("%value%")", "%value%"},
      {R"("50%a.png")", "50%a.png"},
      {R"("$HOME/`a`.png")", "$HOME/`a`.png"},
      {"\"\xC3\xA9.png\"", "\xC3\xA9.png"},
      {"\"e\xCC\x81.png\"", "e\xCC\x81.png"},
      {"\"\xFF.png\"\r", "\xFF.png"},
  };
  for (const auto& [value, meaning] : cases) {
    testing::write_bytes(folder_ / "c.ini",
                         "# \"marks\" = no\nmarks = first.png\nmarks=" + value + "\nmarks = \"last #.png\"");
    read({"--config", folder_ / "c.ini"});
    EXPECT_THAT(fields_.marks, ElementsAre("first.png", fs::path(meaning), "last #.png")) << value;
  }
}

TEST_F(OptionsTest, OutOfRangeAreRefusedInOneWay) {
  EXPECT_EQ(refusal({"--top", "0"}), "--top 0: must be at least 1");
  EXPECT_EQ(refusal({"--top", "3x"}), "--top 3x: must be a whole number, at least 1");
  EXPECT_EQ(refusal({"--top", "99999999999999999999"}),
            "--top 99999999999999999999: must be a whole number, at least 1");
  EXPECT_EQ(refusal({"--seed", "-1"}), "--seed -1: must be at least 0");
  EXPECT_EQ(refusal({"--rate", "0"}), "--rate 0: must be above 0");
  EXPECT_EQ(refusal({"--rate", "nan"}), "--rate nan: must be a number, above 0");
  EXPECT_EQ(refusal({"--rate", "1e400"}), "--rate 1e400: must be a number, above 0");
  EXPECT_EQ(refusal({"--share", "0.5"}), "--share 0.5: must be at least 0 and below 0.5 cm");
  EXPECT_EQ(refusal({"--weeks", "inf"}), "--weeks inf: must be a number");
  EXPECT_EQ(refusal({"--colour", "green"}), "--colour green: no colour 'green'");
}

TEST_F(OptionsTest, AreListedWithWhatTheyMayBe) {
  const Option& top = *options_.find("top");
  EXPECT_EQ(top.type, "a whole number");
  EXPECT_EQ(top.standard, "20");
  EXPECT_EQ(top.range(), "at least 1");
  EXPECT_EQ(options_.find("rate")->standard, "1e-5");
  EXPECT_EQ(options_.find("weeks")->standard, "");
  EXPECT_TRUE(options_.find("marks")->takes_list);
  EXPECT_TRUE(options_.find("output")->is_required);
  EXPECT_EQ(options_.all().size(), 11U);
}

TEST_F(OptionsTest, AreToldInHelpWithDefaultAndRange) {
  EXPECT_THAT(options_.help_text(),
              AllOf(HasSubstr("--top N (=20)"), HasSubstr("candidates kept (at least 1)"),
                    HasSubstr("--rate R (=1e-5)"), HasSubstr("--share S (=0.1)"), Not(HasSubstr("--weeks W (="))));
  options_.read("outsole test", "marks", {"--help"});  // though --output is lacking
  EXPECT_TRUE(fields_.help);
}

TEST_F(OptionsTest, TakeThePlaceOfTheFieldsThatTheLibraryNames) {
  EXPECT_EQ(options_.in_words_of_options("`top` 3: keeps less than `least_ink`; see `outsole test --help`, `no_crop`"),
            "--top 3: keeps less than `least_ink`; see `outsole test --help`, --no-crop");
}

}  // namespace
}  // namespace outsole::jobs
