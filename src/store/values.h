#pragma once
// The types of elements that stores hold, and their way between memory and files.

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/store.h"

namespace outsole::store {

inline constexpr std::size_t kMaxDimensions = 8;  // of a data set

enum class ElementKind : std::uint8_t { kUint8, kUint16, kInt32, kInt64, kFloat16, kFloat32, kFloat64, kText };

/// One element of a data set; `bytes` of a text is the size of its field.
struct ElementType {
  ElementKind kind = ElementKind::kUint8;
  std::int64_t bytes = 1;
  auto operator<=>(const ElementType&) const = default;
};

/// The type that a schema calls `name` ("float16", "text128"); throws Bug for another word.
ElementType element_type(std::string_view name);

/// The schema's word for `type`.
std::string type_name(const ElementType& type);

/// Whether `values` is the alternative of Values that carries `type` (float16 travels as std::uint16_t).
bool carries(const Values& values, const ElementType& type);

/// The number of elements.
std::int64_t element_count(const Values& values);

/// Appends `more`, of the same alternative, to `values`.
void append(Values& values, Values more);

/// The elements as a file holds them. Numbers are not copied; `text_fields` receives texts, padded with NUL.
/// A text that holds NUL or exceeds its field throws Bug.
std::span<const std::byte> file_bytes(const Values& values, const ElementType& type,
                                      std::vector<std::byte>& text_fields);

/// `count` elements of which `read_into` fills the bytes as a file holds them. A text that is not UTF-8 or goes on
/// after a NUL throws DataError naming `where`.
Values values_from_file(const ElementType& type, std::int64_t count,
                        const std::function<void(std::span<std::byte>)>& read_into, const std::string& where);

}  // namespace outsole::store
