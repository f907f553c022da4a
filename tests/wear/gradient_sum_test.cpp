#include "learn/gradient_sum.h"

#include <gtest/gtest.h>
#include <torch/utils.h>

#include <string>
#include <thread>

#include "comm/partition.h"
#include "core/errors.h"
#include "learn/adam.h"

namespace outsole::learn {
namespace {

constexpr std::int64_t kInputs = 24, kHidden = 48, kOutputs = 8;

/// A small network of two layers: four parameters, 6 KiB in 32 bit.
class Network {
 public:
  explicit Network(at::ScalarType type = at::kFloat, const at::Device& device = at::kCPU) {
    torch::manual_seed(1);
    for (const auto& shape :
         std::vector<std::vector<std::int64_t>>{{kInputs, kHidden}, {kHidden}, {kHidden, kOutputs}, {kOutputs}}) {
      parameters_.push_back((at::randn(shape, at::kDouble) / 4).to(device, type).requires_grad_());
    }
  }

  at::Tensor forward(const at::Tensor& x) const {
    const at::Tensor hidden = at::relu(at::matmul(x, parameters_[0]) + parameters_[1]);
    return at::matmul(hidden, parameters_[2]) + parameters_[3];
  }

  const std::vector<at::Tensor>& parameters() const { return parameters_; }
  void drop_gradients() {
    for (at::Tensor& parameter : parameters_) parameter.mutable_grad() = at::Tensor();
  }

 private:
  std::vector<at::Tensor> parameters_;
};

/// Some examples of a batch.
struct Examples {
  at::Tensor x, target;
  std::int64_t size() const { return x.size(0); }
};

Examples whole_batch(std::int64_t examples, at::ScalarType type, std::int64_t step) {
  torch::manual_seed(static_cast<std::uint64_t>(40 + step));
  const auto random = [&](std::int64_t width) { return at::rand({examples, width}, at::kDouble).to(type); };
  const at::Tensor x = random(kInputs);
  return {x, random(kOutputs)};
}

Examples part_of(const Examples& batch, const comm::UnitRange& range) {
  return {batch.x.slice(0, range.begin, range.end), batch.target.slice(0, range.begin, range.end)};
}

/// Of the mean over all examples of the whole batch.
void add_gradients(const Network& network, const Examples& examples, std::int64_t all) {
  ((network.forward(examples.x) - examples.target).square().sum() / all).backward();
}

std::vector<at::Tensor> copies_of_gradients(const Network& network) {
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& parameter : network.parameters()) gradients.push_back(parameter.grad().clone());
  return gradients;
}

/// The gradients after each of `steps` steps of one process that sees the whole batch: autograd alone, no buckets.
std::vector<std::vector<at::Tensor>> of_one_rank(std::int64_t examples, at::ScalarType type, int steps) {
  Network network(type);
  Adam adam(network.parameters(), {});
  std::vector<std::vector<at::Tensor>> gradients;
  for (int step = 0; step < steps; ++step) {
    network.drop_gradients();
    add_gradients(network, whole_batch(examples, type, step), examples);
    gradients.push_back(copies_of_gradients(network));
    adam.step();
  }
  return gradients;
}

/// The same on all ranks, each with its part of the batch.
std::vector<std::vector<at::Tensor>> of_all_ranks(std::int64_t examples, at::ScalarType type, int steps,
                                                  std::int64_t bucket_bytes) {
  const comm::Communicator comm;
  Network network(type);
  GradientSum sum(network.parameters(), comm, bucket_bytes);
  Adam adam(network.parameters(), {});
  std::vector<std::vector<at::Tensor>> gradients;
  for (int step = 0; step < steps; ++step) {
    const Examples batch = whole_batch(examples, type, step);
    const Examples mine = part_of(batch, comm::units_of(examples, comm.rank(), comm.size()));
    sum.zero();
    if (mine.size() > 0) add_gradients(network, mine, examples);
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

constexpr std::int64_t kBucketBytes = 2048;  // several buckets

TEST(GradientSum, GradientsOfEveryStepAreThoseOfOneRankWithTheWholeBatch) {
  for (const auto& [type, tolerance] : {std::pair{at::kDouble, 1e-11}, std::pair{at::kFloat, 1e-5}}) {
    // 6 divides among 1, 2 and 3 ranks, 5 does not, and with 1 the other ranks have no example at all.
    for (const std::int64_t examples : {6, 5, 1}) {
      const int steps = examples == 5 ? 5 : 1;
      const auto expected = of_one_rank(examples, type, steps);
      EXPECT_LE(largest_relative_difference(of_all_ranks(examples, type, steps, kBucketBytes), expected), tolerance)
          << examples << " examples in " << type;
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
  Network network;
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
  Network network;
  { const GradientSum sum(network.parameters(), comm); }
  network.drop_gradients();
  if (comm.is_root()) add_gradients(network, whole_batch(1, at::kFloat, 0), 1);  // would wait for the others
  EXPECT_EQ(comm.sum(1), comm.size());
}

TEST(GradientSum, ARankWhoseBackwardPassFailsTakesPartAndTheNextStepIsWhole) {
  const comm::Communicator comm;
  Network network;
  GradientSum sum(network.parameters(), comm, kBucketBytes);
  const Examples batch = whole_batch(1, at::kFloat, 0);
  const bool fails = comm.rank() == comm.size() - 1;
  sum.zero();
  {
    const at::Tensor first = network.parameters().front();
    const auto handle = first.register_hook([&](const at::Tensor&) {
      if (fails) throw std::runtime_error("halfway");  // later parameters' gradients are there, this one's is not
    });
    try {
      add_gradients(network, batch, comm.size());
    } catch (const std::exception&) {
    }
    sum.finish();
    first.remove_hook(handle);
  }
  sum.zero();
  add_gradients(network, batch, comm.size());
  sum.finish();
  const auto expected = of_one_rank(1, at::kFloat, 1);
  EXPECT_LE(largest_relative_difference({copies_of_gradients(network)}, expected), 1e-5);
}

TEST(GradientSum, OnAGpuSumsCopiesOnTheHost) {
  if (!at::hasCUDA()) GTEST_SKIP() << "needs a GPU and a LibTorch that can use it";
  const comm::Communicator comm;
  Network network(at::kFloat, at::Device(at::kCUDA, 0));
  GradientSum sum(network.parameters(), comm, kBucketBytes);
  const Examples batch = whole_batch(1, at::kFloat, 0);
  sum.zero();
  add_gradients(network, {batch.x.cuda(), batch.target.cuda()}, comm.size());
  sum.finish();
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& gradient : copies_of_gradients(network)) gradients.push_back(gradient.cpu());
  EXPECT_LE(largest_relative_difference({gradients}, of_one_rank(1, at::kFloat, 1)), 1e-5);
}

TEST(GradientSum, RefusesAParameterThatRequiresNoGradient) {
  const comm::Communicator comm;
  if (comm.size() == 1) GTEST_SKIP() << "one rank sums nothing";
  EXPECT_THROW(GradientSum({at::zeros({3})}, comm), Bug);
}

}  // namespace
}  // namespace outsole::learn
