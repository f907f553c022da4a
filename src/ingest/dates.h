#pragma once
// Dates as manifests hold them: written by people, or made into numbers by spreadsheets.

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace outsole::ingest {

/// A column of dates, each as a number of days (since 1 January 1970); nothing where a field is empty.
struct Dates {
  std::vector<std::optional<double>> days;
  std::vector<std::size_t> numbers;  // positions of those that a spreadsheet has made into a number of days
  bool is_day_first = false;         // 03/04/2021 and the like were read as 3 April
};

/// All readings under which every field is a date: 2021-04-03, 2021/04/03 and 20210403, 3.4.2021 and 3-4-2021, 3 Apr
/// 2021, and 3/4/2021 with the day or the month first, each perhaps with a time; numbers of days since 30 December 1899
/// are dates of 1955 to 2099. None: a field is something else.
std::vector<Dates> read_dates(std::span<const std::string> fields);

}  // namespace outsole::ingest
