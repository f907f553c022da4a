#include "pipeline/build_index.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>

#include "comm/partition.h"
#include "core/checked.h"
#include "core/errors.h"
#include "core/provenance.h"
#include "image/geometry.h"
#include "match/exemplar_block.h"
#include "match/lanes.h"
#include "match/support.h"
#include "pipeline/exemplar_image.h"
#include "pipeline/memory_budget.h"
#include "pipeline/parallel.h"
#include "pipeline/write_units.h"
#include "store/exemplars.h"

namespace outsole::pipeline {

namespace {

constexpr std::int64_t kImagesPerPass = 8;  // bounds the memory of a forward pass
constexpr std::int64_t kLargestShardBytes = std::int64_t{1} << 30;
constexpr std::int64_t kUnits = 64;  // enough that ranks share them evenly

FrameSize largest_size(const store::ExemplarStore& exemplars) {
  FrameSize frame;
  for (const store::ExemplarInfo& exemplar : exemplars.exemplars()) {
    frame.height_px = std::max<std::int64_t>(frame.height_px, exemplar.height_px);
    frame.width_px = std::max<std::int64_t>(frame.width_px, exemplar.width_px);
  }
  return frame;
}

/// The exemplar on the frame, at the search scale, in whole grey levels [H, W].
at::Tensor framed_exemplar(const store::ExemplarRecord& record, const IndexParameters& parameters) {
  const cv::Mat image = exemplar_for_search(record);
  const std::int64_t left = exemplar_left_px(image.cols, parameters.frame_width_px);
  const cv::Mat framed =
      image::placed_on_canvas(image, parameters.frame_height_px, parameters.frame_width_px, 0, left, 255);
  const cv::Mat scaled = image::resize_to_grey_levels(framed, parameters.search_height_px, parameters.search_width_px);
  return at::from_blob(scaled.data, {scaled.rows, scaled.cols}, at::kFloat).clone();
}

BuildIndexPlan plan_with(const store::ExemplarStore& exemplars, const features::Extractor& extractor,
                         const BuildIndexOptions& options) {
  if (options.precision_bits != 16 && options.precision_bits != 32) {
    throw UsageError("--precision " + std::to_string(options.precision_bits) + ": not 32 or 16");
  }
  if (exemplars.size() == 0) throw DataError(options.exemplars.string() + ": holds no exemplar");
  BuildIndexPlan plan;
  IndexParameters& p = plan.parameters;
  const FrameSize frame = options.frame.value_or(largest_size(exemplars));
  p.extractor_kind = options.extractor.kind;
  p.weights_identity = extractor.weights_identity();
  p.weights_convention = p.weights_identity.empty() ? "" : options.extractor.weights_convention;
  p.image_scale = options.image_scale;
  p.frame_height_px = frame.height_px;
  p.frame_width_px = frame.width_px;
  p.search_height_px = image::scaled_length_px(frame.height_px, options.image_scale);
  p.search_width_px = image::scaled_length_px(frame.width_px, options.image_scale);
  p.geometry = extractor.geometry();
  p.map_height = extractor.map_length(p.search_height_px);
  p.map_width = extractor.map_length(p.search_width_px);
  p.precision_bits = options.precision_bits;
  p.exemplars = exemplars.size();
  p.exemplars_sha256 = exemplars.store().sha256();
  const std::string size = std::to_string(frame.height_px) + "x" + std::to_string(frame.width_px);
  p.border_cells =
      options.border_cells.value_or(match::erosion_radius_cells(p.map_height, p.map_width, options.erosion_fraction));
  if (p.border_cells < 0 || std::min(p.map_height, p.map_width) <= 2 * p.border_cells) {
    throw UsageError("--frame " + size + " at --image-scale " + std::to_string(options.image_scale) + " leaves " +
                     p.extractor_kind + " no cells; use larger images or a larger scale");
  }
  const std::int64_t block_bytes = p.block_floats() * p.precision_bits / 8;
  plan.bytes = checked_product({p.blocks(), block_bytes}, "the index");
  plan.blocks_per_unit =
      std::clamp<std::int64_t>(p.blocks() / kUnits, 1, std::max<std::int64_t>(1, kLargestShardBytes / block_bytes));
  plan.units = divide_up(p.blocks(), plan.blocks_per_unit);
  plan.flops = static_cast<double>(p.exemplars) * extractor.flops(p.search_height_px, p.search_width_px);
  // A unit is there as it grows and once more as it is written; a block's features are 64-bit while they are summed.
  ensure_memory(options.memory_bytes, kProcessBytes + 2 * plan.blocks_per_unit * block_bytes + 4 * p.block_floats() * 4,
                "this index");
  for (const store::ExemplarInfo& exemplar : exemplars.exemplars()) {
    plan.cropped_exemplars += exemplar.height_px > frame.height_px || exemplar.width_px > frame.width_px;
  }
  return plan;
}

/// Exemplars [first, last) on the frame, [n, H, W]. Threads share the images.
at::Tensor framed_exemplars(const store::ExemplarStore& exemplars, std::int64_t first, std::int64_t last,
                            const IndexParameters& parameters) {
  const auto records = exemplars.records(first, last - first);
  at::Tensor images = at::empty({last - first, parameters.search_height_px, parameters.search_width_px}, at::kFloat);
  for_each_on_threads(records.size(), [&](std::size_t i) {
    images[static_cast<std::int64_t>(i)].copy_(framed_exemplar(records[i], parameters));
  });
  return images;
}

/// Sum of all grey levels of the framed exemplars [first, last): whole numbers, so the order of adding does not matter.
std::int64_t grey_sum(const store::ExemplarStore& exemplars, std::int64_t first, std::int64_t last,
                      const IndexParameters& parameters) {
  std::int64_t sum = 0;
  for (std::int64_t begin = first; begin < last; begin += match::kLanes) {
    const at::Tensor images = framed_exemplars(exemplars, begin, std::min(begin + match::kLanes, last), parameters);
    sum += std::llround(images.sum(at::kDouble).item<double>());
  }
  return sum;
}

/// Mean over every pixel of every framed exemplar: what networks subtract.
double mean_grey_of(const comm::Communicator& comm, const store::ExemplarStore& exemplars, const BuildIndexPlan& plan) {
  const comm::UnitRange mine = comm::units_of(exemplars.size(), comm.rank(), comm.size());
  std::int64_t sum = 0;
  comm.together([&] { sum = grey_sum(exemplars, mine.begin, mine.end, plan.parameters); });
  const IndexParameters& p = plan.parameters;
  const double pixels = static_cast<double>(p.search_height_px) * static_cast<double>(p.search_width_px) *
                        static_cast<double>(p.exemplars);
  return static_cast<double>(comm.sum(sum)) / pixels;
}

/// Each channel's response to white paper, at the middle of a white frame [C].
at::Tensor white_response_of(const features::Extractor& extractor, const IndexParameters& p, at::Device device) {
  const at::Tensor white = at::full({1, p.search_height_px, p.search_width_px}, 255.0, at::kFloat).to(device);
  return extractor.extract(white)[0].select(2, p.map_width / 2).select(1, p.map_height / 2).to(at::kCPU).contiguous();
}

/// Packs the maps of exemplars [first, last) into `block`; returns each channel's sum of squares [C] float64. A pass of
/// some images at a time, so that their maps stay near the processor.
at::Tensor pack_exemplars(const store::ExemplarStore& exemplars, std::int64_t first, std::int64_t last,
                          const features::Extractor& extractor, const IndexParameters& p,
                          const at::Tensor& white_response, at::Device device, const at::Tensor& block) {
  const at::Tensor images = framed_exemplars(exemplars, first, last, p);
  at::Tensor square_sum = at::zeros({p.geometry.channels}, at::kDouble);
  std::int64_t lane = 0;
  for (const at::Tensor& pass : images.split(kImagesPerPass)) {
    const at::Tensor maps = extractor.extract(pass.to(device)).to(at::kCPU);
    for (const at::Tensor& map : maps.unbind()) square_sum += map.square().sum({1, 2}, /*keepdim=*/false, at::kDouble);
    match::pack_lanes(maps, white_response, p.border_cells, lane, block);
    lane += maps.size(0);
  }
  if (!at::isfinite(square_sum).all().item<bool>()) {
    throw DataError("features of exemplars " + std::to_string(first) + " to " + std::to_string(last - 1) +
                    " are not finite; are the weights right?");
  }
  return square_sum;
}

store::Columns index_unit(const store::ExemplarStore& exemplars, std::int64_t first_block, std::int64_t last_block,
                          const features::Extractor& extractor, const IndexParameters& p,
                          const at::Tensor& white_response, at::Device device) {
  const match::FrameCells cells = p.frame_cells();
  const std::int64_t blocks = last_block - first_block;
  const auto elements = static_cast<std::size_t>(blocks * p.block_floats());
  store::Column maps, square_sums;
  maps.shape = {blocks, p.geometry.channels, cells.width, cells.height, match::kLanes};
  at::Tensor stored;
  if (p.precision_bits == 16) {
    stored = at::from_blob(maps.values.emplace<std::vector<std::uint16_t>>(elements).data(), maps.shape, at::kHalf);
  } else {
    stored = at::from_blob(maps.values.emplace<std::vector<float>>(elements).data(), maps.shape, at::kFloat);
  }
  square_sums.shape = {blocks, p.geometry.channels};
  auto& sums = square_sums.values.emplace<std::vector<double>>();
  at::Tensor packed = at::zeros({p.geometry.channels, cells.width, cells.height, match::kLanes}, at::kFloat);
  for (std::int64_t block = first_block; block < last_block; ++block) {
    const std::int64_t first = block * match::kLanes, last = std::min(first + match::kLanes, p.exemplars);
    if (last - first < match::kLanes) packed.zero_();
    const at::Tensor sum = pack_exemplars(exemplars, first, last, extractor, p, white_response, device, packed);
    sums.insert(sums.end(), sum.data_ptr<double>(), sum.data_ptr<double>() + sum.numel());
    if (p.precision_bits == 16) packed.clamp_(-65504.0, 65504.0);
    stored[block - first_block].copy_(packed);
  }
  return {{"maps", std::move(maps)}, {"channel_square_sum", std::move(square_sums)}};
}

store::Columns whole_columns(const store::ExemplarStore& exemplars, const at::Tensor& white_response) {
  const std::vector<std::int64_t> shape = {exemplars.size()};
  std::vector<std::int32_t> heights, widths;
  std::vector<std::uint8_t> mirrored;
  for (const store::ExemplarInfo& exemplar : exemplars.exemplars()) {
    heights.push_back(exemplar.height_px);
    widths.push_back(exemplar.width_px);
    mirrored.push_back(exemplar.mirror);
  }
  const float* white = white_response.data_ptr<float>();
  return {
      {"exemplar_id", {shape, exemplars.ids(), {}}},
      {"exemplar_height_px", {shape, heights, {}}},
      {"exemplar_width_px", {shape, widths, {}}},
      {"exemplar_mirror", {shape, mirrored, {}}},
      {"white_response", {{white_response.numel()}, std::vector<float>(white, white + white_response.numel()), {}}}};
}

}  // namespace

BuildIndexPlan plan_index(const BuildIndexOptions& options) {
  const store::ExemplarStore exemplars(options.exemplars);
  return plan_with(exemplars, *features::make_extractor(options.extractor), options);
}

void build_index(const comm::Communicator& comm, const BuildIndexOptions& options) {
  std::optional<store::ExemplarStore> exemplars;
  std::unique_ptr<features::Extractor> extractor;
  BuildIndexPlan plan;
  comm.together([&] {
    exemplars.emplace(options.exemplars);
    plan = plan_with(*exemplars, *features::make_extractor(options.extractor), options);
  });
  IndexParameters& parameters = plan.parameters;
  if (comm.is_root() && plan.cropped_exemplars > 0) {
    spdlog::warn("{} exemplars are larger than the frame: only their first {} rows and middle {} columns are seen",
                 plan.cropped_exemplars, parameters.frame_height_px, parameters.frame_width_px);
  }
  parameters.mean_grey = mean_grey_of(comm, *exemplars, plan);

  at::Tensor white_response;
  comm.together([&] {
    features::ExtractorSpec spec = options.extractor;
    spec.mean_grey = parameters.mean_grey;
    extractor = features::make_extractor(spec);
    extractor->to(options.device);
    white_response = white_response_of(*extractor, parameters, options.device);
  });

  const store::StoreHeader header = {kIndexSchema, 1, parameters.to_json()};
  std::optional<store::StoreWriter> writer;
  open_writer(comm, options.output, header, plan.units, writer);
  const bool was_finished = comm.any_of(writer->is_finished());
  if (was_finished) {
    if (comm.is_root()) spdlog::info("{} is complete already", options.output.string());
  } else {
    const auto pending = agreed_pending_units(comm, *writer, plan.units);
    write_pending_units(comm, *writer, plan.units, pending, "indexing", [&](std::int64_t unit) {
      const std::int64_t first = unit * plan.blocks_per_unit,
                         last = std::min(first + plan.blocks_per_unit, parameters.blocks());
      return index_unit(*exemplars, first, last, *extractor, parameters, white_response, options.device);
    });
  }
  comm.together([&] {
    if (!comm.is_root()) return;
    if (!was_finished) writer->finish(whole_columns(*exemplars, white_response));
    write_provenance(options.output, options.command_line, comm.size(), parameters.to_json(), was_finished);
  });
}

}  // namespace outsole::pipeline
