// A training step (forward, backward, Adam) against a plain LibTorch loop and against the machine's matrix product;
// started by mpirun on several ranks: against one rank with the whole batch. Random images; one thread a rank; medians
// of steps that take turns.
//
//   bench_train [HEIGHT_PX WIDTH_PX BATCH REPEATS]

#include <ATen/Parallel.h>
#include <torch/optim/adam.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>

#include "comm/communicator.h"
#include "comm/partition.h"
#include "learn/adam.h"
#include "learn/gradient_sum.h"
#include "stock_network.h"
#include "wear/loss.h"
#include "wear/network.h"

namespace {

using namespace outsole;

struct Problem {
  wear::NetworkShape shape{wear::Task::kPrediction, 160, 64, 64, 8};
  std::int64_t batch = 16;
  int repeats = 9;
};

struct Batch {
  at::Tensor x, time, target, known;
};

Batch random_batch(const Problem& problem, std::int64_t pairs) {
  const std::vector<std::int64_t> sizes = {pairs, 1, problem.shape.height_px, problem.shape.width_px};
  return {at::rand(sizes), at::rand({pairs, 1}), at::rand(sizes), at::ones(sizes)};
}

template <typename Network>
void backward(Network& network, const Batch& batch) {
  wear::squared_error(network.forward(batch.x, batch.time), batch.target, batch.known,
                      static_cast<double>(batch.target.numel()))
      .backward();
}

/// A step of the plain loop.
template <typename Network>
void plain_step(Network& network, torch::optim::Adam& adam, const Batch& batch) {
  adam.zero_grad();
  backward(network, batch);
  adam.step();
}

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Medians; the candidates take turns, after one round that does not count.
std::vector<double> median_seconds(const std::vector<std::function<void()>>& candidates, int repeats) {
  std::vector<std::vector<double>> seconds(candidates.size());
  for (int repeat = -1; repeat < repeats; ++repeat) {
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      const double taken = seconds_of(candidates[i]);
      if (repeat >= 0) seconds[i].push_back(taken);
    }
  }
  std::vector<double> medians;
  for (auto& all : seconds) {
    std::nth_element(all.begin(), all.begin() + std::ssize(all) / 2, all.end());
    medians.push_back(all[all.size() / 2]);
  }
  return medians;
}

void against_plain_loops(const Problem& problem, const comm::Communicator& comm) {
  const Batch batch = random_batch(problem, problem.batch);
  wear::WearNetwork network(problem.shape, 1), same_layers(problem.shape, 1);
  learn::GradientSum sum(network.parameters(), comm);
  learn::Adam adam(network.parameters(), {});
  benchmarks::StockNetwork stock_layers(problem.shape);
  torch::optim::Adam same_adam(same_layers.parameters(), 1e-5), stock_adam(stock_layers.parameters(), 1e-5);
  constexpr std::int64_t kSide = 2048;
  const at::Tensor a = at::rand({kSide, kSide}), b = at::rand({kSide, kSide});

  const std::vector<double> seconds = median_seconds(
      {[&] {
         sum.zero();
         backward(network, batch);
         sum.finish();
         adam.step();
       },
       [&] { plain_step(same_layers, same_adam, batch); }, [&] { plain_step(stock_layers, stock_adam, batch); },
       [&] { adam.step(); }, [&] { same_adam.step(); }, [&] { at::mm(a, b); }},
      problem.repeats);
  const double step_gflops = 3 * network.flops() * static_cast<double>(problem.batch) / seconds[0] / 1e9;
  const double product_gflops = 2.0 * kSide * kSide * kSide / seconds[5] / 1e9;
  std::printf("step %.4f s (Adam %.4f s)\n", seconds[0], seconds[3]);
  std::printf("plain loop, same layers  %.4f s (Adam %.4f s): %.2f x\n", seconds[1], seconds[4],
              seconds[1] / seconds[0]);
  std::printf("plain loop, stock layers %.4f s: %.2f x\n", seconds[2], seconds[2] / seconds[0]);
  std::printf("%.1f GFLOP/s, %.2f of the matrix product's %.1f\n", step_gflops, step_gflops / product_gflops,
              product_gflops);
}

/// A barrier that leaves the core to those who still compute.
void meet(const comm::Communicator& comm) {
  float nothing = 0;
  comm::PendingSum sum = comm.start_sum(std::span(&nothing, 1));
  while (!sum.advance()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

void against_one_rank(const Problem& problem, const comm::Communicator& comm) {
  const Batch whole = random_batch(problem, problem.batch);
  const Batch mine = random_batch(problem, comm::units_of(problem.batch, comm.rank(), comm.size()).size());
  wear::WearNetwork network(problem.shape, 1), network_alone(problem.shape, 1);
  learn::GradientSum sum(network.parameters(), comm);
  learn::Adam adam(network.parameters(), {}), adam_alone(network_alone.parameters(), {});
  const auto step_alone = [&](const Batch& batch) {
    network_alone.zero_grad();
    if (batch.x.size(0) > 0) backward(network_alone, batch);
    adam_alone.step();
  };
  double summing_s = 0;
  const std::vector<double> seconds = median_seconds({[&] {
                                                        if (comm.is_root()) step_alone(whole);
                                                        meet(comm);
                                                      },
                                                      [&] {
                                                        sum.zero();
                                                        if (mine.x.size(0) > 0) backward(network, mine);
                                                        summing_s = seconds_of([&] { sum.finish(); });
                                                        adam.step();
                                                        meet(comm);
                                                      },
                                                      [&] {
                                                        if (comm.is_root()) step_alone(mine);
                                                        meet(comm);
                                                      },
                                                      [&] {
                                                        step_alone(mine);
                                                        meet(comm);
                                                      },
                                                      [&] {
                                                        adam_alone.step();
                                                        meet(comm);
                                                      }},
                                                     problem.repeats);
  if (!comm.is_root()) return;
  std::printf("one rank %.4f s, %d ranks %.4f s (the last waited %.4f s for sums): %.2f x\n", seconds[0], comm.size(),
              seconds[1], summing_s, seconds[0] / seconds[1]);
  std::printf(
      "a rank's share of the batch without sums: alone %.4f s (%.2f x), on all ranks at once %.4f s (%.2f x), "
      "of that Adam %.4f s\n",
      seconds[2], seconds[0] / seconds[2], seconds[3], seconds[0] / seconds[3], seconds[4]);
}

}  // namespace

int main(int argc, char** argv) {
  const comm::Environment environment(argc, argv);
  const comm::Communicator comm;
  at::set_num_threads(1);
  Problem problem;
  if (argc == 5) {
    problem.shape.height_px = std::atoll(argv[1]);
    problem.shape.width_px = std::atoll(argv[2]);
    problem.batch = std::atoll(argv[3]);
    problem.repeats = std::atoi(argv[4]);
  }
  if (comm.is_root()) {
    std::printf("%ld x %ld px, batch %ld, %d rank(s)\n", problem.shape.height_px, problem.shape.width_px, problem.batch,
                comm.size());
  }
  if (comm.size() == 1) {
    against_plain_loops(problem, comm);
  } else {
    against_one_rank(problem, comm);
  }
}
