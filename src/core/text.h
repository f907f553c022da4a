#pragma once
// Text from outside: whether it is UTF-8, how to show it to a person without letting it act, and what a mistyped name
// was meant to be. Nothing but the standard library.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace outsole {

/// Length of the well-formed UTF-8 sequence (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF) that
/// `text` begins with; 0 when there is none.
std::size_t utf8_length(std::string_view text);

bool is_utf8(std::string_view text);

/// `text` as a terminal or a log may show it. File names, ids and what files say of themselves can hold bytes that move
/// the cursor, begin new lines or reverse the direction of writing: control characters, bidirectional overrides and
/// bytes that are not UTF-8 appear as \x1b; everything else stays. Beyond 4 KiB the middle is left out.
std::string printable(std::string_view text);

/// The candidate nearest to `name` by edit distance, for "did you mean"; empty when none is near.
std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace outsole
