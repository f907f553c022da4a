#include "wear/training_plan.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <limits>

#include "core/checked.h"
#include "core/progress.h"
#include "wear/step_time.h"

namespace outsole::wear {

namespace {

/// Every step's batch is cut over the ranks, and its gradients are summed over them.
machine::JobWork work_of(const TrainPlan& facts, const TrainOptions& options, const StepTime& step) {
  const std::int64_t batch = std::min(options.batch, facts.training_pairs);
  const auto epochs = static_cast<double>(options.epochs);
  // A forward pass is a third of a step's operations.
  const double pairs = epochs * (static_cast<double>(facts.training_pairs) + facts.judged_pairs / 3);
  machine::JobWork work;
  work.partitions = {{.of = "pairs", .units = batch}};
  if (options.split_ranks > 1) work.partitions = {{.of = "slabs", .units = batch * options.split_ranks}};
  for (const auto& [share, seconds] : step.share_s) {
    work.partitions[0].rank_s[share] = seconds * pairs / static_cast<double>(batch);
  }
  work.memory_bytes = static_cast<double>(facts.memory_bytes - facts.rank_pairs * facts.pair_memory_bytes);
  work.unit_memory_bytes = static_cast<double>(facts.pair_memory_bytes);
  work.rounds = options.epochs * facts.steps_per_epoch;
  work.reduced_bytes = static_cast<double>(facts.parameters) * sizeof(float);
  work.spread_bytes = static_cast<double>(facts.halo_bytes);
  work.sum_bytes_s = step.sum_bytes_s;
  if (options.minutes) work.most_s = 60 * *options.minutes;
  return work;
}

/// Floating point operations of all epochs.
double operations(const TrainPlan& facts, const TrainOptions& options) {
  return static_cast<double>(options.epochs) * static_cast<double>(facts.steps_per_epoch) * facts.flops_per_step;
}

}  // namespace

machine::Plan training_plan(const comm::Communicator& comm, const TrainOptions& options) {
  TrainPlan facts;
  comm.together([&] {
    facts = plan_training(options, comm.size());
    memory_for_scans(options, facts);  // refuses what cannot fit
  });
  const StepTime step = measure_step(options, facts, comm);
  const auto& [pairs, step_s] = *step.share_s.rbegin();
  machine::Plan plan;
  plan.lines = {
      {"scans", fmt::format("{} of {} x {} pixels", facts.scans, facts.height_px, facts.width_px)},
      {"pairs", fmt::format("{} to train on, {} held out (split by {})", facts.training_pairs, facts.held_out_pairs,
                            name_of(options.split))},
      {"network", fmt::format("{:.1f} million weights", 1e-6 * static_cast<double>(facts.parameters))},
      {"work", fmt::format("{} epochs of {} steps of {} pairs, on {} ranks; {:.3g} GFLOP a step", options.epochs,
                           facts.steps_per_epoch, options.batch, comm.size(), 1e-9 * facts.flops_per_step)}};
  if (options.split_ranks > 1) {
    plan.lines.push_back(
        {"split",
         fmt::format("{} ranks hold an image, slabs of up to {} rows; a rank sends up to {} of border rows a step",
                     options.split_ranks, facts.slab_height_px, format_bytes(static_cast<double>(facts.halo_bytes)))});
  }
  plan.work = work_of(facts, options, step);
  plan.basis = fmt::format("a step of {} pairs takes a rank {:.3g} s, measured now", pairs, step_s);
  return plan;
}

machine::Plan training_plan(const comm::Communicator& comm, const TrainOptions& options, const StageLists& lists) {
  std::vector<Stage> stages;
  {
    const PreparedStore scans = PreparedStore::open_together(comm, options.scans);
    comm.together([&] { stages = stages_of(options, lists, scans.stored_size()); });
  }
  if (lists.sizes.empty()) return training_plan(comm, stages.front().options);
  std::string names;
  double all = 0, last = 0, most_s = 0;
  comm.together([&] {
    for (Stage& stage : stages) {
      if (&stage != &stages.front()) stage.options.init.reset();  // it is not there yet
      all += last = operations(plan_training(stage.options, comm.size()), stage.options);
      names += fmt::format("{}{} ({} epochs)", names.empty() ? "" : ", ", stage.name, stage.options.epochs);
      most_s += stage.options.minutes ? 60 * *stage.options.minutes : std::numeric_limits<double>::infinity();
    }
  });
  machine::Plan plan = training_plan(comm, stages.back().options);
  plan.lines.insert(plan.lines.begin(), {"stages", names + "; what follows is of the last one, the time of all"});
  for (auto& [share, seconds] : plan.work.partitions.at(0).rank_s) seconds *= all / last;
  plan.work.most_s = most_s;
  return plan;
}

}  // namespace outsole::wear
