#include "core/folded.h"

#include <gtest/gtest.h>

#include <vector>

#include "core/errors.h"
#include "core/id_lookup.h"

namespace outsole {
namespace {

struct Names {
  std::string a, b;
};

TEST(Folded, IsOneForNamesThatAreMeantToBeTheSame) {
  const std::vector<Names> same = {
      {"abc", "ABC"},
      {"abc", " abc\t"},
      {"abc",
       "\xC2\xA0"
       "abc\xEF\xBB\xBF"},
      {"Stra\xC3\x9F"
       "e",
       "stra\xC3\x9F"
       "E"},
      {"Schr\xC3\xB6"
       "der",
       "Schro\xCC\x88"
       "der"},  // o with diaeresis in one or two
      {"SCHR\xC3\x96"
       "DER",
       "schro\xCC\x88"
       "der"},
      {"\xC3\x85ngstr\xC3\xB6m", "\xE2\x84\xABngstr\xC3\xB6m"},  // A with ring and the unit
      {"Vi\xE1\xBB\x87t", "Vi\xC3\xAA\xCC\xA3t"},                // marks in another order
      {"Vi\xE1\xBB\x87t", "Vie\xCC\xA3\xCC\x82t"},
      {"Vi\xE1\xBB\x87t", "VIE\xCC\x82\xCC\xA3T"},
      {"\xEA\xB0\x81", "\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8"},          // a Hangul syllable and its parts
      {"\xCE\xA3\xCE\xB1\xCF\x82", "\xCF\x83\xCE\xB1\xCF\x83"},          // a final sigma
      {"\xD0\x96\xD1\x83\xD0\xB9", "\xD0\xB6\xD0\xA3\xD0\xB8\xCC\x86"},  // Cyrillic
      {"\xE2\x84\xAA"
       "27",
       "k27"},  // the unit kelvin
  };
  for (const auto& [a, b] : same) EXPECT_EQ(folded(a), folded(b)) << a << " and " << b;
}

TEST(Folded, IsNotOneForOthers) {
  const std::vector<Names> others = {{"abc", "abd"},
                                     {"a b", "ab"},
                                     {"Schr\xC3\xB6"
                                      "der",
                                      "Schroder"},
                                     {"m1", "m01"},
                                     {"stra\xC3\x9F"
                                      "e",
                                      "strasse"},
                                     {"latin\xE9", "latin\xC9"},
                                     {"", "-"},
                                     {"\xC3\xA9", "\xC3\xA8"}};
  for (const auto& [a, b] : others) EXPECT_NE(folded(a), folded(b)) << a << " and " << b;
}

TEST(Folded, KeepsBytesThatAreNotUtf8) {
  EXPECT_EQ(folded("A\xFF"
                   "B"),
            "a\xFF"
            "b");
}

TEST(IdLookup, FindsIdsWhateverTheirCaseAndNormalForm) {
  const IdLookup lookup({"Schr\xC3\xB6"
                         "der",
                         "M1", "00107", "x", "X"},
                        "mark");
  EXPECT_EQ(lookup.find("schro\xCC\x88"
                        "der"),
            0);
  EXPECT_EQ(lookup.find(" m1 "), 1);
  EXPECT_EQ(lookup.find(" 107"), 2);
  EXPECT_EQ(lookup.find("x"), 3);
  EXPECT_EQ(lookup.find("X"), 4);
  const IdLookup cases({"Ab", "aB"}, "mark");
  EXPECT_THROW(cases.find("ab"), DataError);
}

}  // namespace
}  // namespace outsole
