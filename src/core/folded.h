#pragma once
// Names as people mean them: what spreadsheets, Macs and other file systems change in a name without anybody asking.

#include <string>
#include <string_view>

namespace outsole {

/// `text` without regard to case and Unicode normal form, and without blanks around it: names are meant to be the same
/// when their folded forms are equal. UTF-8 in canonical decomposition with simple case folding; bytes that are not
/// UTF-8 stay as they are.
std::string folded(std::string_view text);

/// `text` without the blanks around it: spaces, tabs, line ends, and the no-break, zero-width and wide spaces that
/// documents and spreadsheets leave.
std::string_view trimmed(std::string_view text);

/// Appends a character as UTF-8.
void append_utf8(std::string& text, char32_t character);

/// A number without its leading zeros, and any other text as it is.
std::string_view without_leading_zeros(std::string_view text);

}  // namespace outsole
