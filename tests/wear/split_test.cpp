// An image that several ranks hold, a slab of rows each, against the same image on one rank.

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <torch/utils.h>

#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "comm/partition.h"
#include "core/errors.h"
#include "learn/adam.h"
#include "learn/gradient_sum.h"
#include "message_of.h"
#include "wear/loss.h"
#include "wear/network.h"

namespace outsole::wear {
namespace {

using outsole::testing::message_of;
using ::testing::AllOf;
using ::testing::HasSubstr;

// --- Slabs ----------------------------------------------------------------------------------------------------------

TEST(Slabs, CoverTheImageInWholeRowsOfItsCoarsestMap) {
  for (const std::int64_t height_px : {32, 33, 63, 99, 1375, 13750}) {
    for (int ranks = 1; ranks <= std::min<std::int64_t>(7, most_slabs(height_px)); ++ranks) {
      std::int64_t next = 0, next_padded = 0, most = 0, least = height_px;
      for (int rank = 0; rank < ranks; ++rank) {
        const Slab slab = slab_of(height_px, rank, ranks);
        EXPECT_EQ(slab.rows.begin, next);
        EXPECT_EQ(slab.padded_rows.begin, next_padded);
        EXPECT_EQ(slab.padded_rows.begin % kSizeStep, 0);
        EXPECT_EQ(slab.padded_rows.size(), slab.coarse_rows.size() * kSizeStep);
        EXPECT_GE(slab.rows.size(), 1);
        next = slab.rows.end;
        next_padded = slab.padded_rows.end;
        most = std::max(most, slab.coarse_rows.size());
        least = std::min(least, slab.coarse_rows.size());
      }
      EXPECT_EQ(next, height_px);
      EXPECT_LE(next_padded - height_px, kSizeStep - 1);
      EXPECT_LE(most - least, 1);
    }
  }
}

TEST(Slabs, MoreThanThereAreCoarsestRowsAreRefusedNamingHowManyThereMayBe) {
  EXPECT_THAT(message_of<UsageError>([] { slab_of(99, 0, 5); }),
              AllOf(HasSubstr("`split_ranks`"), HasSubstr("into 4")));
  EXPECT_EQ(slab_of(13750, 429, 430).rows.size(), 13750 - 429 * 32);
}

// --- One step -------------------------------------------------------------------------------------------------------

struct Problem {
  NetworkShape shape;
  std::int64_t pairs = 2;
  double ssim_weight = 8;
  at::ScalarType type = at::kDouble;
};

/// A whole batch, the same on every rank.
struct Batch {
  at::Tensor x, time, target, known;

  Batch(const Problem& problem, std::uint64_t seed) {
    torch::manual_seed(seed);
    const std::vector<std::int64_t> sizes{problem.pairs, 1, problem.shape.height_px, problem.shape.width_px};
    const auto random = [&](const std::vector<std::int64_t>& shape) {
      return at::rand(shape, at::kDouble).to(problem.type);
    };
    x = random(sizes);
    target = random(sizes);
    time = random({problem.pairs, time_inputs(problem.shape.task)});
    known = (at::rand(sizes, at::kDouble) > 0.2).to(problem.type);
  }
  double known_pixels() const { return known.sum().item<double>(); }

  /// What a rank of a team has of it.
  Batch part_of(const comm::UnitRange& pairs, const comm::UnitRange& rows) const {
    Batch part = *this;
    for (at::Tensor* images : {&part.x, &part.target, &part.known}) {
      *images = images->slice(0, pairs.begin, pairs.end).slice(2, rows.begin, rows.end).contiguous();
    }
    part.time = time.slice(0, pairs.begin, pairs.end);
    return part;
  }
};

/// What a step leaves.
struct Step {
  double loss = 0;
  at::Tensor predicted, by_image;
  std::vector<at::Tensor> by_parameter;
};

struct How {
  bool recomputes = false, waits_at_once = false;
  std::function<void(at::Tensor&)> on_arrival = {};
};

/// The network of a rank, and its part of the work.
struct Worker {
  Worker(const Problem& wanted, const comm::Communicator& world, int split_ranks, const How& wanted_how)
      : problem(wanted),
        how(wanted_how),
        pairs(comm::units_of(wanted.pairs, world.rank() / split_ranks, world.size() / split_ranks)),
        team(wanted.shape.height_px, world.split(world.rank() / split_ranks)),
        network(wanted.shape, 1) {
    network.to(problem.type);
    if (how.waits_at_once) team.wait_at_once();
    if (how.on_arrival) team.on_arrival(how.on_arrival);
  }

  /// Adds the gradient of this rank's part to the parameters.
  Step add_gradients(const Batch& batch) {
    Step step;
    if (pairs.size() == 0) return step;
    Batch part = batch.part_of(pairs, team.slab().rows);
    part.x.requires_grad_();
    const auto loss_of = [&](const at::Tensor& predicted) {
      const at::Tensor loss =
          training_loss(predicted, part.target, part.known, batch.known_pixels(), problem.ssim_weight, &team).lessened;
      step.loss = loss.item<double>();
      step.predicted = predicted.detach();
      return loss;
    };
    if (how.recomputes) {
      network.add_gradients_recomputing(part.x, part.time, &team, loss_of);
    } else {
      loss_of(network.forward(part.x, part.time, &team)).backward();
    }
    step.by_image = part.x.grad();
    return step;
  }

  const Problem problem;
  const How how;
  const comm::UnitRange pairs;
  ImageTeam team;
  WearNetwork network;
};

std::vector<at::Tensor> gradients_of(const WearNetwork& network) {
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& parameter : network.parameters()) gradients.push_back(parameter.grad().clone());
  return gradients;
}

/// The whole batch on one rank, with neither teams nor sums.
Step step_of_one_rank(const Problem& problem, const Batch& batch) {
  WearNetwork network(problem.shape, 1);
  network.to(problem.type);
  Step step;
  const at::Tensor x = batch.x.clone().requires_grad_();
  step.predicted = network.forward(x, batch.time);
  const at::Tensor loss =
      training_loss(step.predicted, batch.target, batch.known, batch.known_pixels(), problem.ssim_weight).lessened;
  loss.backward();
  step.predicted = step.predicted.detach();
  step.loss = loss.item<double>();
  step.by_image = x.grad();
  step.by_parameter = gradients_of(network);
  return step;
}

/// What a rank found of its part; of the parameters, the sums over all ranks.
Step step_of_ranks(const Problem& problem, const Batch& batch, const comm::Communicator& world, int split_ranks,
                   const How& how) {
  Worker worker(problem, world, split_ranks, how);
  constexpr std::int64_t kBucketBytes = 4096;  // many, that are summed between the exchanges
  learn::GradientSum sum(worker.network.parameters(), world, kBucketBytes);
  sum.zero();
  Step step = worker.add_gradients(batch);
  sum.finish();
  step.by_parameter = gradients_of(worker.network);
  std::array<double, 1> loss{step.loss};
  world.start_sum(std::span<double>(loss)).wait();
  step.loss = loss[0];
  return step;
}

/// ||found - expected|| / ||expected|| over all ranks, each of which may have a part of it, or nothing.
double distance(const comm::Communicator& world, const at::Tensor& found, const at::Tensor& expected) {
  std::array<double, 2> squares{0, 0};
  if (found.defined()) {
    squares = {(found - expected).to(at::kDouble).square().sum().item<double>(),
               expected.to(at::kDouble).square().sum().item<double>()};
  }
  world.start_sum(std::span<double>(squares)).wait();
  return std::sqrt(squares[0] / squares[1]);
}

/// The largest distance of anything in a step from the same of one rank; `worst` is its name.
double distance(const comm::Communicator& world, const Problem& problem, const Step& step, const Step& expected,
                int split_ranks, std::string& worst) {
  const int teams = world.size() / split_ranks;
  const comm::UnitRange pairs = comm::units_of(problem.pairs, world.rank() / split_ranks, teams);
  const comm::UnitRange rows = slab_of(problem.shape.height_px, world.rank() % split_ranks, split_ranks).rows;
  const auto part = [&](const at::Tensor& whole) {
    return whole.slice(0, pairs.begin, pairs.end).slice(2, rows.begin, rows.end);
  };
  std::vector<std::pair<std::string, double>> distances{
      {"loss", std::abs(step.loss - expected.loss) / expected.loss},
      {"predicted", distance(world, step.predicted, part(expected.predicted))},
      {"by image", distance(world, step.by_image, part(expected.by_image))}};
  const auto names = WearNetwork(problem.shape, 1).named_parameters().keys();
  for (std::size_t i = 0; i < expected.by_parameter.size(); ++i) {
    distances.emplace_back(names[i], distance(world, step.by_parameter[i], expected.by_parameter[i]));
  }
  double largest = 0;
  for (const auto& [name, value] : distances) {
    if (value <= largest) continue;
    largest = std::isnan(value) ? std::numeric_limits<double>::infinity() : value;
    worst = name;
  }
  return largest;
}

class SplitImage : public ::testing::Test {
 protected:
  /// The numbers of ranks that this job's ranks can be cut into teams of, for such an image.
  std::vector<int> team_sizes(const Problem& problem) const {
    std::vector<int> sizes;
    for (int ranks = 1; ranks <= comm_.size(); ++ranks) {
      if (comm_.size() % ranks == 0 && ranks <= most_slabs(problem.shape.height_px)) sizes.push_back(ranks);
    }
    return sizes;
  }

  static double tolerance(const Problem& problem) { return problem.type == at::kDouble ? 1e-11 : 1e-5; }

  void expect_the_step_of_one_rank(const Problem& problem) const {
    const Batch batch(problem, 5);
    const Step expected = step_of_one_rank(problem, batch);
    for (const int ranks : team_sizes(problem)) {
      const Step step = step_of_ranks(problem, batch, comm_, ranks, {});
      std::string worst;
      EXPECT_LE(distance(comm_, problem, step, expected, ranks, worst), tolerance(problem))
          << worst << ", " << problem.shape.height_px << " x " << problem.shape.width_px << " px, teams of " << ranks;
    }
  }

  comm::Communicator comm_;
};

TEST_F(SplitImage, StepIsThatOfOneRankInOutputsLossAndEveryGradient) {
  for (const at::ScalarType type : {at::kDouble, at::kFloat}) {
    for (const NetworkKind kind : {NetworkKind::kPaper, NetworkKind::kResidual}) {
      for (const Task task : {Task::kPrediction, Task::kReconstruction}) {
        if (type == at::kFloat && task == Task::kReconstruction) continue;
        // Slabs of one coarsest row, a last one of 1, 3 or 31 rows; 3 pairs do not divide between two teams.
        for (const auto& [height_px, width_px, pairs] :
             {std::tuple{33, 40, 1}, std::tuple{63, 40, 3}, std::tuple{99, 37, 2}, std::tuple{128, 32, 3}}) {
          expect_the_step_of_one_rank({{task, height_px, width_px, 6, 3, kind, 4}, pairs, 8, type});
        }
      }
    }
  }
}

TEST_F(SplitImage, OfTallImagesAndManyMapsIsThatOfOneRank) {
  for (const NetworkKind kind : {NetworkKind::kPaper, NetworkKind::kResidual}) {
    expect_the_step_of_one_rank({{Task::kPrediction, 1375, 33, 6, 3, kind, 4}, 1, 8, at::kDouble});
    // As many maps as the last layer needs for LibTorch's own kernels, and as oneDNN computes at a time.
    expect_the_step_of_one_rank({{Task::kPrediction, 160, 64, 6, 3, kind, 16}, 1, 0, at::kFloat});
    expect_the_step_of_one_rank({{Task::kPrediction, 160, 64, 6, 3, kind, 16}, 1, 8, at::kDouble});
  }
}

TEST_F(SplitImage, RecomputingAndWaitingAtOnceChangeNoBit) {
  for (const at::ScalarType type : {at::kDouble, at::kFloat}) {
    for (const NetworkKind kind : {NetworkKind::kPaper, NetworkKind::kResidual}) {
      const Problem problem{{Task::kPrediction, 99, 70, 6, 3, kind, 16}, 2, 8, type};
      const Batch batch(problem, 6);
      for (const int ranks : team_sizes(problem)) {
        const Step plain = step_of_ranks(problem, batch, comm_, ranks, {});
        for (const How& how : {How{true, false}, How{false, true}, How{true, true}}) {
          const Step step = step_of_ranks(problem, batch, comm_, ranks, how);
          EXPECT_EQ(step.loss, plain.loss);
          for (std::size_t i = 0; i < plain.by_parameter.size(); ++i) {
            EXPECT_TRUE(at::equal(step.by_parameter[i], plain.by_parameter[i])) << "parameter " << i;
          }
          if (!plain.predicted.defined()) continue;
          EXPECT_TRUE(at::equal(step.predicted, plain.predicted));
          EXPECT_TRUE(at::equal(step.by_image, plain.by_image));
        }
      }
    }
  }
}

TEST_F(SplitImage, WrongRowsOfANeighbourAreSeen) {
  if (comm_.size() == 1) GTEST_SKIP() << "needs neighbours";
  const Problem problem{{Task::kPrediction, 128, 64, 6, 3, NetworkKind::kPaper, 4}, 1, 8};
  const Batch batch(problem, 7);
  const Step expected = step_of_one_rank(problem, batch);
  std::string worst;
  const auto distance_with = [&](const std::function<void(at::Tensor&)>& fault) {
    return distance(comm_, problem, step_of_ranks(problem, batch, comm_, comm_.size(), {false, false, fault}), expected,
                    comm_.size(), worst);
  };
  EXPECT_LE(distance_with([](at::Tensor&) {}), 1e-11);
  EXPECT_GE(distance_with([](at::Tensor& rows) { rows.zero_(); }), 1e-3);
  EXPECT_GE(distance_with([](at::Tensor& rows) { rows.copy_(rows.flip(-1)); }), 1e-3);
  // A single exchange out of all, forwards or backwards.
  Worker counted(problem, comm_, comm_.size(), {});
  counted.add_gradients(batch);
  const std::int64_t exchanges = counted.team.costs().exchanges;
  EXPECT_EQ(exchanges, 5 + 5 + 2 + 1 + 5 + 5);  // layers, both images of the SSIM, and back
  for (std::int64_t wrong = 0; wrong < exchanges; ++wrong) {
    std::int64_t rows_seen = 0;
    const std::int64_t a_side = counted.team.has_above() && counted.team.has_below() ? 2 : 1;
    const auto fault = [&](at::Tensor& rows) {
      if (rows_seen++ / a_side == wrong) rows.mul_(1.01);
    };
    EXPECT_GE(distance_with(fault), 1e-9) << "exchange " << wrong;
  }
}

TEST_F(SplitImage, FiveStepsAreThoseOfOneRank) {
  for (const auto& [type, tolerance] : {std::pair{at::kDouble, 1e-9}, std::pair{at::kFloat, 1e-4}}) {
    const Problem problem{{Task::kPrediction, 99, 40, 6, 3, NetworkKind::kResidual, 4}, 3, 8, type};
    const learn::AdamOptions options{.learning_rate = 1e-3};
    WearNetwork alone(problem.shape, 1);
    alone.to(type);
    learn::Adam adam_alone(alone.parameters(), options);
    for (int i = 0; i < 5; ++i) {
      const Batch batch(problem, 20 + static_cast<std::uint64_t>(i));
      alone.zero_grad();
      training_loss(alone.forward(batch.x, batch.time), batch.target, batch.known, batch.known_pixels(), 8)
          .lessened.backward();
      adam_alone.step();
    }
    for (const int ranks : team_sizes(problem)) {
      Worker worker(problem, comm_, ranks, {});
      learn::GradientSum sum(worker.network.parameters(), comm_);
      learn::Adam adam(worker.network.parameters(), options);
      for (int i = 0; i < 5; ++i) {
        sum.zero();
        worker.add_gradients(Batch(problem, 20 + static_cast<std::uint64_t>(i)));
        sum.finish();
        adam.step();
      }
      for (std::size_t i = 0; i < alone.parameters().size(); ++i) {
        const at::Tensor expected = alone.parameters()[i], found = worker.network.parameters()[i];
        EXPECT_LE(((found - expected).norm() / expected.norm()).item<double>(), tolerance) << "parameter " << i;
      }
    }
  }
}

TEST_F(SplitImage, NetworkRefusesRowsOfAnotherSlab) {
  const Problem problem{{Task::kPrediction, 128, 64, 6, 3, NetworkKind::kPaper, 4}, 1, 0};
  if (comm_.size() == 1) GTEST_SKIP() << "needs slabs";
  Worker worker(problem, comm_, comm_.size(), {});
  const Batch batch(problem, 8);
  EXPECT_THROW(worker.network.forward(batch.x, batch.time, &worker.team), Bug);
}

}  // namespace
}  // namespace outsole::wear
