#include <ATen/Parallel.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <limits>
#include <numeric>

#include "core/checked.h"
#include "core/clock.h"
#include "core/errors.h"
#include "machine/device.h"
#include "machine/plan.h"
#include "match/lanes.h"
#include "retrieval/search.h"
#include "retrieval/search_results.h"
#include "retrieval/search_setup.h"

namespace outsole::retrieval {

namespace {

/// What a search costs, by exemplar where it compares.
struct Cost {
  double poses = 0, views = 0;
  double view_px = 0;  // of all views' canvases
  double useful_flops = 0, coarse_flops = 0, fft_flops = 0, feature_flops = 0;
};

/// By FFT a view takes, for each channel and exemplar, three products of spectra and three transforms back: of x y, and
/// of the support with y and y^2. Spectra of exemplars are kept, those of views small change.
double fft_flops(const ScaledMark& mark, std::int64_t views, const OpenIndex& index) {
  const double cells = static_cast<double>(index.extractor->map_length(mark.grid.canvas_height_px())) *
                       static_cast<double>(index.extractor->map_length(mark.grid.canvas_width_px()));
  const double transform = 2.5 * cells * std::log2(std::max(cells, 2.0)), product = 3 * cells;
  return static_cast<double>(views * index.parameters.geometry.channels) * 3 * (transform + product);
}

/// `compared` is the share of the extractor's channels that are compared, as a metric's components.
Cost cost_of(const ScaledMark& mark, const OpenIndex& index, const SearchProtocol& protocol, double compared) {
  const IndexParameters& p = index.parameters;
  const auto views = std::ssize(view_tasks(mark, p.geometry.stride_px));
  ScaledMark coarse = mark;
  coarse.grid = coarse_grid(mark.grid, p.geometry.stride_px);
  const std::int64_t height_px = mark.grid.canvas_height_px(), width_px = mark.grid.canvas_width_px();
  return {.poses = static_cast<double>(mark.grid.size()),
          .views = static_cast<double>(views),
          .view_px = static_cast<double>(views * height_px * width_px),
          .useful_flops = compared * useful_flops_per_exemplar(mark, *index.extractor, p, protocol),
          .coarse_flops = compared * useful_flops_per_exemplar(coarse, *index.extractor, p, protocol),
          .fft_flops = compared * fft_flops(mark, views, index),
          .feature_flops = static_cast<double>(views) * index.extractor->flops(height_px, width_px)};
}

/// A mark of the search, and what it costs.
struct SampledMark {
  std::filesystem::path file;
  Cost cost;
};

/// Up to 50 marks, spread evenly; without bad ones.
std::vector<SampledMark> sample_marks(const SearchSetup& setup, const SearchProtocol& protocol, bool warns) {
  constexpr std::int64_t kSample = 50;
  const std::int64_t marks = std::ssize(setup.marks), sample = std::min(kSample, marks);
  const double compared =
      static_cast<double>(setup.channels()) / static_cast<double>(setup.index.parameters.geometry.channels);
  std::vector<SampledMark> sampled;
  for (std::int64_t i = 0; i < sample; ++i) {
    try {
      const auto& file = setup.marks[static_cast<std::size_t>(i * marks / sample)];
      sampled.push_back(
          {file, cost_of(read_scaled_mark(file, setup.index.parameters, protocol), setup.index, protocol, compared)});
    } catch (const DataError& error) {
      if (warns) spdlog::warn("{}", error.what());
    }
  }
  return sampled;
}

/// Of all marks, from those sampled.
Cost estimate_cost(const std::vector<SampledMark>& sampled, std::int64_t marks) {
  const double times = static_cast<double>(marks) / static_cast<double>(std::max<std::int64_t>(std::ssize(sampled), 1));
  Cost all;
  for (const auto& [file, cost] : sampled) {
    for (const auto part : {&Cost::poses, &Cost::views, &Cost::view_px, &Cost::useful_flops, &Cost::coarse_flops,
                            &Cost::fft_flops, &Cost::feature_flops}) {
      all.*part += times * cost.*part;
    }
  }
  return all;
}

// --- What this machine takes ---------------------------------------------------------------------------------------

double processor_s() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

/// Seconds of this rank while all ranks work.
struct Rates {
  double feature_s = 0;  // for a view, by the pixels of its canvas
  double layout_s = 0;   // for laying it out for the comparison, by the same
  double compare_s = 0;  // for a useful operation
  double read_s = 0;     // of processor time, for a byte of a block, brought to 32 bit
};

/// The seconds and the work of some marks.
struct Timed {
  double feature_s = 0, feature_px = 0, layout_s = 0, layout_px = 0;
  std::vector<double> compare_s;  // for a useful operation, of each mark
};

/// Marks between which lie equal shares of the useful operations: each stands for as much of the search.
std::vector<std::filesystem::path> marks_to_time(std::vector<SampledMark> sampled) {
  constexpr int kTimed = 4;
  std::erase_if(sampled, [](const SampledMark& mark) { return mark.cost.useful_flops == 0; });
  std::ranges::sort(sampled, {}, [](const SampledMark& mark) { return mark.cost.useful_flops; });
  double all = 0, before = 0;
  for (const SampledMark& mark : sampled) all += mark.cost.useful_flops;
  std::vector<std::filesystem::path> files;
  for (const auto& [file, cost] : sampled) {
    before += cost.useful_flops;
    while (files.size() < kTimed && before >= all * (static_cast<double>(files.size()) + 0.5) / kTimed) {
      files.push_back(file);
    }
  }
  return files;
}

/// Sees the mark and compares it with `blocks`, as the search does. Only some of its angles are turned and sent through
/// the extractor; their views stand for those of the others. False when nothing is left of the support at those.
bool time_mark(const std::filesystem::path& file, std::int64_t some_angles, std::span<const at::Tensor> blocks,
               const SearchSetup& setup, const SearchOptions& options, Timed& timed) {
  const IndexParameters& p = setup.index.parameters;
  const ScaledMark mark = read_scaled_mark(file, p, options.protocol);
  const std::vector<ViewTask> tasks = view_tasks(mark, p.geometry.stride_px);
  const auto angles = std::ssize(mark.grid.angles_deg), offsets = std::ssize(tasks) / angles;
  const std::int64_t views_to_share = 2 * at::get_num_threads();
  const std::int64_t turned = std::min(std::max(some_angles, divide_up(views_to_share, offsets)), angles);
  std::vector<ViewTask> chosen;
  for (std::int64_t i = 0; i < turned; ++i) {
    const auto begin = tasks.begin() + i * angles / turned * offsets;
    chosen.insert(chosen.end(), begin, begin + offsets);
  }
  const auto see = [&](std::span<const ViewTask> some) {
    return make_views(mark, some, *setup.index.extractor, p, options.protocol, options.device);
  };
  const auto view_px = static_cast<double>(mark.grid.canvas_height_px() * mark.grid.canvas_width_px());
  see(std::span(chosen).first(1));  // what a library prepares when it first meets a shape
  double start = now_s();
  const std::vector<match::MarkView> seen = see(chosen);
  machine::wait_for(options.device);
  timed.feature_s += now_s() - start;
  timed.feature_px += view_px * static_cast<double>(chosen.size());

  std::vector<match::MarkView> views;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const auto angle = tasks[i].angle * turned / angles, offset = std::int64_t(i) % offsets;
    views.push_back(seen[static_cast<std::size_t>(angle * offsets + offset)]);
    views.back().angle = tasks[i].angle;
  }
  choose_poses(views, mark.grid, p, options.protocol);
  start = now_s();
  const AppliedMetric& metric = setup.metrics.metrics.front();
  const MarkMatcher matcher(setup.path, projected_views(std::move(views), metric), p, options.protocol,
                            metric.channels);
  machine::wait_for(setup.path.device);
  timed.layout_s += now_s() - start;
  timed.layout_px += view_px * static_cast<double>(tasks.size());

  const double flops = matcher.useful_flops_per_exemplar() * static_cast<double>(blocks.size() * match::kLanes);
  if (flops == 0) return false;
  double compare_s = std::numeric_limits<double>::infinity();
  for (int repeat = 0; repeat < 2; ++repeat) {
    std::vector<match::BestPose> best(blocks.size() * match::kLanes);
    start = now_s();
    matcher.search(blocks, best);
    compare_s = std::min(compare_s, now_s() - start);
  }
  timed.compare_s.push_back(compare_s / flops);
  return true;
}

/// Times the kinds of work of the search on some of its marks and a block of its index, on all ranks at once, so that
/// what ranks of a machine cost each other counts; the slowest rank's. Collective.
Rates measure_rates(const comm::Communicator& comm, const SearchSetup& setup, const SearchOptions& options,
                    const std::vector<SampledMark>& sampled, bool in_memory) {
  const IndexParameters& p = setup.index.parameters;
  Rates rates;
  comm.together([&] {
    const std::int64_t first = comm.rank() % std::ssize(setup.index.blocks);
    ExemplarBlocks block(setup.index, first, first + 1, setup.block_memory_bytes, setup.block_access(),
                         setup.subtracted);
    block.project_by(setup.metrics.metrics.front().exemplar_projection);
    const double start = processor_s();
    block.visit([&](std::span<const at::Tensor> blocks, std::int64_t) {
      rates.read_s =
          (processor_s() - start) / static_cast<double>(p.block_floats() * static_cast<std::int64_t>(sizeof(float)));
      // Blocks that are kept are searched all at once, which is more work for a rank's threads to share.
      const std::vector<at::Tensor> together(in_memory ? static_cast<std::size_t>(at::get_num_threads()) : 1,
                                             blocks[0]);
      const std::vector<std::filesystem::path> files = marks_to_time(sampled);
      Timed timed;
      for (const auto& file : files) {
        for (const std::int64_t some_angles : {std::int64_t{2}, std::ssize(options.protocol.angles_deg)}) {
          if (time_mark(file, some_angles, together, setup, options, timed)) break;
        }
      }
      if (timed.compare_s.empty()) throw no_support_left(setup.marks.front());
      rates.feature_s = timed.feature_s / timed.feature_px;
      rates.layout_s = timed.layout_s / timed.layout_px;
      rates.compare_s = std::accumulate(timed.compare_s.begin(), timed.compare_s.end(), 0.0) /
                        static_cast<double>(timed.compare_s.size());
    });
  });
  for (double* rate : {&rates.feature_s, &rates.layout_s, &rates.compare_s, &rates.read_s}) *rate = comm.max(*rate);
  return rates;
}

/// What a comparison with so many exemplars works on: whole blocks.
double lanes_of(std::int64_t exemplars) {
  return static_cast<double>(divide_up(exemplars, match::kLanes) * match::kLanes);
}

/// The ranks of a team share a mark's views first, tell each other what they saw, lay all of it out, each for itself,
/// and tell the team's root the best they found. `setup_s` is what every rank took before the first mark.
machine::JobWork work_of(const SearchFacts& facts, const Cost& cost, const Rates& rates, double setup_s,
                         const SearchSetup& setup, const SearchOptions& options) {
  machine::JobWork work;
  // A coarse pass goes over all blocks, too, before the one that goes over those kept.
  const double passes_a_mark = options.coarse > 0 ? 2 : 1;
  const double features_s = rates.feature_s * cost.view_px, layout_s = rates.layout_s * cost.view_px;
  const double in_full = lanes_of(options.coarse > 0 ? std::min(options.coarse, facts.exemplars) : facts.exemplars);
  const double coarse_flops = options.coarse > 0 ? cost.coarse_flops * lanes_of(facts.exemplars) : 0;
  const double compare_s = rates.compare_s * (cost.useful_flops * in_full + coarse_flops);
  const auto views_a_mark = std::llround(cost.views / static_cast<double>(facts.marks));
  work.partitions = {{.of = "blocks",
                      .units = facts.blocks,
                      .passes = passes_a_mark,
                      .teams = team_work(setup, options, setup.units),
                      .besides = {{std::max<std::int64_t>(1, views_a_mark), features_s},
                                  {1, layout_s},
                                  {.units = 1, .seconds = setup_s, .once = true}}}};
  work.compute_s = setup_s + features_s + layout_s + compare_s;
  work.read_bytes = static_cast<double>(setup.index.parameters.stored_block_bytes() * facts.blocks);
  work.memory_bytes = static_cast<double>(options.memory_bytes - setup.block_memory_bytes);
  // As many blocks as fit, which may take more in memory than on disk.
  work.memory_for_data_bytes = work.read_bytes / static_cast<double>(facts.blocks) *
                               static_cast<double>(ExemplarBlocks::most_in_memory(
                                   setup.index.parameters, setup.block_memory_bytes, setup.block_access()));
  work.read_s_a_byte = rates.read_s * static_cast<double>(facts.index_bytes) / work.read_bytes;
  work.rounds = facts.marks;
  const std::int64_t found = std::min(facts.exemplars, facts.blocks * candidates_a_mark(setup, options));
  work.gathered_bytes = static_cast<double>(found) * sizeof(Candidate);
  work.spread_bytes = static_cast<double>(setup.view_bytes);
  if (options.all_scores) work.written_bytes = 29.0 * static_cast<double>(facts.exemplars * facts.marks);
  return work;
}

/// Where the results hold all marks already, the plan is of searching all of them again.
SearchSetup set_up_plan(const comm::Communicator& comm, const SearchOptions& options) {
  SearchSetup setup = set_up_search(comm, options);
  if (!setup.marks.empty()) return setup;
  SearchOptions anew = options;
  anew.output.clear();
  return set_up_search(comm, anew);
}

}  // namespace

SearchFacts search_facts(const comm::Communicator& comm, const SearchOptions& options) {
  const double start = now_s();
  const SearchSetup setup = set_up_plan(comm, options);
  const double setup_s = comm.max(now_s() - start);
  const IndexParameters& p = setup.index.parameters;
  SearchFacts facts;
  facts.marks = std::ssize(setup.marks);
  facts.exemplars = p.exemplars;
  facts.blocks = setup.blocks;
  facts.index_bytes = checked_product({facts.blocks, p.block_floats(), sizeof(float)}, "the index");
  facts.stored_bytes = checked_product({facts.blocks, p.stored_block_bytes()}, "the index");
  facts.teams = teams_for(setup, options, setup.units, comm.size());
  facts.path = setup.path.description();
  const std::int64_t own_blocks = divide_up(facts.blocks, comm.size() / facts.teams.count);
  facts.in_memory = own_blocks <= ExemplarBlocks::most_in_memory(p, setup.block_memory_bytes, setup.block_access());
  std::vector<SampledMark> sampled;
  comm.together([&] { sampled = sample_marks(setup, options.protocol, comm.is_root()); });
  const Cost cost = estimate_cost(sampled, facts.marks);
  const auto exemplars = static_cast<double>(p.exemplars);
  const double in_full = options.coarse > 0 ? std::min(static_cast<double>(options.coarse), exemplars) : exemplars;
  facts.poses = std::llround(cost.poses);
  facts.useful_flops = cost.useful_flops * in_full + (options.coarse > 0 ? cost.coarse_flops * exemplars : 0);
  facts.fft_flops = cost.fft_flops * exemplars;
  facts.feature_flops = cost.feature_flops;
  const Rates rates = measure_rates(comm, setup, options, sampled, facts.in_memory);
  facts.compare_gflops = 1e-9 / rates.compare_s;
  facts.work = work_of(facts, cost, rates, setup_s, setup, options);
  facts.seconds = predict_on(comm.size(), facts.work, machine::node_here(comm)).seconds;
  return facts;
}

}  // namespace outsole::retrieval
