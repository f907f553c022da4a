#pragma once
// What the benchmarks of a device have in common: its clock, and their lines, which go to a table and to a JSON file.

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "device_memory.h"

namespace outsole::benchmarks {

/// The first GPU, or the CPU where LibTorch sees none.
at::Device device_at_hand();

/// Returns when the device has done all that it was given.
void wait_for(const at::Device& device);

/// Seconds that `work` takes when it is called again and again, without waiting for the device between: the median of
/// three rounds, each of `round_s` or so, after calls that do not count.
double seconds_of(const std::function<void()>& work, const at::Device& device, double round_s = 0.25);

/// Names and values, both as they are printed; numbers of JSON or strings.
struct Field {
  std::string name, value;
  bool is_number = true;
};
using Line = std::vector<Field>;
Field text(const std::string& name, const std::string& value);
Field number(const std::string& name, double value, int digits);

class Lines {
 public:
  /// Writes them to `json_path`, unless that is empty, as they come.
  explicit Lines(std::string json_path) : json_path_(std::move(json_path)) {}
  /// Prints it.
  void add(const std::string& group, const Line& line);

 private:
  void write() const;

  std::string json_path_;
  std::vector<std::string> objects_;
};

/// A step of training (train_device_benchmark.cpp) and indexing (index_device_benchmark.cpp), until `deadline_s` of
/// now_s has come.
void measure_steps(const at::Device& device, double deadline_s, Lines& lines);
void measure_indexing(const at::Device& device, Lines& lines);

}  // namespace outsole::benchmarks
