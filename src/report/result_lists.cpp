#include "report/result_lists.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <utility>

#include "core/errors.h"
#include "core/files.h"
#include "core/input_files.h"
#include "core/sha256.h"
#include "image/image.h"
#include "retrieval/evaluate_retrieval.h"
#include "retrieval/mark_account.h"

namespace outsole::report {

namespace fs = std::filesystem;

namespace {

std::map<std::string, fs::path> files_by_id(const std::vector<fs::path>& inputs, bool recursive) {
  std::map<std::string, fs::path> files;
  for (const fs::path& file : find_inputs(inputs, image::image_extensions(), recursive).files) {
    files.emplace(id_of(file), file);
  }
  return files;
}

}  // namespace

template <typename Results>
void ResultLists::read_from(const Results& results) {
  const auto take = [&]<typename T>(const char* dataset, std::vector<T>& values) {
    values = std::get<std::vector<T>>(results.read(dataset).values);
  };
  take("mark_id", mark_ids);
  take("mark_sha256", mark_sha256);
  take("scale", scale);
  take("top_exemplar", exemplar);
  take("top_score", score);
  take("top_angle_deg", angle_deg);
  take("top_y_px", y_px);
  take("top_x_px", x_px);
  take("top_mirrored", mirrored);
  mark_dpi.assign(scale.size(), 0);
  if (results.has("mark_dpi")) take("mark_dpi", mark_dpi);
  length = mark_ids.empty() ? 0 : std::ssize(exemplar) / std::ssize(mark_ids);
}

ResultLists::ResultLists(const store::Store& results) : exemplar_ids(retrieval::read_ids(results, "exemplar_id")) {
  read_from(results);
}

ResultLists::ResultLists(const SearchRows& results, std::vector<std::string> exemplars)
    : exemplar_ids(std::move(exemplars)) {
  read_from(results);
}

std::vector<ListEntry> ResultLists::head(std::size_t row, std::int64_t count) const {
  std::vector<ListEntry> entries;
  for (std::int64_t place = 0; place < std::min(count, length); ++place) {
    const auto at = row * static_cast<std::size_t>(length) + static_cast<std::size_t>(place);
    if (exemplar[at] < 0) break;
    if (exemplar[at] >= std::ssize(exemplar_ids)) {
      throw DataError("mark '" + mark_ids[row] + "': its list names exemplar " + std::to_string(exemplar[at]) + " of " +
                      std::to_string(exemplar_ids.size()));
    }
    const bool is_pose = std::isfinite(angle_deg[at]) && std::isfinite(y_px[at]) && std::isfinite(x_px[at]) &&
                         std::isfinite(scale[row]) && scale[row] > 0;
    if (!is_pose) throw DataError("mark '" + mark_ids[row] + "': its list holds an impossible pose");
    entries.push_back({exemplar[at], score[at], {angle_deg[at], y_px[at], x_px[at], scale[row], mirrored[at] != 0}});
  }
  return entries;
}

retrieval::SearchProtocol protocol_of(const nlohmann::json& parameters) {
  retrieval::SearchProtocol protocol;
  protocol.as_they_lie = parameters.value("as_they_lie", false);
  protocol.angles_deg = parameters.value("angles_deg", protocol.angles_deg);
  protocol.stride_px = parameters.value("stride_px", protocol.stride_px);
  protocol.erosion_fraction = parameters.value("erosion_fraction", protocol.erosion_fraction);
  if (parameters.contains("mark_dpi")) protocol.mark_dpi = parameters["mark_dpi"].get<double>();
  retrieval::read_parameters_of_marks(parameters, protocol);
  return protocol;
}

void require_index_of(const nlohmann::json& parameters, const store::Store& index) {
  const nlohmann::json searched = parameters.value("index_sha256", nlohmann::json()), own = index.sha256();
  if (searched == own || (searched.is_array() && std::ranges::find(searched, own) != searched.end())) return;
  throw UsageError("`index` " + index.path().string() + ": is not the index that these results are of");
}

std::vector<PicturedMark> all_marks(const ResultLists& lists) {
  std::vector<PicturedMark> marks(lists.mark_ids.size());
  for (std::size_t row = 0; row < marks.size(); ++row) marks[row].row = static_cast<std::int64_t>(row);
  return marks;
}

std::vector<PicturedMark> labelled_marks(const store::Store& results, const ResultLists& lists,
                                         const retrieval::Labels& labels) {
  const retrieval::Truth truth = retrieval::resolve_labels(labels, lists.mark_ids, lists.exemplar_ids);
  const retrieval::RetrievalRanks ranks = retrieval::rank_true_exemplars(results, truth);
  std::vector<PicturedMark> marks;
  for (std::size_t i = 0; i < ranks.mark_rows.size(); ++i) {
    const auto& found = ranks.ranks[i].ranks;
    const std::int64_t row = ranks.mark_rows[i];
    marks.push_back({row, truth.exemplars[static_cast<std::size_t>(row)],
                     found.empty() ? "true one beyond list" : "true one at " + std::to_string(found.front())});
  }
  return marks;
}

std::map<std::int64_t, fs::path> files_of_marks(const std::vector<fs::path>& inputs, const ResultLists& lists,
                                                std::span<const PicturedMark> marks) {
  auto by_id = files_by_id(inputs, /*recursive=*/false);
  bool knows_all = false;  // also files of folders below, for results of a recursive search
  std::map<std::int64_t, fs::path> files;
  for (const auto& [row, true_exemplars, note] : marks) {
    const std::string& id = lists.mark_ids[static_cast<std::size_t>(row)];
    auto found = by_id.find(id);
    if (found == by_id.end() && !std::exchange(knows_all, true)) {
      by_id.merge(files_by_id(inputs, /*recursive=*/true));
      found = by_id.find(id);
    }
    if (found == by_id.end()) throw DataError("mark '" + id + "': no image of this name among `marks`");
    if (sha256_of_file(found->second) != lists.mark_sha256[static_cast<std::size_t>(row)]) {
      throw DataError(found->second.string() + ": is not the file that was searched as mark '" + id +
                      "' (SHA-256 differs)");
    }
    files.emplace(row, found->second);
  }
  return files;
}

std::map<std::int64_t, fs::path> find_files_of_marks(const std::vector<fs::path>& inputs, const ResultLists& lists) {
  auto by_id = files_by_id(inputs, /*recursive=*/false);
  const auto is_there = [&](const std::string& id) { return by_id.contains(id); };
  if (!std::ranges::all_of(lists.mark_ids, is_there)) by_id.merge(files_by_id(inputs, /*recursive=*/true));
  std::map<std::int64_t, fs::path> files;
  for (std::size_t row = 0; row < lists.mark_ids.size(); ++row) {
    const auto found = by_id.find(lists.mark_ids[row]);
    if (found != by_id.end()) files.emplace(static_cast<std::int64_t>(row), found->second);
  }
  return files;
}

std::vector<std::int64_t> places_of_exemplars(const fs::path& path, const ingest::ExemplarStore& exemplars,
                                              const std::vector<std::string>& ids) {
  std::map<std::string, std::int64_t> stored;
  for (const std::string& id : exemplars.ids()) stored.emplace(id, std::ssize(stored));
  std::vector<std::int64_t> places;
  for (const std::string& id : ids) {
    const auto found = stored.find(id);
    if (found == stored.end())
      throw DataError(path.string() + ": has no exemplar '" + id + "', which the results name");
    places.push_back(found->second);
  }
  return places;
}

std::string file_name_part(const std::string& name) {
  std::string part;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    const bool is_plain = byte < 128 && (std::isalnum(byte) != 0 || c == '.' || c == '_' || c == '-');
    char code[4];
    std::snprintf(code, sizeof code, "%%%02X", byte);
    part += is_plain ? std::string(1, c) : code;
  }
  return part;
}

}  // namespace outsole::report
