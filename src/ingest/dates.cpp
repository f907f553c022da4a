#include "ingest/dates.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <chrono>
#include <string_view>

#include "core/folded.h"

namespace outsole::ingest {

namespace {

constexpr double kFirstSerial = 20000, kLastSerial = 73000;  // 1954-10-03 and 2099-11-11
constexpr double kSerialOf1970 = 25569;

std::optional<double> days_of(int year, int month, int day) {
  namespace chrono = std::chrono;
  if (year < 1900 || year > 2200) return std::nullopt;
  const chrono::year_month_day date{chrono::year(year), chrono::month(static_cast<unsigned>(month)),
                                    chrono::day(static_cast<unsigned>(day))};
  if (month < 1 || day < 1 || !date.ok()) return std::nullopt;
  return chrono::sys_days(date).time_since_epoch().count();
}

/// A run of digits, a run of letters, or what parts them.
std::vector<std::string_view> parts_of(std::string_view text) {
  const auto kind = [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return std::isdigit(byte) != 0 ? 0 : std::isalpha(byte) != 0 ? 1 : 2;
  };
  std::vector<std::string_view> parts;
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = begin + 1;
    while (end < text.size() && kind(text[end]) == kind(text[begin])) ++end;
    parts.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  return parts;
}

/// -1: none, or absurdly long.
int number_of(std::string_view part) {
  int value = 0;
  const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
  const bool is_number = error == std::errc() && end == part.data() + part.size() && part.size() <= 4;
  return is_number ? value : -1;
}

/// 1 to 12, by its English name or the first three letters of it; -1: none.
int month_named(std::string_view part) {
  constexpr std::array<std::string_view, 12> kNames = {"january",   "february", "march",    "april",
                                                       "may",       "june",     "july",     "august",
                                                       "september", "october",  "november", "december"};
  const std::string name = folded(part);
  if (name.size() < 3) return -1;
  const auto found = std::ranges::find_if(kNames, [&](std::string_view full) { return full.starts_with(name); });
  return found == kNames.end() ? -1 : static_cast<int>(found - kNames.begin()) + 1;
}

/// Two digits are of this century, or, beyond its middle, of the last.
int full_year(int year, std::size_t digits) {
  if (digits != 2) return year;
  return year < 70 ? 2000 + year : 1900 + year;
}

std::optional<double> days_of_text(std::string_view text, bool day_first) {
  const std::vector<std::string_view> parts = parts_of(trimmed(text));
  if (parts.size() == 1 && parts[0].size() == 8) {  // 20210403
    return days_of(number_of(parts[0].substr(0, 4)), number_of(parts[0].substr(4, 2)), number_of(parts[0].substr(6)));
  }
  if (parts.size() < 5) return std::nullopt;
  const int first = number_of(parts[0]), second = number_of(parts[2]), third = number_of(parts[4]);
  const std::string_view separator = parts[1];
  // Behind a date may stand a time of day.
  const bool has_more = parts.size() > 5;
  if (has_more && folded(parts[5]) != "t" && !trimmed(parts[5]).empty()) return std::nullopt;
  if (const int month = month_named(parts[2]); month > 0 && first >= 0 && third >= 0) {
    return days_of(full_year(third, parts[4].size()), month, first);
  }
  if (const int month = month_named(parts[0]); month > 0 && second >= 0 && third >= 0) {
    return days_of(full_year(third, parts[4].size()), month, second);
  }
  if (first < 0 || second < 0 || third < 0 || separator.size() != 1 || parts[3] != separator) return std::nullopt;
  if (parts[0].size() == 4) return days_of(first, second, third);
  const int year = full_year(third, parts[4].size());
  const bool starts_with_day = separator == "." || day_first;
  return starts_with_day ? days_of(year, second, first) : days_of(year, first, second);
}

std::optional<double> days_of_number(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is_serial =
      error == std::errc() && end == text.data() + text.size() && value >= kFirstSerial && value <= kLastSerial;
  return is_serial ? std::optional(value - kSerialOf1970) : std::nullopt;
}

/// Nothing: a field is no date.
std::optional<Dates> dates_read(std::span<const std::string> fields, bool day_first) {
  Dates dates;
  dates.is_day_first = day_first;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    std::optional<double>& days = dates.days.emplace_back();
    if (fields[i].empty()) continue;
    days = days_of_number(fields[i]);
    if (days) {
      dates.numbers.push_back(i);
    } else {
      days = days_of_text(fields[i], day_first);
    }
    if (!days) return std::nullopt;
  }
  return dates;
}

}  // namespace

std::vector<Dates> read_dates(std::span<const std::string> fields) {
  std::vector<Dates> readings;
  for (const bool day_first : {true, false}) {
    auto dates = dates_read(fields, day_first);
    const bool is_other = dates && (readings.empty() || readings.front().days != dates->days);
    if (is_other) readings.push_back(std::move(*dates));
  }
  return readings;
}

}  // namespace outsole::ingest
