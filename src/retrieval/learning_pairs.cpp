#include "retrieval/learning_pairs.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "comm/from_root.h"
#include "core/checked.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/sha256.h"
#include "ingest/image_sources.h"
#include "machine/memory_budget.h"
#include "match/column_ncc.h"
#include "match/lanes.h"
#include "match/support.h"
#include "retrieval/exemplar_blocks.h"
#include "retrieval/folds.h"
#include "retrieval/labels.h"
#include "retrieval/mark_account.h"
#include "retrieval/search_results.h"
#include "store/make_store.h"

namespace outsole::retrieval {

namespace {

using nlohmann::json;

constexpr std::int64_t kPairUnits = 512;  // marks share a shard when there are more of them

// --- What the search found ------------------------------------------------------------------------------------------

/// An exemplar at its best pose, as results tell it.
struct Found {
  std::int32_t exemplar = 0;
  float score = 0;
  double angle_deg = 0, y_px = 0, x_px = 0;
  std::optional<bool> mirrored = {};
};

/// Results of the search that poses are taken from. Throws DataError unless they are those of this index and protocol,
/// with all scores.
void require_results(const store::Store& results, const OpenIndex& index, const SearchProtocol& protocol) {
  const std::string name = results.path().string();
  const json& parameters = results.header().parameters;
  const auto require = [&](const char* entry, const json& wanted, const char* option) {
    if (parameters.is_object() && parameters.contains(entry) && parameters[entry] == wanted) return;
    throw DataError(name + ": results of another search: its '" + entry + "' is not " + wanted.dump() + "; give the `" +
                    option + "` it was made with, or let the marks be searched anew");
  };
  require("index_sha256", index.sha256(), "index");
  if (parameters.contains("exemplars_list_sha256") || parameters.contains("withdrawn_sha256")) {
    throw DataError(name + ": of a part of the index only; search without `exemplars_list` and `withdrawn`");
  }
  require("angles_deg", protocol.angles_deg, "angles_deg");
  require("stride_px", protocol.stride_px, "stride_px");
  require("erosion_fraction", protocol.erosion_fraction, "erosion");
  require("similarity", match::name_of(match::Similarity()), "similarity");
  const json mark_dpi = protocol.mark_dpi ? json(*protocol.mark_dpi) : json();
  if (parameters.value("mark_dpi", json()) != mark_dpi) {
    throw DataError(name + ": results of another search: its 'mark_dpi' is not " +
                    (protocol.mark_dpi ? mark_dpi.dump() : "what the files say") +
                    "; give the `mark_dpi` it was made with");
  }
  const json of_marks = parameters_of_marks(protocol);
  for (const std::string entry : {"overhang", "fit_frame", "all_around", "mirrored", "mark_filter", "mark_ruler"}) {
    if (parameters.value(entry, json()) == of_marks.value(entry, json())) continue;
    throw DataError(name + ": results of another search: its '" + entry + "' is another; give the `" + entry +
                    "` it was made with, or let the marks be searched anew");
  }
  if (parameters.contains("metric_sha256")) throw DataError(name + ": found by a learned metric, not by plain MCNCC");
  if (!results.has("score") || parameters.contains("coarse")) {
    throw DataError(name + ": does not hold every exemplar's pose; search with --all-scores and without --coarse");
  }
}

/// Every exemplar as the search found it for the mark of `row`.
std::vector<Found> read_found(const store::Store& results, std::int64_t row) {
  const auto numbers = [&](const char* name) {
    return std::get<std::vector<double>>(results.read(name, row, 1).values);
  };
  const auto score = std::get<std::vector<float>>(results.read("score", row, 1).values);
  const auto angle_deg = numbers("angle_deg"), y_px = numbers("y_px"), x_px = numbers("x_px");
  std::vector<Found> found;
  for (std::size_t i = 0; i < score.size(); ++i) {
    found.push_back({narrow<std::int32_t>(std::ssize(found)), score[i], angle_deg[i], y_px[i], x_px[i]});
  }
  if (!results.has("mirrored")) return found;
  const auto mirrored = std::get<std::vector<std::uint8_t>>(results.read("mirrored", row, 1).values);
  for (std::size_t i = 0; i < found.size(); ++i) found[i].mirrored = mirrored[i] != 0;
  return found;
}

// --- Marks and their pairs ------------------------------------------------------------------------------------------

/// A mark that has a label, and was searched.
struct LabelledMark {
  std::filesystem::path file;
  std::string id, sha256;
  std::int64_t row = 0;  // of the results
  std::vector<std::int64_t> true_exemplars;
};

json to_json(const LabelledMark& mark) {
  return {{"file", mark.file.string()},
          {"id", mark.id},
          {"sha256", mark.sha256},
          {"row", mark.row},
          {"true", mark.true_exemplars}};
}

LabelledMark from_json(const json& value) {
  return {value.at("file").get<std::string>(), value.at("id"), value.at("sha256"), value.at("row"),
          value.at("true").get<std::vector<std::int64_t>>()};
}

std::map<std::string, std::filesystem::path> files_by_id(const PairOptions& options) {
  std::map<std::string, std::filesystem::path> files;
  for (const ingest::ImageSource& source :
       ingest::list_image_sources({.inputs = options.marks, .recursive = options.recursive}).sources) {
    files[id_of(source.file)] = source.file;
  }
  return files;
}

/// On one rank.
std::vector<LabelledMark> find_labelled_marks(const PairOptions& options, const OpenIndex& index,
                                              const store::Store& results) {
  const auto ids = std::get<std::vector<std::string>>(results.read("mark_id").values);
  const auto sha256 = std::get<std::vector<std::string>>(results.read("mark_sha256").values);
  const Truth truth = resolve_labels(read_labels(options.labels), ids, index.ids);
  const auto files = files_by_id(options);
  std::vector<LabelledMark> marks;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (truth.exemplars[i].empty()) continue;
    const auto file = files.find(ids[i]);
    if (file == files.end()) continue;  // results may be of more marks than are to be learned from
    if (sha256_of_file(file->second) != sha256[i]) {
      throw DataError(file->second.string() + ": another image than was searched for " + options.results.string());
    }
    marks.push_back({file->second, ids[i], sha256[i], static_cast<std::int64_t>(i), truth.exemplars[i]});
  }
  if (marks.empty()) {
    throw DataError(options.labels.string() + ": names none of the marks, so there is nothing to learn from");
  }
  const auto without_label = std::ssize(files) - std::ssize(marks);
  if (without_label > 0) spdlog::info("{} of {} marks have no label and are left out", without_label, files.size());
  if (truth.labels_without_mark > 0) {
    spdlog::info("{}: {} rows are of marks that are not there", options.labels.string(), truth.labels_without_mark);
  }
  return marks;
}

/// The true exemplars of a mark, then the best of the wrong ones, none of which shows the tread of a true one.
std::vector<Found> choose_pairs(const LabelledMark& mark, std::vector<Found> found,
                                const std::vector<std::int64_t>& groups, std::int64_t negatives) {
  std::set<std::int64_t> true_groups;
  std::vector<Found> chosen;
  for (const std::int64_t exemplar : mark.true_exemplars) {
    chosen.push_back(found.at(static_cast<std::size_t>(exemplar)));
    true_groups.insert(groups[static_cast<std::size_t>(exemplar)]);
  }
  std::erase_if(found, [&](const Found& one) {
    return std::isnan(one.score) || true_groups.contains(groups[static_cast<std::size_t>(one.exemplar)]);
  });
  const auto is_better_found = [](const Found& a, const Found& b) {
    return a.score > b.score || (a.score == b.score && a.exemplar < b.exemplar);
  };
  const auto count = std::min(negatives, std::ssize(found));
  std::ranges::partial_sort(found, found.begin() + count, is_better_found);
  chosen.insert(chosen.end(), found.begin(), found.begin() + count);
  return chosen;
}

/// The view of a pose.
ViewTask task_of(const ScaledMark& mark, const match::Pose& pose, std::int64_t cell_px) {
  for (const match::ViewOffset& offset : match::view_offsets(mark.grid, cell_px)) {
    const auto serves = [&](std::int64_t at_px, std::int64_t offset_px) {
      return at_px >= offset_px && (at_px - offset_px) % (offset.step_cells * cell_px) == 0;
    };
    if (serves(pose.y_px, offset.offset_y_px) && serves(pose.x_px, offset.offset_x_px)) return {pose.angle, offset};
  }
  throw Bug("a pose of the grid has a view");
}

// --- The store ------------------------------------------------------------------------------------------------------

/// Blocks of the index that were read lately.
class BlockCache {
 public:
  BlockCache(const OpenIndex& index, std::int64_t memory_bytes)
      : index_(index),
        most_(std::max<std::int64_t>(
            1, memory_bytes / (index.parameters.block_floats() * static_cast<std::int64_t>(sizeof(float))))) {}

  /// [C, W, H] of one exemplar.
  at::Tensor exemplar(std::int64_t exemplar) {
    const std::int64_t lane = index_.lane_of_exemplar[static_cast<std::size_t>(exemplar)];
    const std::int64_t block = lane / match::kLanes;
    if (!blocks_.contains(block)) {
      if (std::ssize(blocks_) >= most_) blocks_.erase(blocks_.begin());
      blocks_[block] = read(block);
    }
    return blocks_[block].select(3, lane % match::kLanes);
  }

 private:
  at::Tensor read(std::int64_t block) const {
    const BlockPlace& place = index_.blocks[static_cast<std::size_t>(block)];
    StoredBlock stored = read_block(index_.store_of(place), place.row, index_.parameters);
    return widened(stored, index_.parameters);
  }

  const OpenIndex& index_;
  std::int64_t most_;
  std::map<std::int64_t, at::Tensor> blocks_;
};

/// Makes units of the store.
class PairMaker {
 public:
  PairMaker(const PairOptions& options, const OpenIndex& index, const store::Store& results,
            const std::vector<LabelledMark>& marks, const std::vector<std::int64_t>& groups,
            std::int64_t marks_per_unit, std::int64_t cache_bytes)
      : options_(options),
        index_(index),
        results_(results),
        marks_(marks),
        groups_(groups),
        marks_per_unit_(marks_per_unit),
        blocks_(index, cache_bytes) {}

  store::Columns operator()(std::int64_t unit) {
    rows_ = {};
    const std::int64_t first = unit * marks_per_unit_, last = std::min(first + marks_per_unit_, std::ssize(marks_));
    for (std::int64_t mark = first; mark < last; ++mark) add_mark(mark);
    return columns();
  }

 private:
  struct Rows {
    std::vector<std::int32_t> mark, exemplar;
    std::vector<std::uint8_t> is_true;
    std::vector<float> score, mark_columns, exemplar_columns;
    std::vector<double> angle_deg, y_px, x_px, ncc;
    std::vector<std::int64_t> lengths;
  };

  void add_mark(std::int64_t number) {
    const LabelledMark& labelled = marks_[static_cast<std::size_t>(number)];
    const ScaledMark mark = read_scaled_mark(labelled.file, index_.parameters, options_.protocol);
    if (mark.sha256 != labelled.sha256) {
      throw EnvironmentError(labelled.file.string() +
                             ": another image than rank 0 has seen; do all ranks see the same?");
    }
    const std::int64_t cell_px = index_.parameters.geometry.stride_px;
    const auto true_count = labelled.true_exemplars.size();
    const std::vector<Found> chosen =
        choose_pairs(labelled, read_found(results_, labelled.row), groups_, options_.negatives);
    std::vector<match::Pose> poses;
    std::vector<ViewTask> tasks;
    std::vector<std::size_t> task_of_pair;
    for (const Found& found : chosen) {
      const auto pose =
          pose_on_grid({found.angle_deg, found.y_px, found.x_px, found.mirrored}, found.exemplar, mark, index_);
      if (!pose) {
        throw DataError(results_.path().string() + ": the pose of exemplar '" +
                        index_.ids[static_cast<std::size_t>(found.exemplar)] + "' for mark '" + labelled.id +
                        "' is none that was searched");
      }
      const ViewTask task = task_of(mark, *pose, cell_px);
      const auto same = std::ranges::find_if(tasks, [&](const ViewTask& other) {
        return other.angle == task.angle && other.offset.offset_y_px == task.offset.offset_y_px &&
               other.offset.offset_x_px == task.offset.offset_x_px;
      });
      task_of_pair.push_back(static_cast<std::size_t>(same - tasks.begin()));
      if (same == tasks.end()) tasks.push_back(task);
      poses.push_back(*pose);
    }
    const std::vector<match::MarkView> views =
        make_views(mark, tasks, *index_.extractor, index_.parameters, options_.protocol, options_.device);
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      add_pair(narrow<std::int32_t>(number), chosen[i], i < true_count, views[task_of_pair[i]], poses[i]);
    }
  }

  void add_pair(std::int32_t mark, const Found& found, bool is_true, const match::MarkView& view,
                const match::Pose& pose) {
    const IndexParameters& p = index_.parameters;
    LearningPairs::Columns columns =
        aligned_columns(view, pose, blocks_.exemplar(found.exemplar), p.frame_cells(),
                        match::erosion_radius_cells(p.map_height, p.map_width, options_.protocol.erosion_fraction));
    // As the extractor sees them: the index has taken the response to white paper away.
    columns.exemplar += index_.channels.white.unsqueeze(1);
    if (!at::isfinite(columns.exemplar).all().item<bool>() || !at::isfinite(columns.mark).all().item<bool>()) {
      throw DataError(index_.store.path().string() + ": the features of exemplar '" +
                      index_.ids[static_cast<std::size_t>(found.exemplar)] + "', or of mark '" +
                      marks_[static_cast<std::size_t>(mark)].id + "', are not finite");
    }
    const at::Tensor ncc = match::correlate_columns(columns.mark.to(at::kDouble), columns.exemplar.to(at::kDouble),
                                                    index_.channels.flat_std)
                               .ncc;
    rows_.mark.push_back(mark);
    rows_.exemplar.push_back(found.exemplar);
    rows_.is_true.push_back(is_true);
    rows_.score.push_back(found.score);
    rows_.angle_deg.push_back(found.angle_deg);
    rows_.y_px.push_back(found.y_px);
    rows_.x_px.push_back(found.x_px);
    rows_.ncc.insert(rows_.ncc.end(), ncc.data_ptr<double>(), ncc.data_ptr<double>() + ncc.numel());
    append(columns.mark, rows_.mark_columns);
    append(columns.exemplar, rows_.exemplar_columns);
    rows_.lengths.push_back(columns.mark.numel());
  }

  static void append(const at::Tensor& values, std::vector<float>& to) {
    const at::Tensor all = values.contiguous();
    to.insert(to.end(), all.data_ptr<float>(), all.data_ptr<float>() + all.numel());
  }

  store::Columns columns() {
    const std::vector<std::int64_t> shape = {std::ssize(rows_.mark)};
    return {{"mark", {shape, std::move(rows_.mark), {}}},
            {"exemplar", {shape, std::move(rows_.exemplar), {}}},
            {"is_true", {shape, std::move(rows_.is_true), {}}},
            {"score", {shape, std::move(rows_.score), {}}},
            {"angle_deg", {shape, std::move(rows_.angle_deg), {}}},
            {"y_px", {shape, std::move(rows_.y_px), {}}},
            {"x_px", {shape, std::move(rows_.x_px), {}}},
            {"ncc", {{shape[0], index_.parameters.geometry.channels}, std::move(rows_.ncc), {}}},
            {"mark_columns", {shape, std::move(rows_.mark_columns), rows_.lengths}},
            {"exemplar_columns", {shape, std::move(rows_.exemplar_columns), rows_.lengths}}};
  }

  const PairOptions& options_;
  const OpenIndex& index_;
  const store::Store& results_;
  const std::vector<LabelledMark>& marks_;
  const std::vector<std::int64_t>& groups_;
  std::int64_t marks_per_unit_;
  BlockCache blocks_;
  Rows rows_;
};

/// What decides the content of the store.
json header_parameters(const PairOptions& options, const OpenIndex& index, const std::vector<LabelledMark>& marks) {
  json truth = json::array();
  for (const LabelledMark& mark : marks) truth.push_back({mark.id, mark.sha256, mark.true_exemplars});
  const std::string truth_text = truth.dump(-1, ' ', false, json::error_handler_t::replace);
  json parameters = {{"index_sha256", index.sha256()},
                     {"angles_deg", options.protocol.angles_deg},
                     {"stride_px", options.protocol.stride_px},
                     {"erosion_fraction", options.protocol.erosion_fraction},
                     {"negatives", options.negatives},
                     {"labels_sha256", sha256_of(std::as_bytes(std::span(truth_text)))},
                     {"groups_sha256", options.groups.empty() ? "" : sha256_of_file(options.groups)}};
  if (options.protocol.mark_dpi) parameters["mark_dpi"] = *options.protocol.mark_dpi;
  parameters.update(parameters_of_marks(options.protocol));
  return parameters;
}

store::Columns whole_columns(const std::vector<LabelledMark>& marks, const OpenIndex& index) {
  std::vector<std::string> ids, sha256;
  for (const LabelledMark& mark : marks) {
    ids.push_back(mark.id);
    sha256.push_back(mark.sha256);
  }
  return {{"mark_id", {{std::ssize(ids)}, ids, {}}},
          {"mark_sha256", {{std::ssize(ids)}, sha256, {}}},
          {"exemplar_id", {{std::ssize(index.ids)}, index.ids, {}}}};
}

}  // namespace

LearningPairs::Columns aligned_columns(const match::MarkView& view, const match::Pose& pose, const at::Tensor& exemplar,
                                       const match::FrameCells& frame, std::int64_t erosion_radius) {
  ensure(view.angle == pose.angle, "a view of the pose's angle");
  const std::int64_t margin = erosion_radius - frame.border;
  const std::int64_t shift_y = (pose.y_px - view.offset.offset_y_px) / frame.cell_px,
                     shift_x = (pose.x_px - view.offset.offset_x_px) / frame.cell_px;
  const std::int64_t top = view.origin_y - frame.border - shift_y, left = view.origin_x - frame.border - shift_x;
  const auto support = view.support.accessor<bool, 2>();
  std::vector<std::int64_t> of_mark, of_exemplar;
  for (std::int64_t y = 0; y < view.support.size(0); ++y) {
    for (std::int64_t x = 0; x < view.support.size(1); ++x) {
      const std::int64_t row = top + y, column = left + x;
      const bool is_inside =
          row >= margin && row < frame.height - margin && column >= margin && column < frame.width - margin;
      if (!support[y][x] || !is_inside) continue;
      of_mark.push_back(y * view.support.size(1) + x);
      of_exemplar.push_back(column * frame.height + row);
    }
  }
  const std::int64_t channels = view.features.size(0);
  return {view.features.reshape({channels, -1}).index_select(1, at::tensor(of_mark, at::kLong)),
          exemplar.reshape({channels, -1}).index_select(1, at::tensor(of_exemplar, at::kLong))};
}

void make_learning_pairs(const comm::Communicator& comm, const PairOptions& options, const OpenIndex& index) {
  ensure(!index.parameters.metric, "marks are laid over maps as they are");
  comm.together([&] {
    if (options.negatives < 1) throw UsageError("`negatives`: at least 1");
  });
  const store::Store results = store::Store::open_together(comm, options.results, kResultsSchema);
  comm.together([&] { require_results(results, index, options.protocol); });
  std::vector<std::int64_t> groups;
  comm.together([&] { groups = joined_by_equals(read_exemplar_groups(options.groups, index.ids), index.equal_to); });
  std::vector<LabelledMark> marks;
  store::StoreJob job;
  const json told = comm::json_from_root(comm, [&] {
    json list = json::array();
    const auto found = find_labelled_marks(options, index, results);
    for (const LabelledMark& mark : found) list.push_back(to_json(mark));
    return json{{"marks", list}, {"header", header_parameters(options, index, found)}};
  });
  for (const json& mark : told.at("marks")) marks.push_back(from_json(mark));

  const std::int64_t marks_per_unit = divide_up(std::ssize(marks), kPairUnits);
  const std::int64_t pair_bytes = checked_product(
      {2, index.parameters.geometry.channels, index.parameters.map_height, index.parameters.map_width, sizeof(float)},
      "a pair");
  // The views of a mark, the pairs of a unit as they grow and as they are written.
  const std::int64_t taken = machine::kProcessBytes + (options.negatives + 2) * pair_bytes * (1 + 2 * marks_per_unit);
  comm.together([&] {
    machine::ensure_memory(options.memory_bytes, taken + index.parameters.block_floats() * 4, "these pairs");
  });
  PairMaker make(options, index, results, marks, groups, marks_per_unit, options.memory_bytes - taken);
  job.output = options.output;
  job.header = {kPairsSchema, 1, told.at("header")};
  job.units = divide_up(std::ssize(marks), marks_per_unit);
  job.doing = "laying marks over exemplars";
  job.command_line = options.command_line;
  job.make = [&](std::int64_t unit, store::Columns) { return make(unit); };
  job.whole = [&] { return whole_columns(marks, index); };
  job.conclude = [&](bool) { return job.header.parameters; };
  store::make_store(comm, job);
}

LearningPairs::LearningPairs(const comm::Communicator& comm, const std::filesystem::path& path)
    : store_(store::Store::open_together(comm, path, kPairsSchema,
                                         {"mark", "exemplar", "is_true", "mark_id", "mark_sha256", "exemplar_id"})) {
  comm.together([&] {
    const auto mark = std::get<std::vector<std::int32_t>>(store_.read("mark").values);
    const auto exemplar = std::get<std::vector<std::int32_t>>(store_.read("exemplar").values);
    const auto is_true = std::get<std::vector<std::uint8_t>>(store_.read("is_true").values);
    mark_ids_ = std::get<std::vector<std::string>>(store_.read("mark_id").values);
    mark_sha256_ = std::get<std::vector<std::string>>(store_.read("mark_sha256").values);
    exemplar_ids_ = std::get<std::vector<std::string>>(store_.read("exemplar_id").values);
    channels_ = store_.shape("ncc")[1];
    for (std::size_t i = 0; i < mark.size(); ++i) {
      if (mark[i] < 0 || mark[i] >= std::ssize(mark_ids_) || exemplar[i] < 0 ||
          exemplar[i] >= std::ssize(exemplar_ids_)) {
        throw DataError(path.string() + ": a pair is of a mark or an exemplar that it does not name");
      }
      pairs_.push_back({mark[i], exemplar[i], is_true[i] != 0});
    }
  });
  store_.forget_told();
}

std::vector<std::vector<std::int64_t>> LearningPairs::true_exemplars() const {
  std::vector<std::vector<std::int64_t>> exemplars(mark_ids_.size());
  for (const Pair& pair : pairs_) {
    if (pair.is_true) exemplars[static_cast<std::size_t>(pair.mark)].push_back(pair.exemplar);
  }
  return exemplars;
}

LearningPairs::Columns LearningPairs::columns(std::int64_t pair) const {
  const auto read = [&](const char* name) {
    const auto values = std::get<std::vector<float>>(store_.read(name, pair, 1).values);
    if (values.empty() || std::ssize(values) % channels_ != 0) {
      throw DataError(store_.path().string() + ": '" + name + "' of pair " + std::to_string(pair) +
                      " does not hold as many columns of every channel");
    }
    return at::tensor(values, at::kFloat).view({channels_, -1});
  };
  const Columns columns = {read("mark_columns"), read("exemplar_columns")};
  if (columns.mark.sizes() != columns.exemplar.sizes()) {
    throw DataError(store_.path().string() + ": the sides of pair " + std::to_string(pair) + " differ in size");
  }
  return columns;
}

at::Tensor LearningPairs::ncc(std::int64_t pair) const {
  return at::tensor(std::get<std::vector<double>>(store_.read("ncc", pair, 1).values), at::kDouble);
}

}  // namespace outsole::retrieval
