#include "retrieval/build_index.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <future>
#include <map>
#include <ranges>
#include <span>
#include <string_view>

#include "comm/partition.h"
#include "core/checked.h"
#include "core/errors.h"
#include "core/parallel.h"
#include "core/sha256.h"
#include "image/geometry.h"
#include "image/image.h"
#include "ingest/duplicates.h"
#include "ingest/exemplars.h"
#include "machine/memory_budget.h"
#include "match/exemplar_block.h"
#include "match/lanes.h"
#include "match/narrow_maps.h"
#include "match/projection.h"
#include "match/support.h"
#include "retrieval/device_packer.h"
#include "retrieval/framed_exemplar.h"
#include "retrieval/metric.h"
#include "retrieval/open_index.h"
#include "retrieval/weights_identity.h"
#include "store/make_store.h"

namespace outsole::retrieval {

namespace {

constexpr std::int64_t kLargestShardBytes = std::int64_t{1} << 30;
constexpr std::int64_t kIndexUnits = 1024;  // enough that ranks share them evenly

FrameSize largest_size(const ingest::ExemplarStore& exemplars) {
  FrameSize frame;
  for (const ingest::ExemplarInfo& exemplar : exemplars.exemplars()) {
    frame.height_px = std::max<std::int64_t>(frame.height_px, exemplar.height_px);
    frame.width_px = std::max<std::int64_t>(frame.width_px, exemplar.width_px);
  }
  return frame;
}

// --- Made to fit another --------------------------------------------------------------------------------------------

/// What an index takes over from the first one of its database, beside what options can say.
struct Reference {
  std::string sha256;
  std::optional<IndexMetric> metric;
  double mean_grey = 0, exemplar_dpi = 0;
  at::Tensor white_response;  // [components] float32
  ChannelMeans means;
};

std::optional<Reference> reference_of(const std::filesystem::path& like) {
  if (like.empty()) return std::nullopt;
  const store::Store store(like, kIndexSchema);
  const IndexParameters p = IndexParameters::from_header(store.header(), like.string());
  return Reference{store.sha256(),
                   p.metric,
                   p.mean_grey,
                   p.exemplar_dpi,
                   at::tensor(std::get<std::vector<float>>(store.read("white_response").values)),
                   channel_means(store, p)};
}

/// The same resolution, or none: exemplars that do not say theirs are taken to have the reference's.
double resolution_like(const BuildIndexOptions& options, const Reference& reference, double own) {
  if (reference.exemplar_dpi == 0) return 0;
  if (own > 0 && !is_same_dpi(own, reference.exemplar_dpi)) {
    throw DataError(options.exemplars.string() + ": its exemplars have " + std::to_string(own) + " dpi, those of " +
                    options.like.string() + " " + std::to_string(reference.exemplar_dpi) +
                    "; scan or scale them to that, or say by `exemplar_dpi` that they have it");
  }
  return reference.exemplar_dpi;
}

/// The metric that the maps are to be projected by; nothing without one. `index` has all that a metric is held against.
std::optional<MetricFile> projecting_metric(const BuildIndexOptions& options, const IndexParameters& index) {
  if (options.metric.empty()) return std::nullopt;
  MetricFile file = read_metrics(options.metric, index, "the index to be made");
  const std::string name = "`metric` " + options.metric.string();
  if (file.has_folds()) {
    throw UsageError(name + ": holds a metric for each of " + std::to_string(file.metrics.size()) +
                     " folds; an index without it serves all of them: give it to the search alone");
  }
  if (!file.metrics.front().projects()) {
    throw UsageError(name + ": only weighs the channels; give it to the search alone");
  }
  return file;
}

/// The one resolution of all exemplars; 0 where it is not known of all. Throws DataError where they differ.
double resolution_of(const ingest::ExemplarStore& exemplars, const BuildIndexOptions& options, BuildIndexFacts& facts) {
  if (options.exemplar_dpi) {
    if (*options.exemplar_dpi >= image::kLeastDpi && *options.exemplar_dpi <= image::kMostDpi)
      return *options.exemplar_dpi;
    throw UsageError("`exemplar_dpi`: from " + std::to_string(std::lround(image::kLeastDpi)) + " to " +
                     std::to_string(std::lround(image::kMostDpi)));
  }
  const ingest::ExemplarInfo* first = nullptr;  // that says it
  std::int64_t without = 0;
  for (const ingest::ExemplarInfo& exemplar : exemplars.exemplars()) {
    without += exemplar.dpi == 0;
    if (exemplar.dpi == 0) continue;
    if (first == nullptr) first = &exemplar;
    if (is_same_dpi(first->dpi, exemplar.dpi)) continue;
    throw DataError(options.exemplars.string() + ": exemplar '" + exemplar.id + "' has " +
                    std::to_string(exemplar.dpi) + " dpi, '" + first->id + "' " + std::to_string(first->dpi) +
                    "; an index is of one resolution: ingest those of one alone, or say by `exemplar_dpi` which all "
                    "of them have");
  }
  if (first == nullptr) return 0;
  facts.without_dpi = without;
  return without == 0 ? first->dpi : 0;
}

void tell_resolution(const BuildIndexFacts& facts) {
  const IndexParameters& p = facts.parameters;
  if (facts.without_dpi > 0 && p.exemplar_dpi > 0) {
    spdlog::warn("{} of {} exemplars do not say their resolution: they are taken to have {:g} dpi, as the index has",
                 facts.without_dpi, p.exemplars, p.exemplar_dpi);
  } else if (facts.without_dpi > 0 && p.like_sha256.empty()) {
    spdlog::warn(
        "{} of {} exemplars do not say their resolution: it counts as not known, and no search will scale marks to "
        "it; --exemplar-dpi says it",
        facts.without_dpi, p.exemplars);
  } else if (p.exemplar_dpi > 0) {
    spdlog::info("the exemplars have {:g} dpi: a search brings marks that say theirs to it", p.exemplar_dpi);
  } else {
    spdlog::info("the exemplars do not say their resolution: a search takes marks to have the same");
  }
}

BuildIndexFacts facts_with(const ingest::ExemplarStore& exemplars, const features::Extractor& extractor,
                           const BuildIndexOptions& options, const std::optional<Reference>& reference) {
  if (options.precision_bits != 8 && options.precision_bits != 16 && options.precision_bits != 32) {
    throw UsageError("`precision` " + std::to_string(options.precision_bits) + ": not 32, 16 or 8");
  }
  if (exemplars.size() == 0) throw DataError(options.exemplars.string() + ": holds no exemplar");
  BuildIndexFacts facts;
  IndexParameters& p = facts.parameters;
  const FrameSize frame = options.frame.value_or(largest_size(exemplars));
  p.extractor_kind = options.extractor.kind;
  p.network = features::find_network(options.extractor);
  if (p.network) {
    p.weights_convention = options.extractor.weights_convention;
    p.weights_identity = weights_sha256(options.extractor.weights_path, extractor.weights());
  }
  p.image_scale = options.image_scale;
  p.frame_height_px = frame.height_px;
  p.frame_width_px = frame.width_px;
  p.search_height_px = image::scaled_length_px(frame.height_px, options.image_scale);
  p.search_width_px = image::scaled_length_px(frame.width_px, options.image_scale);
  p.geometry = extractor.geometry();
  p.map_height = extractor.map_length(p.search_height_px);
  p.map_width = extractor.map_length(p.search_width_px);
  p.precision_bits = options.precision_bits;
  p.exemplars = options.plan_exemplars > 0 ? options.plan_exemplars : exemplars.size();
  p.exemplars_sha256 = exemplars.store().sha256();
  p.exemplar_dpi = resolution_of(exemplars, options, facts);
  if (reference) {
    p.like_sha256 = reference->sha256;
    if (p.exemplar_dpi == 0 && facts.without_dpi == 0) facts.without_dpi = p.exemplars;
    p.exemplar_dpi = resolution_like(options, *reference, p.exemplar_dpi);
  }
  if (const auto metric = projecting_metric(options, p)) {
    p.metric = {metric->sha256, metric->metrics.front().components()};
    if (reference && reference->metric->sha256 != metric->sha256) {
      throw UsageError("`metric` " + options.metric.string() + ": not the one by which the maps of `like` " +
                       options.like.string() + " are projected");
    }
  }
  const std::string size = std::to_string(frame.height_px) + "x" + std::to_string(frame.width_px);
  p.border_cells =
      options.border_cells.value_or(match::erosion_radius_cells(p.map_height, p.map_width, options.erosion_fraction));
  if (p.border_cells < 0 || std::min(p.map_height, p.map_width) <= 2 * p.border_cells) {
    throw UsageError("`frame` " + size + " at `image_scale` " + std::to_string(options.image_scale) + " leaves " +
                     p.extractor_kind + " no cells; use larger images or a larger scale");
  }
  const std::int64_t block_bytes = p.stored_block_bytes();
  facts.bytes = checked_product({p.blocks(), block_bytes}, "the index");
  facts.blocks_per_unit = std::clamp<std::int64_t>(p.blocks() / kIndexUnits, 1,
                                                   std::max<std::int64_t>(1, kLargestShardBytes / block_bytes));
  facts.units = divide_up(p.blocks(), facts.blocks_per_unit);
  facts.flops = static_cast<double>(p.exemplars) * extractor.flops(p.search_height_px, p.search_width_px);
  // A unit is there as it grows, another as it is written; beside them a block in 32 bit and the maps of a pass.
  facts.memory_bytes = machine::kProcessBytes + 2 * facts.blocks_per_unit * block_bytes + 4 * p.block_floats() * 4;
  if (p.metric) facts.memory_bytes += 2 * p.block_floats() * 4 * p.geometry.channels / p.map_channels();
  machine::ensure_memory(options.memory_bytes, facts.memory_bytes, "this index");
  for (const ingest::ExemplarInfo& exemplar : exemplars.exemplars()) {
    facts.cropped_exemplars += exemplar.height_px > frame.height_px || exemplar.width_px > frame.width_px;
  }
  return facts;
}

constexpr std::size_t kDigestBytes = 32;

/// The same for exemplars of equal pixels, and so for those of equal files.
std::string digest_of(const ingest::ExemplarRecord& record) {
  const std::array<std::int32_t, 3> size{record.height_px, record.width_px, record.bit_depth};
  Sha256 digest;
  digest.update(std::as_bytes(std::span(size)));
  digest.update(std::as_bytes(std::span(record.pixels)));
  return digest.hex().substr(0, kDigestBytes);
}

/// The exemplars on the frame, a block of them at a time. The mean grey and the features both need them: what was
/// framed is kept, a byte a pixel, as far as memory goes. Blocks are asked for in order: the next one is read
/// meanwhile.
class FramedExemplars {
 public:
  FramedExemplars(const ingest::ExemplarStore& exemplars, const IndexParameters& parameters, std::int64_t memory_bytes)
      : exemplars_(exemplars),
        parameters_(parameters),
        takes_digests_(!exemplars.store().has(ingest::kPixelsDigests)),
        most_kept_(memory_bytes / (match::kLanes * parameters.search_height_px * parameters.search_width_px)) {}

  /// [n, H, W] of whole grey levels, uint8.
  at::Tensor block(std::int64_t block) {
    if (const auto kept = kept_.find(block); kept != kept_.end()) return kept->second;
    const auto records = records_of(block);
    at::Tensor images =
        at::empty({std::ssize(records), parameters_.search_height_px, parameters_.search_width_px}, at::kByte);
    std::vector<std::string> digests(takes_digests_ && !digests_.contains(block) ? records.size() : 0);
    // Threads share the images.
    for_each_on_threads(records.size(), [&](std::size_t i) {
      images[static_cast<std::int64_t>(i)].copy_(framed_exemplar(records[i], parameters_));
      if (!digests.empty()) digests[i] = digest_of(records[i]);
    });
    for (const std::string& digest : digests) digests_[block] += digest;
    if (std::ssize(kept_) < most_kept_) kept_[block] = images;
    return images;
  }

  /// Of the pixels of all exemplars that were framed here, in their order; none where their store has them.
  std::string digests() const {
    std::string all;
    for (const auto& [block, digests] : digests_) all += digests;
    return all;
  }

 private:
  using Records = std::vector<ingest::ExemplarRecord>;

  Records records_of(std::int64_t block) {
    const auto read = [this](std::int64_t wanted) {
      const std::int64_t first = wanted * match::kLanes;
      return exemplars_.records(first, std::min(match::kLanes, exemplars_.size() - first));
    };
    Records records = ahead_.valid() && ahead_block_ == block ? ahead_.get() : read(block);
    ahead_block_ = block + 1;
    ahead_ = ahead_block_ < parameters_.blocks() ? std::async(std::launch::async, read, ahead_block_)
                                                 : std::future<Records>();
    return records;
  }

  const ingest::ExemplarStore& exemplars_;
  const IndexParameters& parameters_;
  bool takes_digests_;
  std::int64_t most_kept_;
  std::map<std::int64_t, at::Tensor> kept_;
  std::map<std::int64_t, std::string> digests_;  // by block
  std::int64_t ahead_block_ = -1;
  std::future<Records> ahead_;
};

/// Mean over every pixel of every framed exemplar: what networks subtract. Each rank looks at the exemplars that it
/// will index. Grey levels are whole numbers, so the order of adding does not matter.
double mean_grey_of(const comm::Communicator& comm, const BuildIndexFacts& facts, FramedExemplars& framed) {
  const comm::UnitRange mine = comm::units_of(facts.units, comm.rank(), comm.size());
  const IndexParameters& p = facts.parameters;
  std::int64_t sum = 0;
  comm.together([&] {
    const std::int64_t end = std::min(mine.end * facts.blocks_per_unit, p.blocks());
    for (std::int64_t block = mine.begin * facts.blocks_per_unit; block < end; ++block) {
      sum += framed.block(block).sum().item<std::int64_t>();
    }
  });
  const double pixels = static_cast<double>(p.search_height_px) * static_cast<double>(p.search_width_px) *
                        static_cast<double>(p.exemplars);
  return static_cast<double>(comm.sum(sum)) / pixels;
}

/// Of each exemplar a text that is the same for equal pixels, on rank 0: of the store's SHA-256 and the size, or, where
/// the store is of the version without, of what each rank tells of those it has framed. Collective.
std::vector<std::string> keys_of_pixels(const comm::Communicator& comm, const FramedExemplars& framed,
                                        const ingest::ExemplarStore& exemplars) {
  const std::string own = framed.digests();
  const std::vector<char> all = comm.gatherv(std::span<const char>(own)).values;
  std::vector<std::string> keys;
  comm.together([&] {
    if (!comm.is_root()) return;
    keys = ingest::stored_pixels_digests(exemplars.store());
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const ingest::ExemplarInfo& info = exemplars.exemplars()[i];
      keys[i] +=
          std::to_string(info.height_px) + "x" + std::to_string(info.width_px) + "x" + std::to_string(info.bit_depth);
    }
    for (std::size_t at = 0; at + kDigestBytes <= all.size(); at += kDigestBytes) {
      keys.emplace_back(all.data() + at, kDigestBytes);
    }
    ensure(std::ssize(keys) == exemplars.size(), "every exemplar's pixels are known");
  });
  return keys;
}

/// Of each exemplar the first one with equal pixels, on rank 0. Collective.
std::vector<std::int32_t> find_equals(const comm::Communicator& comm, const FramedExemplars& framed,
                                      const ingest::ExemplarStore& exemplars) {
  const std::vector<std::string> keys = keys_of_pixels(comm, framed, exemplars);
  std::map<std::string_view, std::int32_t> first_of_key;
  std::vector<std::int32_t> equal_to;
  for (const std::string& key : keys) {
    equal_to.push_back(first_of_key.emplace(key, narrow<std::int32_t>(std::ssize(equal_to))).first->second);
  }
  return equal_to;
}

/// The exemplars whose pixels are equal, by id: groups of two or more.
std::vector<std::vector<std::string>> groups_of_equals(std::span<const std::int32_t> equal_to,
                                                       const ingest::ExemplarStore& exemplars) {
  std::map<std::int32_t, std::vector<std::string>> ids_of_first;
  for (std::size_t i = 0; i < equal_to.size(); ++i) {
    ids_of_first[equal_to[i]].push_back(exemplars.exemplars()[i].id);
  }
  std::vector<std::vector<std::string>> groups;
  for (auto& [first, ids] : ids_of_first) {
    if (ids.size() > 1) groups.push_back(std::move(ids));
  }
  std::ranges::sort(groups);
  return groups;
}

/// On rank 0.
void tell_duplicates(const std::vector<std::vector<std::string>>& groups) {
  constexpr std::size_t kTold = 10;
  for (const std::vector<std::string>& ids : groups | std::views::take(kTold)) {
    std::string names;
    for (const std::string& id : ids | std::views::take(kTold)) names += (names.empty() ? "" : ", ") + id;
    if (ids.size() > kTold) names += ", ... (" + std::to_string(ids.size()) + " in all)";
    spdlog::warn("exemplars of equal pixels: {}; whatever is found for one is found for all of them", names);
  }
  if (groups.size() > kTold) spdlog::warn("and {} more groups of exemplars of equal pixels", groups.size() - kTold);
}

/// Each channel's response to white paper, at the middle of a white frame [C].
at::Tensor white_response_of(const features::Extractor& extractor, const IndexParameters& p, at::Device device) {
  const at::Tensor white = at::full({1, p.search_height_px, p.search_width_px}, 255.0, at::kFloat).to(device);
  return extractor.extract(white)[0].select(2, p.map_width / 2).select(1, p.map_height / 2).to(at::kCPU).contiguous();
}

/// Makes units of the index.
class UnitMaker {
 public:
  UnitMaker(const BuildIndexFacts& facts, FramedExemplars& framed, const features::Extractor& extractor,
            const at::Tensor& white_response, const at::Tensor& projection, at::Device device)
      : facts_(facts),
        framed_(framed),
        extractor_(extractor),
        white_response_(white_response),
        projection_(projection),
        device_(device),
        packer_(extractor, terms_of(facts.parameters, white_response, projection), device) {}

  /// In the memory of `used`, if it is an earlier unit's: fresh memory costs as much as what is done with it.
  store::Columns operator()(std::int64_t unit, store::Columns used) {
    const std::int64_t first = unit * facts_.blocks_per_unit,
                       blocks = std::min(facts_.blocks_per_unit, p().blocks() - first);
    store::Column& maps = used["maps"];
    maps.shape = {blocks, p().map_channels(), p().frame_cells().width, p().frame_cells().height, match::kLanes};
    const auto with_lanes = [&](const char* name) -> store::Column& {
      used[name].shape = {blocks, p().map_channels(), match::kLanes};
      return used[name];
    };
    match::EightBitMaps codes;
    at::Tensor stored;  // undefined with 8 bits
    if (p().precision_bits == 32) stored = memory_of<float>(maps, at::kFloat);
    if (p().precision_bits == 16) stored = memory_of<std::uint16_t>(maps, at::kHalf);
    if (p().precision_bits == 8) {
      codes = {memory_of<std::uint8_t>(maps, at::kByte), memory_of<float>(with_lanes("map_scale"), at::kFloat),
               memory_of<std::uint8_t>(with_lanes("map_zero"), at::kByte)};
    }
    const auto sums = [&](const char* name) {
      used[name].shape = {blocks, p().map_channels()};
      return memory_of<double>(used[name], at::kDouble);
    };
    const at::Tensor sum = sums("channel_sum"), square_sum = sums("channel_square_sum");
    const auto keep_sums = [&](std::int64_t i, const match::ChannelSums& of_block) {
      sum[i].copy_(of_block.sum);
      square_sum[i].copy_(of_block.square_sum);
    };
    // In 8 bits a block is rounded once it is whole.
    const auto memory_for = [&](std::int64_t i) { return stored.defined() ? stored[i] : whole_block(); };
    const auto round = [&](std::int64_t i) {
      if (!stored.defined()) match::round_to_8_bits(whole_block(), {codes.codes[i], codes.scale[i], codes.zero[i]});
    };
    if (device_.is_cpu()) {
      for (std::int64_t i = 0; i < blocks; ++i) {
        keep_sums(i, make_block(first + i, memory_for(i)));
        round(i);
      }
      return used;
    }
    std::int64_t finished = 0;
    const auto finish_one = [&] {
      const match::ChannelSums of_block = packer_.finish(memory_for(finished));
      require_finite(of_block, first + finished);
      round(finished);
      keep_sums(finished++, of_block);
    };
    for (std::int64_t i = 0; i < blocks; ++i) {
      if (packer_.under_way() == DevicePacker::kMostUnderWay) finish_one();
      packer_.start(framed_.block(first + i));
    }
    while (finished < blocks) finish_one();
    return used;
  }

 private:
  const IndexParameters& p() const { return facts_.parameters; }

  static DevicePacker::Terms terms_of(const IndexParameters& parameters, const at::Tensor& white_response,
                                      const at::Tensor& projection) {
    return {white_response, projection, parameters.border_cells,
            parameters.precision_bits == 16 ? at::kHalf : at::kFloat};
  }

  /// A block in 32 bit, on its way to 8.
  at::Tensor whole_block() {
    if (!whole_.defined()) {
      const match::FrameCells cells = p().frame_cells();
      whole_ = at::empty({p().map_channels(), cells.width, cells.height, match::kLanes}, at::kFloat);
    }
    return whole_;
  }

  /// The column's elements as a tensor of its shape, as many as that needs.
  template <typename Element>
  static at::Tensor memory_of(store::Column& column, at::ScalarType type) {
    if (!std::holds_alternative<std::vector<Element>>(column.values)) column.values.emplace<std::vector<Element>>();
    auto& elements = std::get<std::vector<Element>>(column.values);
    elements.resize(static_cast<std::size_t>(c10::multiply_integers(column.shape)));
    return at::from_blob(elements.data(), column.shape, type);
  }

  void require_finite(const match::ChannelSums& sums, std::int64_t number) const {
    if (at::isfinite(sums.square_sum).all().item<bool>()) return;
    const std::int64_t first = number * match::kLanes, last = std::min(first + match::kLanes, p().exemplars) - 1;
    throw DataError("features of exemplars " + std::to_string(first) + " to " + std::to_string(last) +
                    " are not finite; are the weights right?");
  }

  /// Fills a block, on the CPU; each channel's sums. Images are seen some at a time, so that their maps stay near the
  /// processor.
  match::ChannelSums make_block(std::int64_t number, const at::Tensor& stored) {
    const at::Tensor images = framed_.block(number);
    const bool is_stored_as_seen = p().precision_bits != 16 && !projection_.defined();
    if (!is_stored_as_seen && !packed_.defined()) {
      packed_ = at::empty({p().geometry.channels, stored.size(1), stored.size(2), stored.size(3)}, at::kFloat);
    }
    at::Tensor block = is_stored_as_seen ? stored : packed_;
    if (images.size(0) < match::kLanes) block.zero_();
    match::ChannelSums sums = {at::zeros({p().geometry.channels}, at::kDouble),
                               at::zeros({p().geometry.channels}, at::kDouble)};
    std::int64_t lane = 0;
    for (const at::Tensor& pass : images.split(kImagesPerPass)) {
      const at::Tensor maps = extractor_.extract(pass.to(at::kFloat));
      const match::ChannelSums of_pass = match::pack_lanes(maps, white_response_, p().border_cells, lane, block);
      sums.sum.add_(of_pass.sum);
      sums.square_sum.add_(of_pass.square_sum);
      lane += maps.size(0);
    }
    require_finite(sums, number);
    if (projection_.defined()) {
      block = match::project_channels(projection_, block);
      constexpr std::array<std::int64_t, 3> cells{1, 2, 3};
      sums = {at::sum(block, cells, false, at::kDouble),
              at::linalg_vector_norm(block, 2, cells, false, at::kDouble).square()};
    }
    if (p().precision_bits == 16) block.clamp_(-65504.0, 65504.0);
    if (!is_stored_as_seen) stored.copy_(block);
    return sums;
  }

  const BuildIndexFacts& facts_;
  FramedExemplars& framed_;
  const features::Extractor& extractor_;
  const at::Tensor& white_response_;
  const at::Tensor& projection_;  // [K, C], or undefined
  at::Device device_;
  DevicePacker packer_;  // on GPUs
  at::Tensor packed_;    // on the CPU, a block in 32 bit, on its way to 16, or to be projected
  at::Tensor whole_;     // a block that is rounded to 8 bits
};

store::Columns whole_columns(const ingest::ExemplarStore& exemplars, const std::vector<std::int32_t>& equal_to,
                             const at::Tensor& white_response, const std::optional<Reference>& reference) {
  const std::vector<std::int64_t> shape = {exemplars.size()};
  std::vector<std::int32_t> heights, widths;
  std::vector<std::uint8_t> mirrored;
  for (const ingest::ExemplarInfo& exemplar : exemplars.exemplars()) {
    heights.push_back(exemplar.height_px);
    widths.push_back(exemplar.width_px);
    mirrored.push_back(exemplar.mirror);
  }
  const float* white = white_response.data_ptr<float>();
  store::Columns columns = {
      {"exemplar_id", {shape, exemplars.ids(), {}}},
      {"exemplar_height_px", {shape, heights, {}}},
      {"exemplar_width_px", {shape, widths, {}}},
      {"exemplar_mirror", {shape, mirrored, {}}},
      {"exemplar_equal_to", {shape, equal_to, {}}},
      {"white_response", {{white_response.numel()}, std::vector<float>(white, white + white_response.numel()), {}}}};
  if (!reference) return columns;
  for (const auto& [name, mean] : {std::pair{"reference_mean", reference->means.mean},
                                   std::pair{"reference_square_mean", reference->means.square_mean}}) {
    const double* const values = mean.data_ptr<double>();
    columns[name] = {{mean.numel()}, std::vector<double>(values, values + mean.numel()), {}};
  }
  return columns;
}

}  // namespace

BuildIndexOptions completed(BuildIndexOptions options) {
  if (options.like.empty()) return options;
  const std::string name = options.like.string();
  const store::Store store(options.like, kIndexSchema);
  const IndexParameters p = IndexParameters::from_header(store.header(), name);
  if (p.version < 3) {
    throw DataError(name + ": is of a version that does not keep what an index like it needs; make it anew with " +
                    "`outsole index`");
  }
  if (options.metric.empty() && p.metric) {
    throw UsageError("`like` " + name + ": its maps are projected by a learned metric; give that as `metric`, too");
  }
  if (!options.metric.empty() && !p.metric) {
    throw UsageError("`metric` " + options.metric.string() + ": the maps of `like` " + name + " are not projected");
  }
  options.extractor.kind = p.extractor_kind;
  if (!p.weights_convention.empty()) options.extractor.weights_convention = p.weights_convention;
  options.extractor.network = p.network;
  if (p.network && options.extractor.weights_path.empty()) {
    throw UsageError("`weights`: " + name + " was made with " + p.extractor_kind + "; give its weights, too");
  }
  extractor_of_index(p, options.extractor.weights_path, name);  // refuses other weights
  options.image_scale = p.image_scale;
  options.frame = FrameSize{p.frame_height_px, p.frame_width_px};
  options.border_cells = p.border_cells;
  options.precision_bits = p.precision_bits;
  return options;
}

BuildIndexFacts index_facts(const BuildIndexOptions& given) {
  const BuildIndexOptions options = completed(given);
  const ingest::ExemplarStore exemplars(options.exemplars);
  return facts_with(exemplars, *features::make_extractor(options.extractor), options, reference_of(options.like));
}

void build_index(const comm::Communicator& comm, const BuildIndexOptions& given) {
  const auto exemplars = ingest::ExemplarStore::open_together(comm, given.exemplars);
  std::unique_ptr<features::Extractor> extractor;
  BuildIndexOptions options;
  std::optional<Reference> reference;
  BuildIndexFacts facts;
  comm.together([&] {
    options = completed(given);
    options.plan_exemplars = 0;
    reference = reference_of(options.like);
    facts = facts_with(exemplars, *features::make_extractor(options.extractor), options, reference);
  });
  IndexParameters& parameters = facts.parameters;
  if (comm.is_root() && facts.cropped_exemplars > 0) {
    spdlog::warn("{} exemplars are larger than the frame: only their first {} rows and middle {} columns are seen",
                 facts.cropped_exemplars, parameters.frame_height_px, parameters.frame_width_px);
  }
  if (comm.is_root()) tell_resolution(facts);
  FramedExemplars framed(exemplars, parameters, options.memory_bytes - facts.memory_bytes);
  // Exemplars that are framed for their mean get the digests that their store lacks, too.
  const bool needs_pass = !reference || !exemplars.store().has(ingest::kPixelsDigests);
  const double own_mean_grey = needs_pass ? mean_grey_of(comm, facts, framed) : 0;
  parameters.mean_grey = reference ? reference->mean_grey : own_mean_grey;
  const std::vector<std::int32_t> equal_to = find_equals(comm, framed, exemplars);
  const auto duplicates = groups_of_equals(equal_to, exemplars);
  tell_duplicates(duplicates);

  at::Tensor white_response;
  comm.together([&] {
    features::ExtractorSpec spec = options.extractor;
    spec.mean_grey = parameters.mean_grey;
    extractor = features::make_extractor(spec);
    extractor->to(options.device);
    white_response = white_response_of(*extractor, parameters, options.device);
  });

  // Other machines may come to other last digits.
  if (reference && options.metric.empty()) white_response = reference->white_response;
  at::Tensor projection, stored_white_response = white_response;
  comm.together([&] {
    const auto metric = projecting_metric(options, parameters);
    if (!metric) return;
    const Metric& found = metric->metrics.front();
    projection = found.exemplar_projection.to(at::kFloat).contiguous();
    stored_white_response =
        at::mv(found.exemplar_projection, white_response.to(at::kDouble) - found.exemplar_mean).to(at::kFloat);
    if (reference) stored_white_response = reference->white_response;
  });

  UnitMaker make_unit(facts, framed, *extractor, white_response, projection, options.device);
  store::StoreJob job;
  job.output = options.output;
  job.header = parameters.header();
  job.units = facts.units;
  job.doing = "indexing";
  job.command_line = options.command_line;
  job.make = std::ref(make_unit);
  job.whole = [&] { return whole_columns(exemplars, equal_to, stored_white_response, reference); };
  job.conclude = [&](bool was_finished) {
    if (was_finished) spdlog::info("{} is complete already", options.output.string());
    nlohmann::json details = job.header.parameters;
    if (!duplicates.empty()) details["exemplars_of_equal_pixels"] = duplicates;
    return details;
  };
  store::make_store(comm, job);
}

}  // namespace outsole::retrieval
