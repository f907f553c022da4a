#include "ingest/scan_checks.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>

#include "core/errors.h"
#include "core/folded.h"
#include "ingest/dates.h"

namespace outsole::ingest {

namespace {

[[noreturn]] void refuse(const ImageSource& a, const ImageSource& b, const std::string& contradiction) {
  throw DataError(a.manifest_row + ", and " + b.manifest_row.substr(b.manifest_row.rfind("row ")) + ": " +
                  contradiction);
}

/// A name of several scans, such as that of a shoe, is written in one way.
void check_names(std::span<const ImageSource> sources, std::span<const ScanSubject> subjects, const char* what,
                 std::string ScanSubject::*name) {
  std::map<std::string, std::size_t> first;  // by folded name
  for (std::size_t i = 0; i < subjects.size(); ++i) {
    const std::size_t other = first.emplace(folded(subjects[i].*name), i).first->second;
    const std::string &a = subjects[other].*name, &b = subjects[i].*name;
    if (a == b) continue;
    refuse(sources[other], sources[i],
           std::string(what) + " '" + a + "' and '" + b +
               "' differ only by case or Unicode normal form; write one of them");
  }
}

void check_feet_and_pairs(std::span<const ImageSource> sources, std::span<const ScanSubject> subjects) {
  std::map<std::string, std::size_t> first;  // by shoe
  for (std::size_t i = 0; i < subjects.size(); ++i) {
    const std::size_t other = first.emplace(subjects[i].shoe, i).first->second;
    const ScanSubject &a = subjects[other], &b = subjects[i];
    const std::string shoe = "shoe '" + a.shoe + "' ";
    if (a.foot != b.foot) {
      refuse(sources[other], sources[i],
             shoe + "is of both feet, " + a.foot + " and " + b.foot + "; a shoe is one outsole: name each apart");
    }
    if (a.pair != b.pair) {
      refuse(sources[other], sources[i],
             shoe + "is of two pairs, '" + a.pair + "' and '" + b.pair + "'; a shoe is one outsole: name each apart");
    }
  }
}

// --- Dates ----------------------------------------------------------------------------------------------------------

bool names_a_date(const std::string& column) {
  const std::string name = folded(column);
  const auto is_letter = [&](std::size_t i) { return i < name.size() && name[i] >= 'a' && name[i] <= 'z'; };
  for (std::size_t at = name.find("date"); at != std::string::npos; at = name.find("date", at + 1)) {
    if (!(at > 0 && is_letter(at - 1)) && !is_letter(at + 4)) return true;
  }
  return false;
}

std::optional<std::string> date_column(std::span<const ImageSource> sources) {
  std::set<std::string> columns;
  for (const ImageSource& source : sources) {
    for (const auto& [column, value] : source.metadata.items()) {
      if (names_a_date(column)) columns.insert(column);
    }
  }
  for (const char* usual : {"date", "scan_date", "capture_date"}) {
    const auto found = std::ranges::find(columns, usual, [](const std::string& column) { return folded(column); });
    if (found != columns.end()) return *found;
  }
  return columns.size() == 1 ? std::optional(*columns.begin()) : std::nullopt;
}

/// Two scans whose weeks and dates contradict each other.
struct Contradiction {
  std::size_t earlier = 0, later = 0;  // by week
};

std::optional<Contradiction> find_contradiction(std::span<const ScanSubject> subjects, const Dates& dates) {
  std::map<std::string, std::vector<std::size_t>> scans_of_shoe;
  for (std::size_t i = 0; i < subjects.size(); ++i) {
    if (dates.days[i]) scans_of_shoe[subjects[i].shoe].push_back(i);
  }
  for (auto& [shoe, scans] : scans_of_shoe) {
    std::ranges::stable_sort(scans, {}, [&](std::size_t scan) { return subjects[scan].week; });
    std::optional<std::size_t> latest;  // by date, of those of earlier weeks
    for (std::size_t begin = 0; begin < scans.size();) {
      std::size_t end = begin;
      std::optional<std::size_t> latest_here = latest;
      for (; end < scans.size() && subjects[scans[end]].week == subjects[scans[begin]].week; ++end) {
        const std::size_t scan = scans[end];
        if (latest) {
          // A day may hold two scans, but not two whose weeks differ by one.
          const bool is_other_week = subjects[scan].week - subjects[*latest].week >= 1;
          const double days = *dates.days[scan] - *dates.days[*latest];
          if (days < 0 || (days == 0 && is_other_week)) return Contradiction{*latest, scan};
        }
        if (!latest_here || *dates.days[scan] > *dates.days[*latest_here]) latest_here = scan;
      }
      latest = latest_here;
      begin = end;
    }
  }
  return std::nullopt;
}

std::string weeks_text(double weeks) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%g", weeks);
  return text.data();
}

/// Weeks against dates, of which 3/4/2021 may be 3 April or 4 March: whatever fits.
std::vector<std::string> check_dates(std::span<const ImageSource> sources, std::span<const ScanSubject> subjects) {
  const auto column = date_column(sources);
  if (!column) return {};
  std::vector<std::string> fields;
  for (const ImageSource& source : sources) fields.push_back(source.metadata.value(*column, ""));
  const std::vector<Dates> readings = read_dates(fields);
  if (readings.empty()) return {"column '" + *column + "': not all are dates, so weeks were not compared with them"};
  const auto fits =
      std::ranges::find_if(readings, [&](const Dates& dates) { return !find_contradiction(subjects, dates); });
  if (fits == readings.end()) {
    const auto [earlier, later] = *find_contradiction(subjects, readings.front());
    refuse(sources[earlier], sources[later],
           "shoe '" + subjects[later].shoe + "': week " + weeks_text(subjects[earlier].week) + " is of " +
               fields[earlier] + ", week " + weeks_text(subjects[later].week) + " of " + fields[later] +
               ": weeks go forward with '" + *column + "'");
  }
  std::vector<std::string> assumptions;
  if (readings.size() > 1) {
    assumptions.push_back("column '" + *column + "': dates are read with the " +
                          (fits->is_day_first ? "day" : "month") + " first");
  }
  if (!fits->numbers.empty()) {
    assumptions.push_back(
        "column '" + *column + "': " + std::to_string(fits->numbers.size()) +
        " dates are numbers of days, as spreadsheets make them; first: " + fields[fits->numbers.front()]);
  }
  return assumptions;
}

}  // namespace

std::optional<WeeksOfDates> weeks_of_dates(std::span<const ImageSource> sources) {
  const auto column = date_column(sources);
  if (!column) return std::nullopt;
  std::vector<std::string> fields;
  for (const ImageSource& source : sources) {
    fields.push_back(source.metadata.value(*column, ""));
    if (fields.back().empty() && !source.manifest_row.empty()) {
      throw DataError(source.manifest_row + ": no week, and " + *column + " is empty");
    }
  }
  const std::vector<Dates> readings = read_dates(fields);
  const std::string where = sources.front().manifest_row.substr(0, sources.front().manifest_row.rfind(", row "));
  if (readings.empty()) throw DataError(where + ": no column of weeks, and not all of '" + *column + "' are dates");
  for (const Dates& other : readings) {
    if (other.days != readings.front().days) {
      throw DataError(where + ": column '" + *column +
                      "' may have the day or the month first, and weeks are to be counted from it; write dates as "
                      "2021-04-03");
    }
  }
  const auto& days = readings.front().days;
  std::map<std::string, double> first;  // day, by shoe
  const auto shoe = [&](std::size_t i) { return sources[i].metadata.value("shoe", ""); };
  for (std::size_t i = 0; i < sources.size(); ++i) {
    if (!days[i]) continue;
    const auto known = first.emplace(shoe(i), *days[i]).first;
    known->second = std::min(known->second, *days[i]);
  }
  WeeksOfDates result{*column, {}};
  for (std::size_t i = 0; i < sources.size(); ++i) {
    constexpr double kDays = 7;
    result.weeks.push_back(days[i] ? nlohmann::json((*days[i] - first[shoe(i)]) / kDays).dump() : "");
  }
  return result;
}

std::vector<std::string> check_scans(std::span<const ImageSource> sources, std::span<const ScanSubject> subjects) {
  check_names(sources, subjects, "shoes", &ScanSubject::shoe);
  check_names(sources, subjects, "pairs", &ScanSubject::pair);
  check_feet_and_pairs(sources, subjects);
  return check_dates(sources, subjects);
}

}  // namespace outsole::ingest
