// Training and indexing on a GPU, each against the plain way to do it in the same run; on a CPU in sizes that only show
// that it runs.
//
//   bench_train_device [--json FILE] [--seconds N] [--only indexing|training]
//
// What is not begun after N seconds (100) is left out, and said so.

#include "device_benchmark.h"

#include <torch/cuda.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "comm/communicator.h"
#include "core/clock.h"

namespace outsole::benchmarks {

at::Device device_at_hand() { return torch::cuda::is_available() ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU); }

void wait_for(const at::Device& device) {
  if (device.is_cuda()) torch::cuda::synchronize(device.index());
}

double seconds_of(const std::function<void()>& work, const at::Device& device, double round_s) {
  const auto seconds = [&](int calls) {
    wait_for(device);
    const double start = now_s();
    for (int i = 0; i < calls; ++i) work();
    wait_for(device);
    return (now_s() - start) / calls;
  };
  constexpr double kLong_s = 0.05;  // one call tells enough
  seconds(1);                       // makes room, chooses algorithms
  double once_s = seconds(1);
  if (once_s < kLong_s) once_s = seconds(3);
  const int calls = static_cast<int>(std::clamp(round_s / once_s, 1.0, 200.0));
  std::vector<double> rounds;
  for (int i = 0; i < 3; ++i) rounds.push_back(seconds(calls));
  std::ranges::sort(rounds);
  return rounds[1];
}

Field text(const std::string& name, const std::string& value) { return {name, value, false}; }

Field number(const std::string& name, double value, int digits) {
  char printed[64] = "";
  std::snprintf(printed, sizeof printed, "%.*f", digits, value);
  return {name, printed, true};
}

void Lines::add(const std::string& group, const Line& line) {
  std::string object = "{\"group\": \"" + group + "\"";
  std::printf("%s:", group.c_str());
  for (const Field& field : line) {
    const char* const quote = field.is_number ? "" : "\"";
    object += ", \"" + field.name + "\": " + quote + field.value + quote;
    if (field.is_number) {
      std::printf("  %s %s", field.name.c_str(), field.value.c_str());
    } else {
      std::printf("  %s", field.value.c_str());
    }
  }
  std::printf("\n");
  std::fflush(stdout);
  objects_.push_back(object + "}");
  if (!json_path_.empty()) write();
}

void Lines::write() const {
  std::ofstream file(json_path_);
  file << "[\n";
  for (std::size_t i = 0; i < objects_.size(); ++i) file << objects_[i] << (i + 1 < objects_.size() ? ",\n" : "\n");
  file << "]\n";
}

}  // namespace outsole::benchmarks

int main(int argc, char** argv) {
  using namespace outsole;
  const double start = now_s();
  const comm::Environment environment(argc, argv);
  std::string json, only;
  double seconds = 100;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string option = argv[i];
    if (option == "--json") json = argv[i + 1];
    if (option == "--seconds") seconds = std::atof(argv[i + 1]);
    if (option == "--only") only = argv[i + 1];
  }
  const at::Device device = benchmarks::device_at_hand();
  std::printf("on %s\n", device.str().c_str());
  benchmarks::Lines lines(json);
  if (only != "training") benchmarks::measure_indexing(device, lines);
  if (only != "indexing") benchmarks::measure_steps(device, start + seconds, lines);
}
