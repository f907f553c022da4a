#include "store/values.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <utility>

#include "core/checked.h"
#include "core/errors.h"
#include "core/text.h"

namespace outsole::store {

static_assert(std::endian::native == std::endian::little, "files are little endian and are read without conversion");

namespace {

constexpr std::int64_t kMaxTextBytes = 1 << 16;

constexpr std::array<std::pair<std::string_view, ElementType>, 7> kNumbers = {{
    {"uint8", {ElementKind::kUint8, 1}},
    {"uint16", {ElementKind::kUint16, 2}},
    {"int32", {ElementKind::kInt32, 4}},
    {"int64", {ElementKind::kInt64, 8}},
    {"float16", {ElementKind::kFloat16, 2}},
    {"float32", {ElementKind::kFloat32, 4}},
    {"float64", {ElementKind::kFloat64, 8}},
}};

/// An empty Values of the alternative that carries `kind`.
Values empty_values(ElementKind kind) {
  switch (kind) {
    case ElementKind::kUint8:
      return std::vector<std::uint8_t>();
    case ElementKind::kUint16:
    case ElementKind::kFloat16:
      return std::vector<std::uint16_t>();
    case ElementKind::kInt32:
      return std::vector<std::int32_t>();
    case ElementKind::kInt64:
      return std::vector<std::int64_t>();
    case ElementKind::kFloat32:
      return std::vector<float>();
    case ElementKind::kFloat64:
      return std::vector<double>();
    case ElementKind::kText:
      return std::vector<std::string>();
  }
  throw Bug("unknown element kind");
}

std::string text_of_field(std::string_view field, const std::string& where) {
  const std::string_view text = field.substr(0, std::min(field.find('\0'), field.size()));
  const bool padded = field.find_first_not_of('\0', text.size()) == std::string_view::npos;
  if (!padded || !is_utf8(text)) throw DataError(where + ": holds a text that is not UTF-8 padded with NUL");
  return std::string(text);
}

}  // namespace

ElementType element_type(std::string_view name) {
  for (const auto& [number, type] : kNumbers) {
    if (number == name) return type;
  }
  ElementType text{ElementKind::kText, 0};
  if (name.starts_with("text")) std::from_chars(name.data() + 4, name.data() + name.size(), text.bytes);
  ensure(text.bytes > 0 && text.bytes <= kMaxTextBytes, "unknown element type '" + std::string(name) + "'");
  return text;
}

std::string type_name(const ElementType& type) {
  for (const auto& [number, known] : kNumbers) {
    if (known.kind == type.kind) return std::string(number);
  }
  return "text" + std::to_string(type.bytes);
}

bool carries(const Values& values, const ElementType& type) {
  return values.index() == empty_values(type.kind).index();
}

std::int64_t element_count(const Values& values) {
  return std::visit([](const auto& elements) { return std::ssize(elements); }, values);
}

void append(Values& values, Values more) {
  std::visit(
      [&more](auto& elements) {
        auto& tail = std::get<std::decay_t<decltype(elements)>>(more);
        if (elements.empty()) {
          elements = std::move(tail);
        } else {
          elements.insert(elements.end(), std::make_move_iterator(tail.begin()), std::make_move_iterator(tail.end()));
        }
      },
      values);
}

std::span<const std::byte> file_bytes(const Values& values, const ElementType& type,
                                      std::vector<std::byte>& text_fields) {
  ensure(carries(values, type), "values of another type than " + type_name(type));
  return std::visit(
      [&](const auto& elements) -> std::span<const std::byte> {
        if constexpr (std::is_same_v<std::decay_t<decltype(elements)>, std::vector<std::string>>) {
          const auto field_bytes = static_cast<std::size_t>(type.bytes);
          text_fields.assign(elements.size() * field_bytes, std::byte{0});
          for (std::size_t i = 0; i < elements.size(); ++i) {
            ensure(elements[i].size() <= field_bytes && elements[i].find('\0') == std::string::npos,
                   "'" + elements[i] + "' does not fit a field of type " + type_name(type));
            std::memcpy(text_fields.data() + i * field_bytes, elements[i].data(), elements[i].size());
          }
          return text_fields;
        } else {
          return std::as_bytes(std::span(elements));
        }
      },
      values);
}

Values values_from_file(const ElementType& type, std::int64_t count,
                        const std::function<void(std::span<std::byte>)>& read_into, const std::string& where) {
  Values values = empty_values(type.kind);
  std::visit(
      [&](auto& elements) {
        if constexpr (std::is_same_v<std::decay_t<decltype(elements)>, std::vector<std::string>>) {
          std::vector<char> fields(static_cast<std::size_t>(count * type.bytes));
          read_into(std::as_writable_bytes(std::span(fields)));
          elements.reserve(static_cast<std::size_t>(count));
          for (std::int64_t i = 0; i < count; ++i) {
            const std::string_view field(fields.data() + i * type.bytes, static_cast<std::size_t>(type.bytes));
            elements.push_back(text_of_field(field, where));
          }
        } else {
          elements.resize(static_cast<std::size_t>(count));
          read_into(std::as_writable_bytes(std::span(elements)));
        }
      },
      values);
  return values;
}

void append_rows(Columns& columns, Columns more) {
  ensure(columns.size() == more.size(), "rows of one store have the same data sets");
  for (auto& [name, column] : columns) {
    Column& added = more.at(name);
    column.shape.at(0) += added.shape.at(0);
    append(column.values, std::move(added.values));
    column.row_lengths.insert(column.row_lengths.end(), added.row_lengths.begin(), added.row_lengths.end());
  }
}

}  // namespace outsole::store
