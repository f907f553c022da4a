#pragma once
// What the pages of a report are made of: results, exemplars, marks, and what else was given.

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "report/exemplar_stores.h"
#include "report/result_lists.h"
#include "report/search_rows.h"
#include "retrieval/labels.h"
#include "retrieval/mark_features.h"
#include "retrieval/open_index.h"
#include "retrieval/score_meaning.h"

namespace outsole::report {

struct ReportOptions {
  std::filesystem::path results;                 // search results, finished or not
  std::vector<std::filesystem::path> exemplars;  // the exemplar stores that were indexed
  std::vector<std::filesystem::path> marks;      // images or folders: the marks that were searched
  std::filesystem::path output;                  // folder
  std::vector<std::filesystem::path> indexes;    // that were searched as one database; empty: not given
  std::string weights_path;                      // of their extractor, if it has weights
  std::filesystem::path labels, groups;          // CSV; empty: not given
  std::filesystem::path evaluation;              // JSON of evaluate_retrieval; empty: not given
  std::string title;                             // of the list; empty: the results' name
  std::int64_t candidates = 20;                  // shown of each mark, at most
  std::int64_t relevance = 1;                    // of them, how many get pictures of what makes them alike
  std::int64_t picture_px = 4096;                // longest side of a picture
  bool strict = false;                           // a mark or an exemplar without a picture is an error
  std::vector<std::string> command_line;
  std::string versions;  // of outsole and of the libraries, as people read them
};

struct PageInputs {
  ReportOptions options;
  SearchRows results;
  ResultLists lists;
  ExemplarStores exemplars;
  std::vector<std::int64_t> places;  // of each exemplar of the lists in the stores; -1: they lack it
  std::map<std::int64_t, std::filesystem::path> mark_files;  // by row
  std::optional<retrieval::IndexParameters> index;           // the first, where one was given
  std::vector<retrieval::IndexParameters> indexes;           // all that were given
  std::vector<std::string> index_sha256;                     // of each
  std::optional<retrieval::OpenIndex> extractor;             // the same as one, with what computes features
  std::optional<retrieval::Truth> truth;                     // where labels were given
  std::vector<std::int64_t> treads;                          // a group of each exemplar; empty: not known
  nlohmann::json evaluation;                                 // null: not given
  std::vector<std::string> lacks;                            // of the whole report, in words
  std::optional<retrieval::ScoreCalibration> calibration;    // of the evaluation, where it is of such a search

  std::int64_t marks() const { return std::ssize(lists.mark_ids); }
  /// What the results say of how they were made.
  const nlohmann::json& parameters() const { return results.header().parameters; }
  /// Every exemplar's score of a mark, NaN where it was left out; empty without --all-scores.
  std::vector<float> scores(std::int64_t row) const;
  /// The mark's list, as long as it is shown.
  std::vector<ListEntry> list(std::int64_t row) const;
};

/// Opens all of it, the same on every rank. Throws UsageError for an index that is not the results', and for an
/// unfinished search without its indexes; DataError as the parts do, and where the exemplars of an index are not given.
/// Collective.
PageInputs open_page_inputs(const comm::Communicator& comm, const ReportOptions& options);

/// What decides the pages' bytes: SHA-256 of inputs by their role, and options.
nlohmann::json made_of(const PageInputs& inputs);

/// The name of a mark's page and pictures, and of an exemplar's: a number, since ids may hold anything.
std::string page_name(std::int64_t number);

}  // namespace outsole::report
