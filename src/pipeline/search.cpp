#include "pipeline/search.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <optional>
#include <set>

#include "comm/device.h"
#include "comm/partition.h"
#include "core/checked.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/progress.h"
#include "core/provenance.h"
#include "core/sha256.h"
#include "image/image.h"
#include "match/lanes.h"
#include "match/mcncc.h"
#include "match/support.h"
#include "pipeline/exemplar_blocks.h"
#include "pipeline/image_sources.h"
#include "pipeline/open_index.h"
#include "pipeline/search_results.h"
#include "pipeline/write_units.h"

namespace outsole::pipeline {

namespace {

using match::BestPose;
using match::kLanes;

constexpr std::int64_t kUnits = 512;  // marks share a shard when there are more of them

void check_protocol(const SearchOptions& options, const IndexParameters& index) {
  const SearchProtocol& protocol = options.protocol;
  if (protocol.angles_deg.empty()) throw UsageError("--angles-deg: no angle");
  if (protocol.stride_px < 1) throw UsageError("--stride-px: must be at least 1");
  if (options.top < 1) throw UsageError("--top: must be at least 1");
  match::view_offsets({{0}, protocol.stride_px, 1, 1, 1, 1}, index.geometry.stride_px);
  const std::int64_t radius = match::erosion_radius_cells(index.map_height, index.map_width, protocol.erosion_fraction);
  if (radius < index.border_cells) {
    throw UsageError("--erosion " + std::to_string(protocol.erosion_fraction) + ": erodes by " +
                     std::to_string(radius) + " cells, but the index leaves out a border of " +
                     std::to_string(index.border_cells) + "; index again with --border-cells " +
                     std::to_string(radius));
  }
}

/// What is left of --memory-gib for blocks beside the libraries and a mark's views, which are there about twice. Throws
/// EnvironmentError naming the least memory that will do.
std::int64_t memory_for_blocks(const SearchOptions& options, const IndexParameters& index) {
  constexpr std::int64_t kProcessBytes = std::int64_t{448} << 20;
  const std::int64_t offsets_per_axis =
      std::max<std::int64_t>(1, index.geometry.stride_px / options.protocol.stride_px);
  const std::int64_t mark_bytes =
      checked_product({2, std::ssize(options.protocol.angles_deg), offsets_per_axis, offsets_per_axis,
                       index.geometry.channels, index.map_height, index.map_width, sizeof(float)},
                      "a mark's views");
  const std::int64_t needed = kProcessBytes + mark_bytes + ExemplarBlocks::least_bytes(index);
  if (options.memory_bytes < needed) {
    char least[32];
    std::snprintf(least, sizeof least, "%.2f", std::ceil(static_cast<double>(needed) / (1 << 30) * 100) / 100);
    throw EnvironmentError("--memory-gib is too small for this index and protocol: a rank needs at least " +
                           std::string(least));
  }
  return options.memory_bytes - kProcessBytes - mark_bytes;
}

/// The marks, as rank 0 sees them. Collective.
std::vector<std::filesystem::path> agreed_marks(const comm::Communicator& comm, const SearchOptions& options) {
  std::string message;  // each path ended by a NUL
  comm.together([&] {
    if (!comm.is_root()) return;
    for (const ImageSource& source : list_image_sources(options.marks, std::nullopt, {}).sources) {
      message += source.file.string() + '\0';
    }
  });
  message = comm.broadcast(message);
  std::vector<std::filesystem::path> files;
  for (std::size_t begin = 0; begin < message.size();) {
    const std::size_t end = message.find('\0', begin);
    files.emplace_back(message.substr(begin, end - begin));
    begin = end + 1;
  }
  return files;
}

/// Refuses a table that could not be written once the search is done.
void check_csv_folder(const std::filesystem::path& csv) {
  if (csv.has_parent_path() && !std::filesystem::is_directory(csv.parent_path())) {
    throw EnvironmentError(csv.string() + ": the folder does not exist; create it or choose another --csv");
  }
}

DataError no_support_left(const std::filesystem::path& file) {
  return DataError(file.string() + ": too small, or its mask too narrow: nothing of its support is left after erosion");
}

/// Under --strict all marks are looked at before the first is searched, so that a bad one leaves nothing behind.
/// Ranks share the marks. Collective.
void check_marks(const comm::Communicator& comm, const SearchOptions& options, const OpenIndex& index,
                 std::span<const std::filesystem::path> files) {
  const comm::UnitRange mine = comm::units_of(std::ssize(files), comm.rank(), comm.size());
  comm.together([&] {
    for (const auto& file :
         files.subspan(static_cast<std::size_t>(mine.begin), static_cast<std::size_t>(mine.size()))) {
      const ScaledMark mark = read_scaled_mark(file, index.parameters, options.protocol);
      if (useful_flops_per_exemplar(mark, *index.extractor, index.parameters, options.protocol) == 0) {
        throw no_support_left(file);
      }
    }
  });
}

/// How ranks share the work.
struct Partition {
  bool splits_marks = false;
  double ranks_used = 1;
};

Partition choose_partition(std::int64_t marks_units, std::int64_t blocks, int ranks) {
  const auto busy = [&](std::int64_t units) {
    return static_cast<double>(units) / static_cast<double>(std::max<std::int64_t>(1, divide_up(units, ranks)));
  };
  const double by_blocks = busy(blocks), by_marks = busy(marks_units);
  // Blocks are preferred: each rank then holds only its own.
  return by_marks > 1.05 * by_blocks ? Partition{true, by_marks} : Partition{false, by_blocks};
}

double now_s() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// Identity of the marks: names and content of images and masks, so that results are never taken for those of a mark
/// that was changed since.
std::string digest_of(const std::vector<std::filesystem::path>& files) {
  Sha256 digest;
  const auto add = [&](const std::filesystem::path& file) {
    std::string line = file.filename().string() + "\n";
    try {
      line += sha256_of_file(file) + "\n";
    } catch (const DataError&) {  // the search will say why
      line += "unreadable\n";
    }
    digest.update(std::as_bytes(std::span(line)));
  };
  for (const auto& file : files) {
    add(file);
    if (const auto mask = image::mask_path_of(file); std::filesystem::exists(mask)) add(mask);
  }
  return digest.hex();
}

nlohmann::json header_parameters(const SearchOptions& options, const OpenIndex& index,
                                 const std::vector<std::filesystem::path>& files, const std::string& marks_sha256) {
  return {{"index_sha256", index.store.sha256()},
          {"angles_deg", options.protocol.angles_deg},
          {"stride_px", options.protocol.stride_px},
          {"erosion_fraction", options.protocol.erosion_fraction},
          {"similarity", "mu_c,sigma_c"},
          {"top", std::min(options.top, index.parameters.exemplars)},
          {"all_scores", options.all_scores},
          {"marks", files.size()},
          {"marks_sha256", marks_sha256}};
}

/// A search in progress: what the steps of a unit need.
struct Search {
  const comm::Communicator& comm;
  const SearchOptions& options;
  OpenIndex& index;
  bool splits_marks;
  ExemplarBlocks blocks;  // those this rank searches
  SearchSummary summary;

  /// Throws DataError when nothing is left of the support at any pose.
  match::PreparedMark prepare(std::vector<match::MarkView> views, const std::filesystem::path& file) const {
    const IndexParameters& p = index.parameters;
    const auto radius = match::erosion_radius_cells(p.map_height, p.map_width, options.protocol.erosion_fraction);
    match::PreparedMark mark(std::move(views), p.frame_cells(), radius, index.channels);
    if (mark.useful_flops_per_exemplar() == 0) throw no_support_left(file);
    return mark;
  }

  /// The best pose of every exemplar of this rank's blocks.
  std::vector<BestPose> search_own_blocks(const match::PreparedMark& mark) {
    std::vector<BestPose> best(static_cast<std::size_t>(blocks.size() * kLanes));
    blocks.visit([&](std::span<const at::Tensor> run, std::int64_t first) {
      match::search_blocks(mark, run,
                           std::span(best).subspan(static_cast<std::size_t>(first * kLanes), run.size() * kLanes));
    });
    return best;
  }

  /// All ranks' results in block order, on root; every rank has searched its own blocks.
  std::vector<BestPose> gather(const std::vector<BestPose>& mine) const {
    const std::string bytes(reinterpret_cast<const char*>(mine.data()), mine.size() * sizeof(BestPose));
    std::vector<BestPose> all;
    for (const std::string& part : comm.gather(bytes)) {
      const std::size_t begin = all.size();
      all.resize(begin + part.size() / sizeof(BestPose));
      std::memcpy(all.data() + begin, part.data(), part.size());
    }
    return all;
  }

  /// Runs `work` on one mark; a mark whose file is bad is told, counted and left out. In a split search every rank
  /// finds the same fault, and rank 0 tells it.
  template <typename Work>
  auto unless_bad(const std::filesystem::path& file, Work&& work) -> std::optional<decltype(work())> {
    try {
      return work();
    } catch (const DataError& error) {
      if (options.strict) throw;
      if (!splits_marks && !comm.is_root()) return std::nullopt;
      const std::string reason = error.what();  // of the mark, or of its mask
      summary.skipped.push_back(reason.starts_with(file.string()) ? reason : file.string() + ": " + reason);
      spdlog::warn("skipped {}", summary.skipped.back());
      return std::nullopt;
    }
  }

  /// One mark, its exemplars split over the ranks. Collective. The result is root's.
  std::optional<MarkResult> search_mark_together(const std::filesystem::path& file) {
    std::optional<ScaledMark> mark;
    comm.together(
        [&] { mark = unless_bad(file, [&] { return read_scaled_mark(file, index.parameters, options.protocol); }); });
    const bool is_bad_somewhere = comm.any_of(!mark);
    comm.together([&] {
      if (mark && is_bad_somewhere) {
        throw EnvironmentError(file.string() + ": only some ranks can read it; do all of them see the same folder?");
      }
    });
    if (!mark) return std::nullopt;
    const double start = now_s();
    auto views = make_views_together(comm, *mark, *index.extractor, index.parameters, options.protocol, options.device);
    std::optional<match::PreparedMark> prepared;
    comm.together([&] { prepared = unless_bad(file, [&] { return prepare(std::move(views), file); }); });
    if (!prepared) return std::nullopt;
    summary.seconds_features += now_s() - start;
    std::vector<BestPose> best;
    comm.together([&] { best = search_own_blocks(*prepared); });
    best = gather(best);
    summary.seconds_search += now_s() - start;
    if (!comm.is_root()) return std::nullopt;
    return finish_mark(std::move(*mark), std::move(best));
  }

  /// One mark, all on this rank.
  std::optional<MarkResult> search_mark_alone(const std::filesystem::path& file) {
    std::optional<ScaledMark> mark =
        unless_bad(file, [&] { return read_scaled_mark(file, index.parameters, options.protocol); });
    if (!mark) return std::nullopt;
    const double start = now_s();
    const auto tasks = view_tasks(*mark, index.parameters.geometry.stride_px);
    auto views = make_views(*mark, tasks, *index.extractor, index.parameters, options.protocol, options.device);
    const auto prepared = unless_bad(file, [&] { return prepare(std::move(views), file); });
    if (!prepared) return std::nullopt;
    summary.seconds_features += now_s() - start;
    auto best = search_own_blocks(*prepared);
    summary.seconds_search += now_s() - start;
    return finish_mark(std::move(*mark), std::move(best));
  }

  /// Every rank's skipped marks to root.
  void gather_skipped() {
    const auto all =
        comm.gather(nlohmann::json(summary.skipped).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    summary.skipped.clear();
    for (const std::string& part : all) {
      for (const auto& reason : nlohmann::json::parse(part)) summary.skipped.push_back(reason.get<std::string>());
    }
  }

  MarkResult finish_mark(ScaledMark mark, std::vector<BestPose> best) const {
    mark.image = at::Tensor();
    mark.support = at::Tensor();
    best.resize(static_cast<std::size_t>(index.parameters.exemplars));  // the last block's empty lanes
    return {std::move(mark), std::move(best)};
  }
};

/// Marks that an interrupted run had left out are named, too. Results without any mark are no results: they are
/// removed, and DataError says why.
void add_marks_skipped_before(const std::filesystem::path& results, const std::vector<std::filesystem::path>& files,
                              SearchSummary& summary) {
  const auto ids = std::get<std::vector<std::string>>(store::Store(results, kResultsSchema).read("mark_id").values);
  const std::set<std::string> found(ids.begin(), ids.end());
  for (const auto& file : files) {
    const auto names_file = [&](const std::string& reason) { return reason.starts_with(file.string() + ":"); };
    if (found.contains(id_of(file)) || std::any_of(summary.skipped.begin(), summary.skipped.end(), names_file))
      continue;
    summary.skipped.push_back(file.string() + ": left out by an earlier run of this command");
  }
  if (!ids.empty()) return;
  std::filesystem::remove(results);
  std::filesystem::remove_all(std::filesystem::path(results).replace_extension(".shards"));
  throw DataError("no mark could be searched; the first: " + summary.skipped.front());
}

SearchPlan plan_with(const comm::Communicator& comm, const OpenIndex& index,
                     const std::vector<std::filesystem::path>& files) {
  const IndexParameters& p = index.parameters;
  SearchPlan plan;
  plan.marks = static_cast<std::int64_t>(files.size());
  plan.exemplars = p.exemplars;
  plan.blocks = p.blocks();
  plan.index_bytes = p.blocks() * p.block_floats() * static_cast<std::int64_t>(sizeof(float));
  const Partition partition = choose_partition(std::min(plan.marks, kUnits), p.blocks(), comm.size());
  plan.splits_marks = partition.splits_marks;
  plan.ranks_used = partition.ranks_used;
  return plan;
}

}  // namespace

SearchPlan plan_search(const comm::Communicator& comm, const SearchOptions& options) {
  constexpr std::int64_t kSample = 50;
  // Of a matrix product's rate; see tests/benchmarks.
  constexpr double kSearchShare = 0.6, kFeatureShare = 0.4;
  SearchPlan plan;
  double measured = 0;
  const std::vector<std::filesystem::path> files = agreed_marks(comm, options);
  comm.together([&] {
    const OpenIndex index = open_index(options.index, options.weights_path, options.device);
    check_protocol(options, index.parameters);
    plan = plan_with(comm, index, files);
    const std::int64_t sample = std::min(kSample, plan.marks);
    double poses = 0, useful = 0, feature = 0;
    std::int64_t read = 0;
    for (std::int64_t i = 0; i < sample; ++i) {
      try {
        const ScaledMark mark = read_scaled_mark(files[static_cast<std::size_t>(i * plan.marks / sample)],
                                                 index.parameters, options.protocol);
        poses += static_cast<double>(mark.grid.size());
        useful += useful_flops_per_exemplar(mark, *index.extractor, index.parameters, options.protocol);
        feature += static_cast<double>(view_tasks(mark, index.parameters.geometry.stride_px).size()) *
                   index.extractor->flops(mark.grid.canvas_height_px(), mark.grid.canvas_width_px());
        ++read;
      } catch (const DataError& error) {
        if (comm.is_root()) spdlog::warn("{}", error.what());
      }
    }
    const double marks_per_read =
        static_cast<double>(plan.marks) / static_cast<double>(std::max<std::int64_t>(read, 1));
    plan.poses = std::llround(poses * marks_per_read);
    plan.useful_flops = useful * marks_per_read * static_cast<double>(plan.exemplars);
    plan.feature_flops = feature * marks_per_read;
    const std::int64_t own_blocks = plan.splits_marks ? plan.blocks : divide_up(plan.blocks, comm.size());
    plan.in_memory =
        own_blocks <= ExemplarBlocks::most_in_memory(index.parameters, memory_for_blocks(options, index.parameters));
    measured = comm::measured_sgemm_gflops();
  });
  plan.gflops_per_rank = -comm.max(-measured);
  const double rate = plan.gflops_per_rank * 1e9 * plan.ranks_used;
  plan.seconds = plan.useful_flops / (kSearchShare * rate) + plan.feature_flops / (kFeatureShare * rate);
  return plan;
}

SearchSummary search(const comm::Communicator& comm, const SearchOptions& options) {
  const std::vector<std::filesystem::path> files = agreed_marks(comm, options);
  std::optional<OpenIndex> index;
  std::int64_t block_memory_bytes = 0;
  nlohmann::json parameters;
  SearchPlan plan;
  std::string marks_sha256;
  comm.together([&] {
    index.emplace(open_index(options.index, options.weights_path, options.device));
    check_protocol(options, index->parameters);
    check_csv_folder(options.csv);
    block_memory_bytes = memory_for_blocks(options, index->parameters);
    plan = plan_with(comm, *index, files);
    if (comm.is_root()) marks_sha256 = digest_of(files);
  });
  parameters = header_parameters(options, *index, files, comm.broadcast(marks_sha256));
  if (options.strict) check_marks(comm, options, *index, files);
  const auto marks = static_cast<std::int64_t>(files.size());
  const std::int64_t marks_per_unit = divide_up(marks, kUnits);
  const std::int64_t units = divide_up(marks, marks_per_unit);
  std::optional<store::StoreWriter> writer;
  const store::StoreHeader header = {kResultsSchema, 1, parameters};
  open_writer(comm, options.output, header, units, writer);
  const comm::UnitRange own =
      plan.splits_marks ? comm::UnitRange{0, plan.blocks} : comm::units_of(plan.blocks, comm.rank(), comm.size());
  Search search = {comm,
                   options,
                   *index,
                   plan.splits_marks,
                   ExemplarBlocks(index->store, index->parameters, own.begin, own.end, block_memory_bytes),
                   {}};
  search.summary.exemplars = plan.exemplars;
  search.summary.was_finished = comm.any_of(writer->is_finished());
  if (!search.summary.was_finished) {
    const std::vector<std::int64_t> pending = agreed_pending_units(comm, *writer, units);
    const auto unit_columns = [&](std::int64_t unit, auto&& search_mark) {
      std::vector<MarkResult> results;
      for (std::int64_t mark = unit * marks_per_unit; mark < std::min((unit + 1) * marks_per_unit, marks); ++mark) {
        if (auto result = search_mark(files[static_cast<std::size_t>(mark)])) results.push_back(std::move(*result));
      }
      return result_columns(results, *index, parameters["top"].get<std::int64_t>(), options.all_scores);
    };
    if (plan.splits_marks) {
      write_pending_units(comm, *writer, units, pending, "searching", [&](std::int64_t unit) {
        return unit_columns(unit, [&](const auto& file) { return search.search_mark_alone(file); });
      });
    } else {
      Progress progress("searching", marks_per_unit == 1 ? "marks" : "units", units, comm.is_root(),
                        units - static_cast<std::int64_t>(pending.size()));
      for (const std::int64_t unit : pending) {
        const store::Columns columns =
            unit_columns(unit, [&](const auto& file) { return search.search_mark_together(file); });
        comm.together([&] {
          if (comm.is_root()) writer->write_unit(unit, columns);
        });
        progress.advance();
        if (unit != pending.back()) leave_if_asked_to_stop(comm);
      }
    }
    search.gather_skipped();
    comm.together([&] {
      if (!comm.is_root()) return;
      writer->finish({{"exemplar_id", {{plan.exemplars}, index->ids, {}}}});
      writer.reset();
      add_marks_skipped_before(options.output, files, search.summary);
      nlohmann::json details = parameters;
      details["skipped"] = search.summary.skipped;
      write_provenance(options.output, options.command_line, comm.size(), details);
    });
  }
  comm.together([&] {
    if (!comm.is_root()) return;
    search.summary.marks = store::Store(options.output, kResultsSchema).rows();
    if (!options.csv.empty()) write_candidates_csv(options.output, options.csv);
  });
  return search.summary;
}

}  // namespace outsole::pipeline
