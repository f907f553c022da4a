#include "retrieval/index_plan.h"

#include <spdlog/fmt/fmt.h>

#include "core/progress.h"
#include "match/exemplar_block.h"
#include "match/lanes.h"

namespace outsole::retrieval {

namespace {

/// Of a rank for a block of exemplars, all of them white paper: their maps, laid out for the search.
double seconds_of_block(const comm::Communicator& comm, const BuildIndexOptions& options, const IndexParameters& p) {
  std::unique_ptr<features::Extractor> extractor;
  at::Tensor images, block, white_response;
  comm.together([&] {
    extractor = features::make_extractor(options.extractor);
    extractor->to(options.device);
    images = at::full({kImagesPerPass, p.search_height_px, p.search_width_px}, 255.0, at::kFloat);
    block = at::empty({p.geometry.channels, p.frame_cells().width, p.frame_cells().height, match::kLanes}, at::kFloat);
    white_response = at::zeros({p.geometry.channels}, at::kFloat);
  });
  const double pass_s = machine::measured_seconds(comm, 3, [&] {
    // Copied back: so the clock waits for the device, and the copy counts.
    const at::Tensor maps = extractor->extract(images.to(options.device)).to(at::kCPU);
    match::pack_lanes(maps, white_response, p.border_cells, 0, block);
  });
  return pass_s * static_cast<double>(match::kLanes) / static_cast<double>(kImagesPerPass);
}

}  // namespace

machine::Plan index_plan(const comm::Communicator& comm, const BuildIndexOptions& given) {
  BuildIndexOptions options;
  BuildIndexFacts facts;
  comm.together([&] {
    options = completed(given);
    facts = index_facts(options);
  });
  const IndexParameters& p = facts.parameters;
  machine::Plan plan;
  plan.lines = {{"exemplars", fmt::format("{}, brought to {} x {} pixels, scaled to {} x {}", p.exemplars,
                                          p.frame_height_px, p.frame_width_px, p.search_height_px, p.search_width_px)}};
  if (facts.cropped_exemplars > 0) {
    plan.lines.push_back({"cropped", fmt::format("{} exemplars are larger than that", facts.cropped_exemplars)});
  }
  plan.lines.push_back({"resolution", p.exemplar_dpi > 0 ? fmt::format("{:g} dpi", p.exemplar_dpi) : "not known"});
  plan.lines.push_back(
      {"maps", fmt::format("{} channels, {} x {} cells of {} pixels, without a border of {}", p.map_channels(),
                           p.map_height, p.map_width, p.geometry.stride_px, p.border_cells)});
  plan.lines.push_back({"index", fmt::format("{} in {} shards, {} an exemplar at {} bits",
                                             format_bytes(static_cast<double>(facts.bytes)), facts.units,
                                             format_bytes(static_cast<double>(facts.bytes) /
                                                          static_cast<double>(p.blocks() * match::kLanes)),
                                             p.precision_bits)});
  plan.lines.push_back({"work", fmt::format("{:.3g} TFLOP on {} ranks", 1e-12 * facts.flops, comm.size())});
  const double block_s = seconds_of_block(comm, options, p);
  plan.work.partitions = {{"shards", facts.units}};
  plan.work.compute_s = block_s * static_cast<double>(p.blocks());
  plan.work.written_bytes = static_cast<double>(facts.bytes);
  plan.work.memory_bytes = static_cast<double>(facts.memory_bytes);
  plan.basis = fmt::format("{:.3g} s for {} exemplars, measured now", block_s, match::kLanes);
  return plan;
}

}  // namespace outsole::retrieval
