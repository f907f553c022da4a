#include "learn/gradient_sum.h"

#include <gtest/gtest.h>
#include <torch/utils.h>

#include <string>
#include <thread>

#include "comm/partition.h"
#include "core/errors.h"
#include "learn/adam.h"
#include "wear/loss.h"
#include "wear/network.h"

namespace outsole::learn {
namespace {

constexpr wear::NetworkShape kShape{wear::Task::kPrediction, 64, 32, 6, 3};

/// Some pairs of a batch.
struct Pairs {
  at::Tensor x, time, target, known;
  std::int64_t size() const { return x.size(0); }
};

Pairs whole_batch(std::int64_t pairs, at::ScalarType type, std::int64_t step) {
  torch::manual_seed(static_cast<std::uint64_t>(40 + step));
  const auto random = [&](at::IntArrayRef sizes) { return at::rand(sizes, at::kDouble).to(type); };
  const std::vector<std::int64_t> images = {pairs, 1, kShape.height_px, kShape.width_px};
  return {random(images), random({pairs, 1}), random(images), random(images).gt(0.3).to(type)};
}

Pairs part_of(const Pairs& batch, const comm::UnitRange& range) {
  const auto cut = [&](const at::Tensor& tensor) { return tensor.slice(0, range.begin, range.end); };
  return {cut(batch.x), cut(batch.time), cut(batch.target), cut(batch.known)};
}

void add_gradients(wear::WearNetwork& network, const Pairs& pairs, double known_pixels) {
  wear::squared_error(network.forward(pairs.x, pairs.time), pairs.target, pairs.known, known_pixels).backward();
}

std::vector<at::Tensor> copies_of_gradients(const wear::WearNetwork& network) {
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& parameter : network.parameters()) gradients.push_back(parameter.grad().clone());
  return gradients;
}

/// The gradients after each of `steps` steps of one process that sees the whole batch: autograd alone, no buckets.
std::vector<std::vector<at::Tensor>> of_one_rank(std::int64_t pairs, at::ScalarType type, int steps) {
  wear::WearNetwork network(kShape, 1);
  network.to(type);
  Adam adam(network.parameters(), {});
  std::vector<std::vector<at::Tensor>> gradients;
  for (int step = 0; step < steps; ++step) {
    const Pairs batch = whole_batch(pairs, type, step);
    network.zero_grad();
    add_gradients(network, batch, batch.known.sum().item<double>());
    gradients.push_back(copies_of_gradients(network));
    adam.step();
  }
  return gradients;
}

/// The same on all ranks, each with its part of the batch.
std::vector<std::vector<at::Tensor>> of_all_ranks(std::int64_t pairs, at::ScalarType type, int steps,
                                                  std::int64_t bucket_bytes) {
  const comm::Communicator comm;
  wear::WearNetwork network(kShape, 1);
  network.to(type);
  GradientSum sum(network.parameters(), comm, bucket_bytes);
  Adam adam(network.parameters(), {});
  std::vector<std::vector<at::Tensor>> gradients;
  for (int step = 0; step < steps; ++step) {
    const Pairs batch = whole_batch(pairs, type, step);
    const Pairs mine = part_of(batch, comm::units_of(pairs, comm.rank(), comm.size()));
    sum.zero();
    if (mine.size() > 0) add_gradients(network, mine, batch.known.sum().item<double>());
    sum.finish();
    gradients.push_back(copies_of_gradients(network));
    adam.step();
  }
  return gradients;
}

double largest_relative_difference(const std::vector<std::vector<at::Tensor>>& a,
                                   const std::vector<std::vector<at::Tensor>>& b) {
  double largest = 0;
  for (std::size_t step = 0; step < a.size(); ++step) {
    for (std::size_t i = 0; i < a[step].size(); ++i) {
      largest = std::max(largest, ((a[step][i] - b[step][i]).norm() / b[step][i].norm()).item<double>());
    }
  }
  return largest;
}

constexpr std::int64_t kBucketBytes = std::int64_t{1} << 20;

TEST(GradientSum, GradientsOfEveryStepAreThoseOfOneRankWithTheWholeBatch) {
  for (const auto& [type, tolerance] : {std::pair{at::kDouble, 1e-11}, std::pair{at::kFloat, 1e-5}}) {
    // 6 divides among 1, 2 and 3 ranks, 5 does not, and with 1 the other ranks have no pair at all.
    for (const std::int64_t pairs : {6, 5, 1}) {
      const int steps = pairs == 5 ? 5 : 1;
      const auto expected = of_one_rank(pairs, type, steps);
      EXPECT_LE(largest_relative_difference(of_all_ranks(pairs, type, steps, kBucketBytes), expected), tolerance)
          << pairs << " pairs in " << type;
    }
  }
}

TEST(GradientSum, BucketsMayHoldOneParameterOrAll) {
  const auto expected = of_all_ranks(3, at::kFloat, 1, kBucketBytes);
  for (const std::int64_t bucket_bytes : {std::int64_t{1}, std::int64_t{1} << 30}) {
    EXPECT_LE(largest_relative_difference(of_all_ranks(3, at::kFloat, 1, bucket_bytes), expected), 1e-5);
  }
}

TEST(GradientSum, AllRanksGetTheSameBits) {
  const comm::Communicator comm;
  const auto gradients = of_all_ranks(5, at::kFloat, 1, kBucketBytes);
  for (const at::Tensor& gradient : gradients.front()) {
    const at::Tensor mine = gradient.contiguous();
    const std::string bytes(static_cast<const char*>(mine.data_ptr()),
                            static_cast<std::size_t>(mine.numel() * mine.element_size()));
    EXPECT_EQ(comm.sum(std::int64_t{comm.broadcast(bytes) == bytes}), comm.size());
  }
}

TEST(GradientSum, TheBackwardPassWritesIntoTheBucketsAndInTheCallingThread) {
  const comm::Communicator comm;
  wear::WearNetwork network(kShape, 1);
  GradientSum sum(network.parameters(), comm);
  std::vector<void*> places;
  for (const at::Tensor& parameter : network.parameters()) places.push_back(parameter.grad().data_ptr());
  std::thread::id thread;
  const auto handle =
      network.parameters().front().register_hook([&](const at::Tensor&) { thread = std::this_thread::get_id(); });
  sum.zero();
  add_gradients(network, whole_batch(1, at::kFloat, 0), 1);
  sum.finish();
  EXPECT_EQ(thread, std::this_thread::get_id());
  for (std::size_t i = 0; i < places.size(); ++i) EXPECT_EQ(network.parameters()[i].grad().data_ptr(), places[i]);
  network.parameters().front().remove_hook(handle);
}

TEST(GradientSum, LeavesTheParametersAloneOnceItIsGone) {
  const comm::Communicator comm;
  wear::WearNetwork network(kShape, 1);
  { const GradientSum sum(network.parameters(), comm); }
  network.zero_grad();
  if (comm.is_root()) add_gradients(network, whole_batch(1, at::kFloat, 0), 1);  // would wait for the others
  EXPECT_EQ(comm.sum(1), comm.size());
}

TEST(GradientSum, RefusesAParameterThatRequiresNoGradient) {
  const comm::Communicator comm;
  if (comm.size() == 1) GTEST_SKIP() << "one rank sums nothing";
  EXPECT_THROW(GradientSum({at::zeros({3})}, comm), Bug);
}

}  // namespace
}  // namespace outsole::learn
