#include "core/folded.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "core/text.h"
#include "core/unicode_tables.h"

namespace outsole {

namespace {

/// The character that a well-formed sequence of UTF-8 codes.
char32_t character_of(std::string_view sequence) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(sequence[i]); };
  char32_t character = sequence.size() == 1 ? byte(0) : byte(0) & (0xFFU >> (sequence.size() + 1));
  for (std::size_t i = 1; i < sequence.size(); ++i) character = character << 6 | (byte(i) & 0x3FU);
  return character;
}

/// The last range of an ascending table that begins at or before the character, if it reaches so far.
template <typename Range, std::size_t kSize>
const Range* range_of(const Range (&table)[kSize], char32_t character) {
  const auto after = std::ranges::upper_bound(table, character, {}, &Range::first);
  if (after == std::begin(table)) return nullptr;
  const Range& range = *std::prev(after);
  return character <= range.last ? &range : nullptr;
}

int combining_class(char32_t character) {
  const unicode::CombiningRange* range = range_of(unicode::kCombining, character);
  return range == nullptr ? 0 : range->combining_class;
}

char32_t without_case(char32_t character) {
  const unicode::CaseRange* range = range_of(unicode::kCases, character);
  if (range == nullptr || (character - range->first) % static_cast<char32_t>(range->step) != 0) return character;
  return character + static_cast<char32_t>(range->distance);
}

void append_decomposed(std::u32string& text, char32_t character) {
  constexpr char32_t kHangul = 0xAC00, kLead = 0x1100, kVowel = 0x1161, kTail = 0x11A7;
  constexpr char32_t kSyllables = 11172, kTails = 28, kVowels = 21;
  if (character >= kHangul && character < kHangul + kSyllables) {
    const char32_t index = character - kHangul, tail = index % kTails;
    text += kLead + index / (kTails * kVowels);
    text += kVowel + index / kTails % kVowels;
    if (tail != 0) text += kTail + tail;
    return;
  }
  const auto found =
      std::ranges::lower_bound(unicode::kDecompositions, character, {}, &unicode::Decomposition::character);
  if (found == std::end(unicode::kDecompositions) || found->character != character) {
    text += character;
    return;
  }
  append_decomposed(text, found->first);
  if (found->second != 0) append_decomposed(text, found->second);
}

/// Marks that combine with one character, each run of them in the order of their classes.
void order_marks(std::u32string& text) {
  for (auto begin = text.begin(); begin != text.end();) {
    begin = std::find_if(begin, text.end(), [](char32_t c) { return combining_class(c) != 0; });
    const auto end = std::find_if(begin, text.end(), [](char32_t c) { return combining_class(c) == 0; });
    std::stable_sort(begin, end, [](char32_t a, char32_t b) { return combining_class(a) < combining_class(b); });
    begin = end;
  }
}

void append_folded(std::string& text, std::u32string& characters) {
  order_marks(characters);
  for (const char32_t character : characters) append_utf8(text, without_case(character));
  characters.clear();
}

/// The length of the blank that `text` begins with; 0 when it begins with something else.
std::size_t blank_length(std::string_view text) {
  constexpr std::array<std::string_view, 16> kBlanks = {" ",
                                                        "\t",
                                                        "\n",
                                                        "\r",
                                                        "\v",
                                                        "\f",
                                                        "\xC2\xA0",       // no-break space
                                                        "\xE2\x80\x87",   // figure space
                                                        "\xE2\x80\x89",   // thin space
                                                        "\xE2\x80\x8B",   // zero width space
                                                        "\xE2\x80\x8E",   // left-to-right mark
                                                        "\xE2\x80\x8F",   // right-to-left mark
                                                        "\xE2\x80\xAF",   // narrow no-break space
                                                        "\xE2\x81\xA0",   // word joiner
                                                        "\xE3\x80\x80",   // ideographic space
                                                        "\xEF\xBB\xBF"};  // byte order mark
  const auto found = std::ranges::find_if(kBlanks, [&](std::string_view blank) { return text.starts_with(blank); });
  return found == kBlanks.end() ? 0 : found->size();
}

}  // namespace

void append_utf8(std::string& text, char32_t character) {
  const auto add = [&](char32_t byte) { text += static_cast<char>(byte); };
  const auto add_rest = [&](int shift) { add(0x80 | ((character >> shift) & 0x3F)); };
  if (character < 0x80) return add(character);
  if (character < 0x800) {
    add(0xC0 | character >> 6);
  } else if (character < 0x10000) {
    add(0xE0 | character >> 12);
    add_rest(6);
  } else {
    add(0xF0 | character >> 18);
    add_rest(12);
    add_rest(6);
  }
  add_rest(0);
}

std::string folded(std::string_view text) {
  text = trimmed(text);
  std::string result;
  const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  if (std::ranges::all_of(text, is_ascii)) {
    for (const char c : text) result += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return result;
  }
  std::u32string characters;  // not yet appended: marks are ordered among them
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) {
      append_folded(result, characters);
      result += text.front();
      text.remove_prefix(1);
      continue;
    }
    append_decomposed(characters, character_of(text.substr(0, length)));
    text.remove_prefix(length);
  }
  append_folded(result, characters);
  return result;
}

std::string_view trimmed(std::string_view text) {
  while (const std::size_t length = blank_length(text)) text.remove_prefix(length);
  std::size_t end = 0;  // behind the last character that is no blank
  for (std::size_t i = 0; i < text.size();) {
    if (const std::size_t length = blank_length(text.substr(i))) {
      i += length;
    } else {
      end = ++i;
    }
  }
  return text.substr(0, end);
}

std::string_view without_leading_zeros(std::string_view text) {
  const bool is_number = !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
  if (!is_number) return text;
  return text.substr(std::min(text.find_first_not_of('0'), text.size() - 1));
}

}  // namespace outsole
