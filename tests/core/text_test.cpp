#include "core/text.h"

#include <gmock/gmock.h>

#include "core/json.h"

namespace outsole {
namespace {

TEST(Utf8, TellsWellFormedTextFromOtherBytes) {
  for (const char* text : {"", "plain", "S\xC3\xB6hle", "\xE8\xB6\xB3", "\xF0\x9F\x91\x9F", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(is_utf8(text)) << text;
  }
  for (const char* text :
       {"\x80", "\xC3", "\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xFF", "a\xC3", "\xE8\xB6"}) {
    EXPECT_FALSE(is_utf8(text)) << text;
  }
}

TEST(Printable, KeepsWhatIsOnlyDrawn) {
  EXPECT_EQ(printable("S\xC3\xB6hle \xF0\x9F\x91\x9F, 'x' \\ 7"), "S\xC3\xB6hle \xF0\x9F\x91\x9F, 'x' \\ 7");
}

TEST(Printable, ShowsWhatWouldActOnATerminal) {
  EXPECT_EQ(printable("a\x1b[2Jb"), "a\\x1b[2Jb");
  EXPECT_EQ(printable("a\r\nok: valid"), "a\\x0d\\x0aok: valid");
  EXPECT_EQ(printable("\x7f"), "\\x7f");
  EXPECT_EQ(printable("\xC2\x9B"
                      "2J"),
            "\\xc2\\x9b2J");                                                // the one-character form of ESC [
  EXPECT_EQ(printable("a\xE2\x80\xAEgnp.exe"), "a\\xe2\\x80\\xaegnp.exe");  // right-to-left override
  EXPECT_EQ(printable("a\xFF\xC3"), "a\\xff\\xc3");
}

TEST(Printable, LeavesTheMiddleOfALongTextOut) {
  const std::string text = "begin" + std::string(1 << 20, 'x') + "end";
  const std::string shown = printable(text);
  EXPECT_LT(shown.size(), 5000U);
  EXPECT_TRUE(shown.starts_with("begin") && shown.ends_with("end"));
}

TEST(ParseJson, ReadsWhatIsJsonAndOfPlainDepth) {
  EXPECT_EQ(parse_json(R"({"a": [1, "x"]})"), (nlohmann::json{{"a", {1, "x"}}}));
  EXPECT_TRUE(parse_json("{").is_discarded());
  EXPECT_TRUE(parse_json("\"\xFF\"").is_discarded());
}

TEST(ParseJson, RefusesANestingThatWouldExhaustTheStack) {
  for (const std::size_t levels : {65U, 10'000'000U}) {
    EXPECT_TRUE(parse_json(std::string(levels, '[') + std::string(levels, ']')).is_discarded());
    EXPECT_TRUE(parse_json(std::string(levels, '[')).is_discarded());
  }
  EXPECT_FALSE(parse_json(std::string(60, '[') + std::string(60, ']')).is_discarded());
}

TEST(NearestName, FindsASlipOfTheKeyboardAndNothingFarther) {
  const std::vector<std::string> names = {"input", "output", "memory-gib", "strict"};
  EXPECT_EQ(nearest_name("inptu", names), "input");
  EXPECT_EQ(nearest_name("memory", names), "");
  EXPECT_EQ(nearest_name("memory-gb", names), "memory-gib");
  EXPECT_EQ(nearest_name("zzzzzzzz", names), "");
}

}  // namespace
}  // namespace outsole
