#include "ingest/manifest.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include "core/csv.h"
#include "core/errors.h"
#include "core/folded.h"
#include "core/id_lookup.h"

namespace outsole::ingest {

namespace fs = std::filesystem;

namespace {

// --- Columns --------------------------------------------------------------------------------------------------------

/// Letters and digits of a column's name, cut where anything else stands.
std::vector<std::string> words_of(const std::string& name) {
  std::vector<std::string> words(1);
  for (const char c : folded(name)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80 || std::isalnum(byte) != 0) {
      words.back() += c;
    } else if (!words.back().empty()) {
      words.emplace_back();
    }
  }
  if (words.size() > 1 && words.back().empty()) words.pop_back();
  return words;
}

/// Whether one letter more, less or other, or letters in another order, make one word of the other.
bool differs_by_a_slip(const std::string& a, const std::string& b) {
  const auto differs_before = [&] { return std::ranges::mismatch(a, b).in1 - a.begin(); };
  const auto longer = std::max(a.size(), b.size()), shorter = std::min(a.size(), b.size());
  if (longer - shorter > 1) return false;
  const auto begin = static_cast<std::size_t>(differs_before());
  const std::string rest_a = a.substr(std::min(a.size(), begin + (a.size() >= b.size() ? 1 : 0))),
                    rest_b = b.substr(std::min(b.size(), begin + (b.size() >= a.size() ? 1 : 0)));
  if (rest_a == rest_b) return true;
  const auto sorted = [](std::string word) {
    std::ranges::sort(word);
    return word;
  };
  return longer == shorter && a.front() == b.front() && sorted(a) == sorted(b);
}

/// Whether a word is `known` with a slip, or with an ending ("mirrored").
bool nearly_is(const std::string& word, const std::string& known) {
  if (word == known) return true;
  if (known.size() < 4 || word.empty()) return false;
  return differs_by_a_slip(word, known) || (word.starts_with(known) && word.size() <= known.size() + 3);
}

/// Whether a column's name may have been meant as `known`.
bool is_near_miss(const std::string& column, const std::string& known) {
  std::string all;
  for (const std::string& word : words_of(column)) {
    if (nearly_is(word, known)) return true;
    all += word;
  }
  std::string joined;
  for (const std::string& word : words_of(known)) joined += word;
  return nearly_is(all, joined);
}

/// Gives columns that mean something their own names, and refuses those that may have been meant so.
void name_columns(const SourceOptions& options, CsvTable& table, SourceList& list) {
  std::vector<std::string> known = {"file", "id"};
  known.insert(known.end(), options.columns.begin(), options.columns.end());
  std::set<std::size_t> taken;
  std::vector<std::string> absent;
  for (const std::string& name : known) {
    const auto column = table.find_column(name);
    if (column) {
      table.columns[*column] = name;
      taken.insert(*column);
    } else {
      absent.push_back(name);
    }
  }
  const bool has_key = table.find_column("file") || table.find_column("id");
  if (has_key) std::erase_if(absent, [](const std::string& name) { return name == "file" || name == "id"; });
  for (std::size_t column = 0; column < table.columns.size(); ++column) {
    if (taken.contains(column)) continue;
    const std::string& name = table.columns[column];
    for (const std::size_t other : taken) {
      if (folded(name) != folded(table.columns[other])) continue;
      throw DataError(table.path.string() + ": columns '" + table.columns[other] + "' and '" + name +
                      "' differ only by case; rename or remove one");
    }
    const auto meant = std::ranges::find_if(absent, [&](const auto& wanted) { return is_near_miss(name, wanted); });
    if (meant == absent.end()) continue;
    const std::string text = table.path.string() + ": column '" + name + "' may mean '" + *meant + "'";
    if (!options.lenient) throw DataError(text + "; rename it to that, or to another name, or keep it by `lenient`");
    list.assumptions.push_back(text + " but is kept as it is");
  }
  if (!has_key) throw DataError(table.path.string() + ": neither a column 'file' nor a column 'id'");
}

// --- Rows -----------------------------------------------------------------------------------------------------------

std::string row_name(const CsvTable& table, std::size_t row) {
  return table.path.string() + ", row " + std::to_string(row + 1);
}

/// Whether `value` is what is wanted or, where commas part it, one of the words that are.
bool is_wanted(const std::string& value, const std::string& wanted) {
  if (value == wanted) return true;
  for (std::size_t begin = 0; begin <= wanted.size();) {
    const std::size_t end = std::min(wanted.find(',', begin), wanted.size());
    if (wanted.compare(begin, end - begin, value) == 0) return true;
    begin = end + 1;
  }
  return false;
}

bool passes(const CsvTable& table, std::size_t row, const std::vector<ColumnFilter>& where) {
  std::map<std::size_t, bool> holds;  // by column
  for (const ColumnFilter& filter : where) {
    const std::size_t column = table.column(filter.column);
    holds[column] = holds[column] || is_wanted(table.rows[row][column], filter.value);
  }
  return std::ranges::all_of(holds, [](const auto& entry) { return entry.second; });
}

fs::path comparable(const fs::path& path) { return fs::absolute(path).lexically_normal(); }

/// The source that a row means, and whether it says so to the letter.
struct Match {
  std::size_t source = 0;
  bool is_exact = true;
};

/// Finds the source that a row's file means.
class FileFinder {
 public:
  FileFinder(const std::vector<ImageSource>& sources, const SourceOptions& options)
      : folders_{options.manifest->parent_path()} {
    for (const fs::path& input : options.inputs) {
      if (fs::is_directory(input)) folders_.push_back(input);
    }
    for (std::size_t i = 0; i < sources.size(); ++i) {
      const std::string place = comparable(sources[i].file).string();
      source_of_place_[place] = i;
      sources_like_[folded(place)].push_back(i);
      sources_named_[folded(sources[i].file.filename().string())].push_back(i);
    }
  }

  std::optional<Match> find(const std::string& key) const {
    for (const fs::path& folder : folders_) {
      const auto found = source_of_place_.find(comparable(folder / key).string());
      if (found != source_of_place_.end()) return Match{found->second, true};
    }
    std::string name = key;
    std::ranges::replace(name, '\\', '/');
    for (const fs::path& folder : folders_) {
      if (const auto match = only_one(sources_like_, folded(comparable(folder / name).string()), key)) return match;
    }
    if (name.find('/') != std::string::npos) return std::nullopt;
    return only_one(sources_named_, folded(name), key);
  }

 private:
  using Sources = std::unordered_map<std::string, std::vector<std::size_t>>;

  static std::optional<Match> only_one(const Sources& sources, const std::string& name, const std::string& key) {
    const auto found = sources.find(name);
    if (found == sources.end()) return std::nullopt;
    if (found->second.size() > 1) {
      throw DataError("'" + key + "' is ambiguous: " + std::to_string(found->second.size()) +
                      " images are named so; say in which folder it lies");
    }
    return Match{found->second.front(), false};
  }

  std::vector<fs::path> folders_;
  std::unordered_map<std::string, std::size_t> source_of_place_;
  Sources sources_like_, sources_named_;  // by folded place, by folded name
};

/// Finds the source that a row's id means.
class IdFinder {
 public:
  IdFinder(const std::vector<ImageSource>& sources, const CsvTable& table, std::size_t key_column) {
    for (const ImageSource& source : sources) ids_.push_back(source.id);
    lookup_.emplace(ids_, "image");
    for (const auto& row : table.rows) keys_.insert(row[key_column]);
  }

  std::optional<Match> find(const std::string& key) const {
    const std::vector<std::int64_t>& matches = lookup_->matches(key);
    if (matches.size() > 1 && names_each(matches)) {
      const auto same = std::ranges::find_if(matches, [&](std::int64_t match) { return id(match) == key; });
      if (same != matches.end()) return Match{static_cast<std::size_t>(*same), true};
    }
    const auto match = lookup_->find(key);
    if (!match) return std::nullopt;
    return Match{static_cast<std::size_t>(*match), id(*match) == key};
  }

 private:
  const std::string& id(std::int64_t match) const { return ids_[static_cast<std::size_t>(match)]; }

  /// A table that has rows for 1 and for 001 has lost no zeros.
  bool names_each(const std::vector<std::int64_t>& matches) const {
    return std::ranges::all_of(matches, [&](std::int64_t match) { return keys_.contains(id(match)); });
  }

  std::vector<std::string> ids_;
  std::optional<IdLookup> lookup_;
  std::set<std::string> keys_;
};

/// Of each row the source it means, or nothing. Throws DataError naming the row when that is open.
std::vector<std::optional<Match>> match_rows(const CsvTable& table, const std::vector<ImageSource>& sources,
                                             const SourceOptions& options, bool by_file) {
  const std::size_t key_column = table.column(by_file ? "file" : "id");
  std::optional<FileFinder> files;
  std::optional<IdFinder> ids;
  if (by_file) {
    files.emplace(sources, options);
  } else {
    ids.emplace(sources, table, key_column);
  }
  std::vector<std::optional<Match>> matches;
  for (std::size_t row = 0; row < table.rows.size(); ++row) {
    const std::string& key = table.rows[row][key_column];
    try {
      matches.push_back(by_file ? files->find(key) : ids->find(key));
    } catch (const DataError& error) {
      throw DataError(row_name(table, row) + ": " + error.what());
    }
  }
  return matches;
}

/// Adds the files of folders below that rows name; the others there are accounted for one by one.
std::vector<std::optional<Match>> match_rows_below(const CsvTable& table, const SourceOptions& options,
                                                   SourceList& list) {
  SourceList all = list_files(options.inputs, /*recursive=*/true);
  const auto matches = match_rows(table, all.sources, options, /*by_file=*/true);
  std::set<fs::path> kept;
  for (const ImageSource& source : list.sources) kept.insert(source.file);
  const auto size_before = kept.size();
  for (const auto& match : matches) {
    if (match) kept.insert(all.sources[match->source].file);
  }
  if (kept.size() == size_before) return match_rows(table, list.sources, options, /*by_file=*/true);
  list.not_read = std::move(all.not_read);
  list.sources.clear();
  for (ImageSource& source : all.sources) {
    if (kept.contains(source.file)) {
      list.sources.push_back(std::move(source));
    } else {
      list.not_read.push_back({source.file, NotReadBecause::kFolder});
    }
  }
  return match_rows(table, list.sources, options, /*by_file=*/true);
}

void apply_row(const CsvTable& table, std::size_t row, ImageSource& source) {
  source.manifest_row = row_name(table, row);
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    const std::string& column = table.columns[i];
    if (column != "file" && column != "id") source.metadata[column] = table.rows[row][i];
  }
}

// --- Rows without a file --------------------------------------------------------------------------------------------

/// What a spreadsheet may have made of the key; empty: nothing that can be told.
std::string spoilt_by_spreadsheet(const std::string& key) {
  constexpr std::array<std::string_view, 12> kMonths = {"jan", "feb", "mar", "apr", "may", "jun",
                                                        "jul", "aug", "sep", "oct", "nov", "dec"};
  const std::vector<std::string> words = words_of(key);
  const auto is_number = [](std::string_view word) {
    return !word.empty() && word.find_first_not_of("0123456789") == std::string_view::npos;
  };
  const auto is_month = [&](const std::string& word) {
    return word.size() == 3 && std::ranges::find(kMonths, word) != kMonths.end();
  };
  if ((words.size() == 2 || words.size() == 3) && std::ranges::count_if(words, is_month) == 1 &&
      std::ranges::count_if(words, is_number) == std::ssize(words) - 1) {
    return "; a spreadsheet may have made a date of it";
  }
  const std::size_t exponent = key.find_first_of("eE");
  const auto is_numeric = [](std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789.,+-") == std::string_view::npos;
  };
  const bool is_scientific =
      exponent != std::string::npos && is_numeric(key.substr(0, exponent)) && is_numeric(key.substr(exponent + 1));
  if (is_scientific || (is_numeric(key) && !is_number(key))) return "; a spreadsheet may have made a number of it";
  return "";
}

/// One sentence on a row that means no source.
std::string sentence_without_file(const CsvTable& table, std::size_t row, const std::string& key, bool by_file,
                                  const SourceList& list) {
  std::string text = row_name(table, row) + ": ";
  if (key.empty()) return text + "names no image";
  const fs::path path(key);
  for (const NotRead& entry : list.not_read) {
    const bool is_meant = by_file ? folded(entry.path.filename().string()) == folded(path.filename().string())
                                  : folded(entry.path.stem().string()) == folded(key);
    if (is_meant) return text + "'" + key + "' is there, but not read (" + text_of(entry.reason).name + ")";
  }
  return text + "'" + key + "' is not among the inputs" + spoilt_by_spreadsheet(key);
}

void require_files(const SourceOptions& options, const SourceList& list) {
  if (options.lenient || list.rows_without_file.empty()) return;
  const auto more = list.rows_without_file.size() - 1;
  throw DataError(list.rows_without_file.front() +
                  (more > 0 ? " (nor are those of " + std::to_string(more) + " more rows)" : "") +
                  "; `lenient` goes on without");
}

/// The manifest is no file that was left out.
void take_off_list(const fs::path& manifest, std::vector<NotRead>& not_read) {
  std::erase_if(not_read, [&](const NotRead& entry) {
    std::error_code error;
    return entry.path.filename() == manifest.filename() && fs::equivalent(entry.path, manifest, error);
  });
}

}  // namespace

void join_manifest(const SourceOptions& options, SourceList& list) {
  CsvTable table = read_csv(*options.manifest);
  name_columns(options, table, list);
  for (const ColumnFilter& filter : options.where) table.column(filter.column);
  const bool by_file = table.find_column("file").has_value();
  const std::size_t key_column = table.column(by_file ? "file" : "id");
  if (!by_file) check_ids(list.sources);
  take_off_list(*options.manifest, list.not_read);

  auto matches = match_rows(table, list.sources, options, by_file);
  const bool lacks_some = std::ranges::any_of(matches, [](const auto& match) { return !match; });
  if (by_file && !options.recursive && lacks_some) {
    matches = match_rows_below(table, options, list);
    take_off_list(*options.manifest, list.not_read);
  }
  std::vector<std::optional<std::size_t>> row_of_source(list.sources.size());
  std::size_t inexact = 0;
  std::string first_inexact;
  for (std::size_t row = 0; row < table.rows.size(); ++row) {
    const std::string& key = table.rows[row][key_column];
    if (!matches[row]) {
      if (passes(table, row, options.where)) {
        list.rows_without_file.push_back(sentence_without_file(table, row, key, by_file, list));
      }
      continue;
    }
    const auto [source, is_exact] = *matches[row];
    if (const auto other = row_of_source[source]) {
      throw DataError(row_name(table, row) + ": '" + key + "' has a row already, row " + std::to_string(*other + 1));
    }
    row_of_source[source] = row;
    if (is_exact) continue;
    if (inexact++ == 0) {
      first_inexact = "'" + key + "' is " + (by_file ? list.sources[source].file.string() : list.sources[source].id);
    }
  }
  require_files(options, list);
  if (inexact > 0) {
    list.assumptions.push_back(
        table.path.string() + ": " + std::to_string(inexact) +
        " rows name their image but for zeros, case, Unicode normal form or folder; first: " + first_inexact);
  }

  std::vector<ImageSource> all = std::exchange(list.sources, {});
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto row = row_of_source[i];
    if (!row) list.files_without_row.push_back(all[i].file.string() + ": has no row in " + table.path.string());
    if (row ? !passes(table, *row, options.where) : !options.where.empty()) continue;
    if (row) apply_row(table, *row, all[i]);
    list.sources.push_back(std::move(all[i]));
  }
}

}  // namespace outsole::ingest
