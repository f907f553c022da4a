#include "wear/trainer.h"

#include <ATen/ATen.h>
#include <spdlog/fmt/fmt.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include "core/checked.h"
#include "core/errors.h"
#include "core/progress.h"
#include "learn/checkpoint.h"
#include "wear/initial_weights.h"
#include "wear/learner.h"
#include "wear/model_file.h"
#include "wear/slab.h"
#include "wear/step_memory.h"

namespace outsole::wear {

namespace {

using nlohmann::json;

constexpr std::int64_t kMostMovementPx = 4096;

void check(const TrainOptions& options) {
  learn::check(options);
  const auto require = [](bool condition, const char* complaint) {
    if (!condition) throw UsageError(complaint);
  };
  require(options.batch >= 1, "`batch`: at least 1 pair");
  require(options.held_out_share > 0 && options.held_out_share < 1, "`held_out`: a share, above 0 and below 1");
  require(options.time_hidden >= 1 && options.time_hidden <= kMostTimeHidden, "`time_hidden`: from 1 to 65536");
  require(options.time_maps >= 1 && options.time_maps <= kMostTimeMaps, "`time_maps`: from 1 to 4096");
  require(options.ssim_weight >= 0 && std::isfinite(options.ssim_weight), "`ssim_weight`: a number, at least 0");
  require(options.first_maps >= 1 && options.first_maps <= kMostFirstMaps, "`first_maps`: from 1 to 512");
  require(options.movements.most_px >= 0 && options.movements.most_px <= kMostMovementPx,
          "`shift_px`: a number of pixels, 0 to 4096");
  require(options.precision != learn::Precision::kTf32 || options.device.is_cuda(),
          "`precision` tf32: needs a GPU (`device` cuda)");
  const bool is_mixed = options.precision == learn::Precision::kBf16;
  require(!is_mixed || options.device.is_cuda(), "`precision` bf16, or `mixed_precision`: needs a GPU (`device` cuda)");
  require(options.split_ranks >= 1, "`split_ranks`: at least 1 rank");
  require(!is_mixed || (options.split_ranks == 1 && !options.recompute),
          "`precision` bf16, or `mixed_precision`: not with `split_ranks` or `recompute`, which keep maps in 32 bit; "
          "they take `precision` tf32");
}

/// What makes this run another than one with other options. How long it lasts and where it runs do not.
json identity_of(const TrainOptions& options, const wear::PreparedStore& scans, const store::Store* init) {
  const json& prepared = scans.store().header().parameters;
  const bool has_dpi = prepared.is_object() && prepared.contains("dpi") && prepared["dpi"].is_number();
  const double reduced = static_cast<double>(scans.height_px()) / static_cast<double>(scans.stored_size().height_px);
  json identity = learn::identity_of(options);
  identity.update({{"scans_sha256", scans.store().sha256()},
                   {"dpi", has_dpi ? reduced * prepared["dpi"].get<double>() : 0.0},
                   {"task", name_of(options.task)},
                   {"split", name_of(options.split)},
                   {"seed", options.seed},
                   {"held_out_share", options.held_out_share},
                   {"batch", options.batch},
                   {"time_hidden", options.time_hidden},
                   {"time_maps", options.time_maps},
                   {"mixed_precision", options.precision == learn::Precision::kBf16}});
  // Later options are named where they are used: runs of earlier versions go on.
  if (options.precision == learn::Precision::kTf32) identity["precision"] = learn::name_of(options.precision);
  if (options.first_maps != TrainOptions().first_maps) identity["first_maps"] = options.first_maps;
  if (options.network != NetworkKind::kPaper) identity["network"] = name_of(options.network);
  if (options.ssim_weight > 0) identity["ssim_weight"] = options.ssim_weight;
  if (options.movements.most_px > 0) identity["shift_px"] = options.movements.most_px;
  if (options.movements.mirrors) identity["mirror"] = true;
  if (scans.shown_size() != scans.stored_size()) identity["size"] = name_of(scans.shown_size());
  if (init != nullptr) identity["init_sha256"] = init->sha256();
  return identity;
}

learn::Subject subject_of(const TrainOptions& options, const wear::PreparedStore& scans, const store::Store* init) {
  return {.identity = identity_of(options, scans, init),
          .changed_by = {{"scans_sha256", "the scans_sha256 of `scans`"},
                         {"held_out_share", "`held_out`"},
                         {"dpi", "the dpi of `scans`"},
                         {"size", "the size of the images"},
                         {"init_sha256", "the model of `init`"},
                         {"scheduled_epochs", "`epochs`, which `schedule` needs,"}},
          .structure = structure_of(network_shape(options, scans)),
          .model_schema = kModelSchema,
          .model_version = kModelVersion,
          .examples = "pairs",
          .to_save_memory = "use more ranks, `recompute`, a smaller `batch` or smaller scans"};
}

StepWork step_work(const TrainOptions& options, const NetworkShape& network) {
  return {network, options.split_ranks, options.ssim_weight, options.recompute};
}

/// Without the scans that are kept. Weights, gradients and two moments, and a checkpoint's copy of all but the
/// gradients; maps; and the holes between blocks that are too small to be given back at once.
std::int64_t memory_of_step(const TrainPlan& plan) {
  constexpr std::int64_t kBytesAParameter = 7 * sizeof(float), kHoles = std::int64_t{48} << 20;
  return plan.parameters * kBytesAParameter + kHoles +
         checked_product({plan.rank_pairs, plan.pair_memory_bytes}, "the memory of a batch");
}

TrainPlan plan_of(const TrainOptions& options, const wear::PreparedStore& scans, const PairSets& pairs, int ranks) {
  require_teams(ranks, options.split_ranks);
  const WearNetwork network(network_shape(options, scans), options.seed);
  TrainPlan plan;
  plan.scans = scans.size();
  plan.training_pairs = std::ssize(pairs.training);
  plan.held_out_pairs = std::ssize(pairs.held_out);
  plan.steps_per_epoch = divide_up(plan.training_pairs, options.batch);
  plan.height_px = scans.height_px();
  plan.width_px = scans.width_px();
  for (const at::Tensor& parameter : network.parameters()) plan.parameters += parameter.numel();
  const std::int64_t batch = std::min(options.batch, plan.training_pairs);
  plan.flops_per_step = 3 * network.flops() * static_cast<double>(batch);
  const auto sample = std::ssize(held_out_sample(pairs));
  plan.judged_pairs = static_cast<double>(sample) / static_cast<double>(judging_interval(sample, plan.training_pairs));
  plan.ranks = ranks;
  plan.slab_height_px = slab_of(plan.height_px, 0, options.split_ranks).padded_rows.size();
  plan.rank_pairs = divide_up(batch, ranks / options.split_ranks);
  const StepWork work = step_work(options, network.shape());
  plan.halo_bytes = plan.rank_pairs * halo_bytes(work);
  plan.pair_memory_bytes = pair_memory_bytes(work);
  plan.memory_bytes = memory_of_step(plan);
  return plan;
}

constexpr std::int64_t kLibraries = std::int64_t{400} << 20;

/// For the refusal of a step that does not fit: what to change, or nothing.
std::string what_would_fit(const TrainOptions& options, const TrainPlan& plan) {
  const NetworkShape network = network_shape(options, plan.height_px, plan.width_px);
  const std::int64_t most = most_slabs(plan.height_px), batch = std::min(options.batch, plan.training_pairs);
  std::string found;
  const auto fits = [&](std::int64_t team, bool recompute, std::int64_t on_ranks) {
    TrainPlan other = plan;
    other.rank_pairs = divide_up(batch, on_ranks / team);
    other.pair_memory_bytes = pair_memory_bytes({network, team, options.ssim_weight, recompute});
    if (kLibraries + memory_of_step(other) > options.memory_bytes) return false;
    if (on_ranks != plan.ranks) found = std::to_string(on_ranks) + " ranks with ";
    found += "`split_ranks` " + std::to_string(team) + (recompute ? " and `recompute`" : "");
    return true;
  };
  // First on the ranks there are, then on ever more of them; without recomputing, which takes time, before with it.
  for (std::int64_t on_ranks = plan.ranks; on_ranks <= std::max(std::int64_t{plan.ranks}, most * batch);
       on_ranks *= 2) {
    for (const bool recompute : {false, true}) {
      for (std::int64_t team = 1; team <= std::min(on_ranks, most); ++team) {
        if (on_ranks % team == 0 && fits(team, recompute || options.recompute, on_ranks)) {
          return ". What fits: " + found;
        }
      }
    }
  }
  return "";
}

struct Data {
  wear::PreparedStore scans;
  PairSets pairs;
  TrainPlan plan;
};

/// Shows the scans at the size that is asked for, and checks that the model to start from fits.
void apply_size_and_init(wear::PreparedStore& scans, const TrainOptions& options, const store::Store* init) {
  if (options.size) {
    require_reducible(scans.stored_size(), *options.size, scans.store().path().string());
    scans.show_at(*options.size);
  }
  if (init != nullptr) require_same_but_size(shape_of(*init), network_shape(options, scans), init->path());
}

/// What people should know of the model that a training starts from.
void tell_of_init(const store::Store& init, const TrainOptions& options, const NetworkShape& to) {
  const NetworkShape from = shape_of(init);
  const bool is_resampled = from.height_px != to.height_px || from.width_px != to.width_px;
  spdlog::info("starting from {}, of {} x {} pixels: {}", init.path().string(), from.height_px, from.width_px,
               is_resampled ? fmt::format("the convolutions are carried over, the last layer of the time branch is "
                                          "interpolated to the cells of {} x {} pixels",
                                          to.height_px, to.width_px)
                            : "all weights are carried over");
  const json training = learn::training_of(init);
  const bool same_held_out = training.value("split", json()) == json(name_of(options.split)) &&
                             (options.split == Split::kTime || training.value("seed", json()) == json(options.seed));
  if (same_held_out) return;
  spdlog::warn("{} was trained by another split or seed: it may have seen what is held out here", init.path().string());
}

/// On every rank, of which the log shows the first.
void tell_copies(const wear::PreparedStore& scans, const PairSets& pairs) {
  if (pairs.left_out_copies.empty()) return;
  const auto first = static_cast<std::size_t>(pairs.left_out_copies.front());
  spdlog::warn("{} scans are left out of training, because the same files are held out under other names; first: {}",
               pairs.left_out_copies.size(), scans.scans()[first].id);
}

Data data_of(wear::PreparedStore scans, const TrainOptions& options, int ranks) {
  PairSets pairs = make_pairs(scans.scans(), options.task, options.split, options.seed, options.held_out_share);
  tell_copies(scans, pairs);
  const TrainPlan plan = plan_of(options, scans, pairs, ranks);
  return {std::move(scans), std::move(pairs), plan};
}

}  // namespace

NetworkShape network_shape(const TrainOptions& options, const wear::PreparedStore& scans) {
  return network_shape(options, scans.height_px(), scans.width_px());
}

NetworkShape network_shape(const TrainOptions& options, std::int64_t height_px, std::int64_t width_px) {
  return {options.task,      height_px,       width_px,          options.time_hidden,
          options.time_maps, options.network, options.first_maps};
}

std::int64_t memory_for_scans(const TrainOptions& options, const TrainPlan& plan) {
  const std::int64_t on_gpu = options.device.is_cpu() ? 0 : plan.memory_bytes;
  const std::int64_t left = options.memory_bytes - kLibraries - plan.memory_bytes + on_gpu;
  if (left >= 0) return left;
  throw EnvironmentError("a step needs about " + format_bytes(static_cast<double>(kLibraries + plan.memory_bytes)) +
                         " a rank; raise `memory_gib`, use more ranks, a smaller `batch` or smaller scans" +
                         what_would_fit(options, plan));
}

TrainPlan plan_training(const TrainOptions& options, int ranks) {
  check(options);
  wear::PreparedStore scans(options.scans);
  std::optional<store::Store> init;
  if (options.init) init.emplace(*options.init, kModelSchema, store::Origin::kForeign);
  apply_size_and_init(scans, options, init ? &*init : nullptr);
  return data_of(std::move(scans), options, ranks).plan;
}

TrainSummary train(const TrainOptions& options, const comm::Communicator& comm) {
  comm.together([&] { check(options); });
  wear::PreparedStore scans = wear::PreparedStore::open_together(comm, options.scans);
  std::optional<store::Store> init;
  if (options.init) {
    init.emplace(store::Store::open_together(comm, *options.init, kModelSchema, {}, store::Origin::kForeign));
  }
  std::optional<Data> data;
  learn::Subject subject;
  std::int64_t scan_bytes = 0;
  comm.together([&] {
    apply_size_and_init(scans, options, init ? &*init : nullptr);
    data.emplace(data_of(std::move(scans), options, comm.size()));
    subject = subject_of(options, data->scans, init ? &*init : nullptr);
    scan_bytes = memory_for_scans(options, data->plan);
  });
  const auto make_learner = [&] {
    std::optional<Model> model;
    comm.together([&] {
      if (!init) return;
      model = load_model(*init);
      if (comm.is_root()) tell_of_init(*init, options, network_shape(options, data->scans));
    });
    return std::make_unique<Learner>(data->scans, data->pairs, options, scan_bytes, comm,
                                     model ? model->network.get() : nullptr);
  };
  return {learn::run(subject, make_learner, options, comm), data->plan};
}

}  // namespace outsole::wear
