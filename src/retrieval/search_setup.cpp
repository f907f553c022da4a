#include "retrieval/search_setup.h"

#include <algorithm>
#include <cmath>

#include "comm/from_root.h"
#include "comm/same_files.h"
#include "core/checked.h"
#include "image/image.h"
#include "ingest/image_sources.h"
#include "machine/device.h"
#include "machine/memory_budget.h"
#include "retrieval/database.h"
#include "retrieval/search_results.h"

namespace outsole::retrieval {

namespace {

constexpr std::int64_t kMarkUnits = 512;  // marks share a shard when there are more of them

void check_mark_options(const SearchProtocol& protocol) {
  if (!(protocol.overhang >= 0 && protocol.overhang <= kMostOverhang)) {
    throw UsageError("`overhang`: a share of the support from 0 to 0.5");
  }
  if (!protocol.mark_ruler) return;
  if (protocol.mark_dpi) throw UsageError("`mark_ruler`: measures what `mark_dpi` says; give one of them");
  const double dpi = protocol.mark_ruler->dpi();
  if (!(dpi >= image::kLeastDpi && dpi <= image::kMostDpi)) {
    throw UsageError("`mark_ruler`: measures " + std::to_string(dpi) + " dpi, which is not from " +
                     std::to_string(std::lround(image::kLeastDpi)) + " to " +
                     std::to_string(std::lround(image::kMostDpi)) + "; it wants X0,Y0,X1,Y1 in pixels, and CM");
  }
}

/// A ruler is measured in one picture.
void require_one_mark(const SearchProtocol& protocol, std::size_t marks) {
  if (!protocol.mark_ruler || marks == 1) return;
  throw UsageError("`mark_ruler`: measured in one picture, but there are " + std::to_string(marks) +
                   " marks; where it holds for all of them, give `mark_dpi` " +
                   std::to_string(protocol.mark_ruler->dpi()));
}

void check_options(const SearchOptions& options, const IndexParameters& index) {
  const SearchProtocol& protocol = options.protocol;
  if (protocol.as_they_lie && options.coarse != 0)
    throw UsageError("`coarse`: there is one pose only, with `no_search`");
  if (protocol.angles_deg.empty()) throw UsageError("`angles_deg`: no angle");
  if (protocol.stride_px < 1) throw UsageError("`stride_px`: must be at least 1");
  if (protocol.stride_px > std::max(index.search_height_px, index.search_width_px)) {
    throw UsageError("`stride_px` " + std::to_string(protocol.stride_px) + ": larger than the index's frame of " +
                     std::to_string(index.search_height_px) + " x " + std::to_string(index.search_width_px) + " px");
  }
  if (protocol.mark_dpi && !(*protocol.mark_dpi >= image::kLeastDpi && *protocol.mark_dpi <= image::kMostDpi)) {
    throw UsageError("`mark_dpi`: from " + std::to_string(std::lround(image::kLeastDpi)) + " to " +
                     std::to_string(std::lround(image::kMostDpi)));
  }
  if ((protocol.mark_dpi || protocol.mark_ruler) && index.exemplar_dpi == 0) {
    throw UsageError(std::string(protocol.mark_dpi ? "`mark_dpi`: " : "`mark_ruler`: ") +
                     options.indexes.front().string() +
                     " does not know the exemplars' resolution, so there is nothing to bring the marks to; make it "
                     "anew with `outsole index --exemplar-dpi`");
  }
  check_mark_options(protocol);
  if (options.top < 1) throw UsageError("`top`: must be at least 1");
  if (options.coarse != 0 && options.coarse < std::min(options.top, index.exemplars)) {
    throw UsageError("`coarse` " + std::to_string(options.coarse) + ": keeps fewer exemplars than `top` lists");
  }
  if (options.coarse_recall < 0 || (options.coarse_recall > 0 && options.coarse == 0)) {
    throw UsageError("`coarse_recall`: says how many marks measure what `coarse` loses, so it needs `coarse`");
  }
  if (!options.metric.empty() && protocol.similarity != match::Similarity()) {
    throw UsageError("`similarity` " + match::name_of(protocol.similarity) + ": a metric is learned for " +
                     match::name_of({}) + ", and no other");
  }
  match::view_offsets({{0}, protocol.stride_px, 1, 1, 1, 1}, index.geometry.stride_px);
  const std::int64_t radius = erosion_radius(index, protocol);
  if (radius < index.border_cells) {
    throw UsageError("`erosion` " + std::to_string(protocol.erosion_fraction) + ": erodes by " +
                     std::to_string(radius) + " cells, but the index leaves out a border of " +
                     std::to_string(index.border_cells) + "; index again with --border-cells " +
                     std::to_string(radius));
  }
}

void check_similarity(const SearchOptions& options, const OpenIndex& index) {
  const match::Similarity& similarity = options.protocol.similarity;
  if (!match::needs_statistics(similarity) || index.channels.mean.defined()) return;
  throw UsageError("`similarity` " + match::name_of(similarity) + ": " + options.indexes.front().string() +
                   " is of a version that keeps no statistics of its channels; make it anew with `outsole index`, or "
                   "choose a similarity without mu_bar_c and sigma_bar_c");
}

/// The views of a mark that fills the frame, or is as much larger as it may be.
std::int64_t bytes_of_views(const SearchOptions& options, const IndexParameters& index) {
  const SearchProtocol& protocol = options.protocol;
  const std::int64_t offsets_per_axis = std::max<std::int64_t>(1, index.geometry.stride_px / protocol.stride_px);
  const std::int64_t views = protocol.as_they_lie ? 1
                                                  : std::ssize(protocol.angles_deg) * offsets_per_axis *
                                                        offsets_per_axis * (protocol.mirrored ? 2 : 1);
  const double most = most_of_frame(index, protocol);
  const auto longest = [&](std::int64_t cells) {
    return static_cast<std::int64_t>(std::ceil(most * static_cast<double>(cells)));
  };
  return checked_product(
      {views, index.geometry.channels, longest(index.map_height), longest(index.map_width), sizeof(float)},
      "a mark's views");
}

/// What a rank knows of every exemplar, and what it has found for the marks that share a unit of the results, beside
/// the columns these are written from.
std::int64_t bytes_of_exemplars(const SearchOptions& options, const SearchSetup& setup) {
  constexpr std::int64_t kListed = 33, kScored = 29;  // in the columns of the top, and of all scores
  const std::int64_t exemplars = setup.index.parameters.exemplars;
  std::size_t bytes = 0;
  for (const std::string& id : setup.index.ids) {
    const bool is_apart = id.capacity() > std::string().capacity();
    bytes += sizeof id + (is_apart ? id.capacity() + 1 : 0) + sizeof setup.index.width_px[0] +
             sizeof setup.index.mirrored[0] + sizeof setup.index.equal_to[0] + sizeof setup.index.lane_of_exemplar[0] +
             sizeof setup.index.exemplar_of_lane[0];
  }
  const double entry_bytes = static_cast<double>(bytes) / static_cast<double>(setup.index.ids.size());
  const std::int64_t a_mark =
      checked_product({candidates_a_mark(setup, options), sizeof(Candidate)}, "a mark's candidates") +
      checked_product({std::min(options.top, exemplars), kListed}, "a mark's list") +
      (options.all_scores ? checked_product({exemplars, kScored}, "a mark's scores") : 0);
  return std::llround(entry_bytes * static_cast<double>(exemplars)) +
         checked_product({setup.marks_per_unit, a_mark}, "the results");
}

/// What is left of --memory-gib for blocks beside the libraries, what the code path needs, what is known of the
/// exemplars, and a mark, whose views are there about twice. Where blocks are kept on a GPU, what is left of its
/// memory: they only pass through that of the process.
std::int64_t memory_for_blocks(const SearchOptions& options, const SearchSetup& setup) {
  const IndexParameters& index = setup.index.parameters;
  const std::int64_t streamed = ExemplarBlocks::least_bytes(index, setup.block_access());
  const std::int64_t working = setup.path.working_bytes(index, setup.channels(), options.protocol, options.coarse > 0);
  const bool on_gpu = !setup.path.device.is_cpu(), blocks_on_gpu = setup.path.wants_blocks_on_device();
  const std::int64_t taken = machine::kProcessBytes + setup.mark_bytes + setup.view_bytes +
                             bytes_of_exemplars(options, setup) + (on_gpu ? 0 : working);
  machine::ensure_memory(options.memory_bytes, taken + streamed, "this index and protocol");
  const std::int64_t on_device = working + 2 * setup.mark_bytes;
  if (on_gpu) {
    machine::ensure_memory(setup.device_bytes, on_device + (blocks_on_gpu ? streamed : 0), "this index and protocol",
                           "device_memory_gib");
  }
  return blocks_on_gpu ? setup.device_bytes - on_device : options.memory_bytes - taken;
}

/// The marks, as rank 0 sees them, which also learns what it does `not_read`. Collective.
std::vector<std::filesystem::path> agreed_marks(const comm::Communicator& comm, const SearchOptions& options,
                                                std::vector<NotRead>& not_read) {
  const std::vector<std::filesystem::path> marks = comm::paths_from_root(comm, [&] {
    ingest::SourceList list = ingest::list_image_sources({.inputs = options.marks, .recursive = options.recursive});
    not_read = std::move(list.not_read);
    std::vector<std::filesystem::path> files;
    for (const ingest::ImageSource& source : list.sources) files.push_back(source.file);
    return files;
  });
  // Ranks see parts of a mark each, which must be of one picture.
  comm::require_same_files(comm, marks);
  comm::require_same_files(comm, comm::paths_from_root(comm, [&] {
                             std::vector<std::filesystem::path> masks;
                             for (const auto& mark : marks) masks.push_back(image::mask_path_of(mark));
                             std::erase_if(masks, [](const auto& mask) { return mask.empty(); });
                             return masks;
                           }));
  return marks;
}

}  // namespace

BlockAccess SearchSetup::block_access() const {
  BlockAccess access = path.block_access();
  if (metrics.metrics.front().exemplar_projection.defined()) access.components = channels();
  return access;
}

std::span<const std::filesystem::path> SearchSetup::marks_of_unit(std::int64_t unit) const {
  const std::int64_t begin = unit * marks_per_unit, end = std::min(begin + marks_per_unit, std::ssize(marks));
  return std::span(marks).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
}

SearchSetup set_up_search(const comm::Communicator& comm, const SearchOptions& options) {
  std::vector<NotRead> not_read;
  std::vector<std::filesystem::path> marks = agreed_marks(comm, options, not_read);
  const SearchPath path = agreed_search_path(
      comm, {options.kernel, options.compute_precision, options.wanted_device, options.protocol.similarity},
      options.device);
  const std::int64_t device_bytes = machine::agreed_device_bytes(comm, path.device, options.device_memory_gib);
  EarlierMarks earlier = earlier_marks(comm, options.output, marks);
  OpenIndex database = open_database(comm, {options.indexes, options.exemplars_list, options.withdrawn},
                                     options.weights_path, options.device);
  SearchSetup setup = {std::move(marks), std::move(not_read), std::move(earlier), std::move(database), path,
                       /*metrics=*/{},   /*subtracted=*/{}};
  setup.metrics = metrics_for_search(comm, options.metric, setup.index, setup.marks);
  comm.together([&] {
    IndexParameters& index = setup.index.parameters;
    setup.blocks = std::ssize(setup.index.blocks);
    if (options.plan_exemplars > 0) {
      index.exemplars = options.plan_exemplars;
      setup.blocks = index.blocks();
    }
    check_options(options, index);
    require_one_mark(options.protocol, setup.marks.size());
    check_similarity(options, setup.index);
    setup.subtracted = match::subtracted_from_maps(options.protocol.similarity, setup.index.channels);
    const auto count = std::ssize(setup.marks);
    setup.marks_per_unit = std::max<std::int64_t>(1, divide_up(count, kMarkUnits));
    setup.units = divide_up(count, setup.marks_per_unit);
    setup.view_bytes = bytes_of_views(options, index);
    // Found by the ranks, and gathered on root; or first found coarsely.
    const std::int64_t found = std::max(candidates_a_mark(setup, options), std::min(options.coarse, index.exemplars));
    setup.mark_bytes = setup.view_bytes + 2 * found * static_cast<std::int64_t>(sizeof(Candidate));
    setup.device_bytes = device_bytes;
    setup.block_memory_bytes = memory_for_blocks(options, setup);
    setup.path.device_bytes = device_bytes - 2 * setup.mark_bytes;
  });
  return setup;
}

std::int64_t candidates_a_mark(const SearchSetup& setup, const SearchOptions& options) {
  const std::int64_t exemplars = setup.index.parameters.exemplars;
  return options.all_scores ? exemplars : std::min(options.top, exemplars);
}

comm::TeamWork team_work(const SearchSetup& setup, const SearchOptions& options, std::int64_t units) {
  const IndexParameters& index = setup.index.parameters;
  const auto unit_marks = static_cast<double>(setup.marks_per_unit);
  comm::TeamWork work = {.items = units, .blocks = setup.blocks};
  work.kept_blocks = ExemplarBlocks::most_in_memory(index, setup.block_memory_bytes, setup.block_access());
  work.passes_an_item = unit_marks / static_cast<double>(most_marks_a_pass(setup, options));
  // A GPU compares a block faster than it comes from a disk.
  work.reading *= (setup.path.device.is_cpu() ? 1 : 30) / unit_marks;
  return work;
}

comm::Teams teams_for(const SearchSetup& setup, const SearchOptions& options, std::int64_t units, int ranks) {
  const comm::TeamWork work = team_work(setup, options, units);
  if (options.mark_groups == 0) return comm::choose_teams(work, ranks);
  return comm::cut_into_teams(work, std::min(options.mark_groups, ranks), ranks);
}

std::int64_t most_marks_a_pass(const SearchSetup& setup, const SearchOptions& options, std::int64_t kept_bytes) {
  constexpr std::int64_t kMost = 8;
  if (options.coarse > 0) return 1;
  const std::int64_t spare =
      setup.block_memory_bytes - kept_bytes - ExemplarBlocks::least_bytes(setup.index.parameters, setup.block_access());
  return std::clamp<std::int64_t>(1 + spare / setup.mark_bytes, 1, kMost);
}

DataError no_support_left(const std::filesystem::path& file) {
  return DataError(file.string() + ": too small, or its mask too narrow: nothing of its support is left after erosion");
}

DataError no_contrast(const std::filesystem::path& file) {
  return DataError(file.string() +
                   ": blank: every channel of its features is flat over its support, so there is nothing to compare");
}

}  // namespace outsole::retrieval
