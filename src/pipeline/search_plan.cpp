#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>

#include "comm/device.h"
#include "core/checked.h"
#include "pipeline/search.h"
#include "pipeline/search_setup.h"

namespace outsole::pipeline {

namespace {

/// What a search costs, by exemplar where it compares.
struct Cost {
  double poses = 0, useful_flops = 0, coarse_flops = 0, fft_flops = 0, feature_flops = 0;
};

/// By FFT a view takes, for each channel and exemplar, three products of spectra and three transforms back: of x y, and
/// of the support with y and y^2. Spectra of exemplars are kept, those of views small change.
double fft_flops(const ScaledMark& mark, std::int64_t views, const OpenIndex& index) {
  const double cells = static_cast<double>(index.extractor->map_length(mark.grid.canvas_height_px())) *
                       static_cast<double>(index.extractor->map_length(mark.grid.canvas_width_px()));
  const double transform = 2.5 * cells * std::log2(std::max(cells, 2.0)), product = 3 * cells;
  return static_cast<double>(views * index.parameters.geometry.channels) * 3 * (transform + product);
}

Cost cost_of(const ScaledMark& mark, const OpenIndex& index, const SearchProtocol& protocol) {
  const IndexParameters& p = index.parameters;
  const auto views = std::ssize(view_tasks(mark, p.geometry.stride_px));
  ScaledMark coarse = mark;
  coarse.grid = coarse_grid(mark.grid, p.geometry.stride_px);
  return {
      static_cast<double>(mark.grid.size()), useful_flops_per_exemplar(mark, *index.extractor, p, protocol),
      useful_flops_per_exemplar(coarse, *index.extractor, p, protocol), fft_flops(mark, views, index),
      static_cast<double>(views) * index.extractor->flops(mark.grid.canvas_height_px(), mark.grid.canvas_width_px())};
}

/// Of all marks, from up to 50 of them.
Cost estimate_cost(const SearchSetup& setup, const SearchProtocol& protocol, bool warns) {
  constexpr std::int64_t kSample = 50;
  const std::int64_t marks = std::ssize(setup.marks), sample = std::min(kSample, marks);
  Cost sum;
  std::int64_t read = 0;
  for (std::int64_t i = 0; i < sample; ++i) {
    try {
      const auto& file = setup.marks[static_cast<std::size_t>(i * marks / sample)];
      const Cost cost = cost_of(read_scaled_mark(file, setup.index.parameters, protocol), setup.index, protocol);
      sum = {sum.poses + cost.poses, sum.useful_flops + cost.useful_flops, sum.coarse_flops + cost.coarse_flops,
             sum.fft_flops + cost.fft_flops, sum.feature_flops + cost.feature_flops};
      ++read;
    } catch (const DataError& error) {
      if (warns) spdlog::warn("{}", error.what());
    }
  }
  const double share = static_cast<double>(std::max<std::int64_t>(read, 1)) / static_cast<double>(marks);
  return {sum.poses / share, sum.useful_flops / share, sum.coarse_flops / share, sum.fft_flops / share,
          sum.feature_flops / share};
}

/// Ranks that share blocks tell each other a mark's views, and root the best pose of every exemplar.
JobWork work_of(const SearchPlan& plan, const SearchSetup& setup, const SearchOptions& options) {
  JobWork work;
  // A coarse pass goes over all blocks, too, before the one that goes over those kept.
  const double passes_a_mark = options.coarse > 0 ? 2 : 1;
  const auto shared_passes = static_cast<double>(divide_up(plan.marks, most_marks_a_pass(setup, options)));
  work.partitions = {{"blocks", plan.blocks, /*alone=*/false, passes_a_mark * shared_passes},
                     {"marks", setup.units, /*alone=*/true, passes_a_mark * static_cast<double>(plan.marks)}};
  work.compute_s = plan.seconds * plan.ranks_used;
  work.read_bytes = static_cast<double>(setup.index.store.size_bytes());
  work.memory_bytes = static_cast<double>(options.memory_bytes - setup.block_memory_bytes);
  // Blocks are 32-bit in memory whatever the file holds.
  work.memory_for_data_bytes =
      static_cast<double>(setup.block_memory_bytes) * work.read_bytes / static_cast<double>(plan.index_bytes);
  work.rounds = plan.marks;
  work.gathered_bytes = static_cast<double>(plan.exemplars) * sizeof(match::BestPose);
  work.spread_bytes = static_cast<double>(setup.mark_bytes);
  if (options.all_scores) work.written_bytes = 28.0 * static_cast<double>(plan.exemplars * plan.marks);
  return work;
}

}  // namespace

SearchPlan plan_search(const comm::Communicator& comm, const SearchOptions& options) {
  // Of a matrix product's rate; see tests/benchmarks.
  constexpr double kKernelShare = 0.6, kTensorShare = 0.05, kFeatureShare = 0.4;
  const SearchSetup setup = set_up_search(comm, options);
  const IndexParameters& p = setup.index.parameters;
  SearchPlan plan;
  plan.marks = std::ssize(setup.marks);
  plan.exemplars = p.exemplars;
  plan.blocks = p.blocks();
  plan.index_bytes = checked_product({p.blocks(), p.block_floats(), sizeof(float)}, "the index");
  plan.splits_marks = setup.partition.splits_marks;
  plan.ranks_used = setup.partition.ranks_used;
  plan.path = setup.path.description();
  const std::int64_t own_blocks = plan.splits_marks ? plan.blocks : divide_up(plan.blocks, comm.size());
  plan.in_memory = own_blocks <= ExemplarBlocks::most_in_memory(p, setup.block_memory_bytes, setup.path.block_access());
  double measured = 0;
  comm.together([&] {
    const Cost cost = estimate_cost(setup, options.protocol, comm.is_root());
    const auto exemplars = static_cast<double>(p.exemplars);
    const double in_full = options.coarse > 0 ? std::min(static_cast<double>(options.coarse), exemplars) : exemplars;
    plan.poses = std::llround(cost.poses);
    plan.useful_flops = cost.useful_flops * in_full + (options.coarse > 0 ? cost.coarse_flops * exemplars : 0);
    plan.fft_flops = cost.fft_flops * exemplars;
    plan.feature_flops = cost.feature_flops;
    measured = comm::measured_sgemm_gflops();
  });
  plan.gflops_per_rank = -comm.max(-measured);
  if (setup.path.in_tensors && !setup.path.device.is_cpu()) return plan;
  const double rate = plan.gflops_per_rank * 1e9 * plan.ranks_used;
  plan.seconds = plan.useful_flops / ((setup.path.in_tensors ? kTensorShare : kKernelShare) * rate) +
                 plan.feature_flops / (kFeatureShare * rate);
  plan.work = work_of(plan, setup, options);
  return plan;
}

}  // namespace outsole::pipeline
