#pragma once
// The lists of a results store, and the files that they name.

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "image/pose.h"
#include "ingest/exemplars.h"
#include "report/search_rows.h"
#include "retrieval/labels.h"
#include "retrieval/mark_features.h"
#include "store/store.h"

namespace outsole::report {

/// One exemplar of a mark's stored list.
struct ListEntry {
  std::int64_t exemplar;  // position in exemplar_ids
  double score;
  image::MarkPose pose;
};

/// The lists of a results store, mark by mark.
struct ResultLists {
  ResultLists() = default;
  explicit ResultLists(const store::Store& results);
  /// Of a search that may not be finished. Its exemplars' ids are then not there yet: `exemplars` are the index's.
  ResultLists(const SearchRows& results, std::vector<std::string> exemplars);

  /// The first entries of a mark's list; it may be shorter than its row, where positions are negative. Throws DataError
  /// for a position or a pose that does not exist.
  std::vector<ListEntry> head(std::size_t row, std::int64_t count) const;

  std::vector<std::string> mark_ids, mark_sha256, exemplar_ids;
  std::int64_t length = 0;
  std::vector<double> scale, mark_dpi;  // 0: not known
  std::vector<std::int32_t> exemplar;
  std::vector<float> score;
  std::vector<double> angle_deg, y_px, x_px;
  std::vector<std::uint8_t> mirrored;

 private:
  template <typename Results>
  void read_from(const Results& results);
};

/// How the marks were searched, as the results say.
retrieval::SearchProtocol protocol_of(const nlohmann::json& parameters);

/// Throws UsageError unless results of these parameters are of the index, or of it and others as one database, which
/// see marks and exemplars alike.
void require_index_of(const nlohmann::json& parameters, const store::Store& index);

/// A mark that gets a picture.
struct PicturedMark {
  std::int64_t row = 0;                      // of the results
  std::vector<std::int64_t> true_exemplars;  // positions in exemplar_ids, ascending; empty where nobody knows
  std::string note;
};

std::vector<PicturedMark> all_marks(const ResultLists& lists);

/// Those that labels name, with a note of where the true exemplar stands.
std::vector<PicturedMark> labelled_marks(const store::Store& results, const ResultLists& lists,
                                         const retrieval::Labels& labels);

/// The files of these marks, by row. Throws DataError for one that is missing or not the file that was searched.
std::map<std::int64_t, std::filesystem::path> files_of_marks(const std::vector<std::filesystem::path>& inputs,
                                                             const ResultLists& lists,
                                                             std::span<const PicturedMark> marks);

/// The same without a look into the files; a mark without one is left out.
std::map<std::int64_t, std::filesystem::path> find_files_of_marks(const std::vector<std::filesystem::path>& inputs,
                                                                  const ResultLists& lists);

/// Where the store at `path` keeps each exemplar of the results. Throws DataError for one that it lacks.
std::vector<std::int64_t> places_of_exemplars(const std::filesystem::path& path, const ingest::ExemplarStore& exemplars,
                                              const std::vector<std::string>& ids);

/// A name as a part of a file's name: all but letters, digits, '.', '_' and '-' become %XX. No two names become one.
std::string file_name_part(const std::string& name);

}  // namespace outsole::report
