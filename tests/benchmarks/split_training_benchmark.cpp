// A training step of images that teams of ranks hold together: time, memory beside what is planned, border rows. Random
// images, the paper's network, one thread a rank; a line of the table that split_training.sh prints.
//
//   bench_split_training HEIGHT_PX WIDTH_PX PAIRS STEPS SPLIT_RANKS [recompute] [wait] [ssim] [residual]

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "comm/partition.h"
#include "core/clock.h"
#include "learn/adam.h"
#include "learn/gradient_sum.h"
#include "machine/large_tensors.h"
#include "wear/loss.h"
#include "wear/network.h"
#include "wear/step_memory.h"

namespace {

using namespace outsole;

/// "VmRSS" or "VmHWM" (the most there ever was) of this process.
std::int64_t memory_bytes(const std::string& key) {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    if (word != key + ":") continue;
    std::int64_t kib = 0;
    status >> kib;
    return kib * 1024;
  }
  return 0;
}

double sum(const comm::Communicator& comm, double value) {
  comm.start_sum(std::span(&value, 1)).wait();
  return value;
}

}  // namespace

int main(int argc, char** argv) {
  const comm::Environment environment(argc, argv);
  const comm::Communicator comm;
  if (argc < 6) {
    if (comm.is_root()) std::fprintf(stderr, "see the first lines of the source\n");
    return 2;
  }
  at::set_num_threads(1);
  machine::map_large_tensors();
  const std::set<std::string> words(argv + 6, argv + argc);
  const std::int64_t pairs = std::atoll(argv[3]);
  const int steps = std::atoi(argv[4]), team_size = std::atoi(argv[5]);
  wear::StepWork work{{wear::Task::kPrediction, std::atoll(argv[1]), std::atoll(argv[2]), 64, 8}, team_size};
  if (words.contains("residual")) work.network.kind = wear::NetworkKind::kResidual;
  work.ssim_weight = words.contains("ssim") ? 8 : 0;
  work.recomputes = words.contains("recompute");

  wear::ImageTeam team(work.network.height_px, comm.split(comm.rank() / team_size));
  if (words.contains("wait")) team.wait_at_once();
  const std::int64_t own_pairs = comm::units_of(pairs, comm.rank() / team_size, comm.size() / team_size).size();
  // The same images however they are cut, for the same loss.
  const auto random = [&] {
    const at::Tensor whole = at::rand({pairs, 1, work.network.height_px, work.network.width_px});
    const comm::UnitRange rows = team.slab().rows,
                          own = comm::units_of(pairs, comm.rank() / team_size, comm.size() / team_size);
    return whole.slice(0, own.begin, own.end).slice(2, rows.begin, rows.end).clone();
  };
  const auto known_pixels = static_cast<double>(pairs * work.network.height_px * work.network.width_px);

  {  // what the libraries take once they compute is no step's
    wear::WearNetwork small({wear::Task::kPrediction, 64, 64, 4, 8}, 1);
    small.forward(at::rand({1, 1, 64, 64}), at::rand({1, 1})).sum().backward();
  }
  const std::int64_t baseline = memory_bytes("VmRSS");
  wear::WearNetwork network(work.network, 1);
  learn::GradientSum gradients(network.parameters(), comm);
  learn::Adam adam(network.parameters(), {});
  std::vector<double> seconds;
  double loss = 0, halo_s = 0;
  std::int64_t halo_bytes = 0;
  for (int step = -1; step < steps; ++step) {  // the first does not count, unless it is the only one
    torch::manual_seed(static_cast<std::uint64_t>(100 + step));
    const at::Tensor x = random(), target = random(), known = at::ones_like(x), known_of_x = at::ones_like(x),
                     time = at::full({own_pairs, 1}, 0.5);
    comm.barrier();
    const wear::HaloCosts before = team.costs();
    const double start_s = now_s();
    gradients.zero();
    const auto loss_of = [&](const at::Tensor& predicted) {
      const at::Tensor lessened =
          wear::training_loss(predicted, target, known, known_pixels, work.ssim_weight, &team).lessened;
      loss = lessened.item<double>();
      return lessened;
    };
    if (own_pairs == 0) {
      loss = 0;
    } else if (work.recomputes) {
      network.add_gradients_recomputing(x, time, &team, loss_of);
    } else {
      loss_of(network.forward(x, time, &team)).backward();
    }
    gradients.finish();
    adam.step();
    const double step_s = comm.max(now_s() - start_s);
    if (step >= 0 || steps == 0) {
      seconds.push_back(step_s);
      halo_s += (team.costs().seconds - before.seconds) / step_s;
      halo_bytes = team.costs().sent_bytes - before.sent_bytes;
    }
  }
  std::ranges::sort(seconds);
  const double peak = static_cast<double>(comm.max(memory_bytes("VmHWM") - baseline));
  constexpr double kBytesAParameter = 4 * sizeof(float);  // weights, gradients, moments
  const double planned = kBytesAParameter * static_cast<double>(wear::weight_count(work.network)) +
                         static_cast<double>(comm.max(own_pairs) * wear::pair_memory_bytes(work));
  const double all_loss = sum(comm, loss), halo_share = comm.max(halo_s / static_cast<double>(seconds.size()));
  const auto most_sent = static_cast<double>(comm.max(halo_bytes));
  if (!comm.is_root()) return 0;
  std::printf("%6lld x %-5lld %5lld %5d %5d %-9s %-4s %9.3f %9.1f %9.1f %6.2f %9.3f %6.1f%% %.9g\n",
              static_cast<long long>(work.network.height_px), static_cast<long long>(work.network.width_px),
              static_cast<long long>(pairs), comm.size(), team_size, work.recomputes ? "recompute" : "",
              words.contains("wait") ? "wait" : "", seconds[seconds.size() / 2], peak / (1 << 20), planned / (1 << 20),
              planned / peak, most_sent / (1 << 20), 100 * halo_share, all_loss);
  return 0;
}
