#pragma once
// A trained model at work on one image.

#include <ATen/Device.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <opencv2/core.hpp>
#include <string>

#include "comm/communicator.h"
#include "store/store.h"
#include "wear/time_encoding.h"

namespace outsole::wear {

class Predictor {
 public:
  /// Reads the model and moves it to `device`. Throws DataError as load_model, EnvironmentError for a missing device.
  Predictor(const std::filesystem::path& model, at::Device device);
  /// The same on every rank; rank 0 alone tries the file in a child process. Collective; throws on every rank.
  static Predictor open_together(const comm::Communicator& comm, const std::filesystem::path& model, at::Device device);
  ~Predictor();
  Predictor(Predictor&&) noexcept;

  /// From now on teams of `split_ranks` ranks hold an image together, each a slab of its rows: what the ranks of `comm`
  /// are cut into. Throws UsageError where neither they nor the images can be cut like that. Collective.
  void split(const comm::Communicator& comm, int split_ranks);
  /// Runs `work`, which does not communicate, on all ranks of a team; an error on one of them is thrown on all.
  void together(const std::function<void()>& work) const;
  /// Of its team it is this rank that gets the images: always, unless they are split.
  bool gets_images() const;

  Task task() const;
  cv::Size size() const;                   // of the images it takes and gives
  const nlohmann::json& training() const;  // how it was made
  const std::string& sha256() const;       // of the model's file
  double flops() const;                    // of one image

  /// The outsole of `image` (CV_8UC1 of size(), 255 is paper) `weeks` later (prediction), or in week `weeks`
  /// (reconstruction): CV_32FC1 in 0..255. Throws UsageError when the task does not reach that time. Where images are
  /// split, all ranks of a team ask with the same image, and the result is empty but on the one that gets_images.
  cv::Mat1f operator()(const cv::Mat1b& image, double weeks) const;

 private:
  Predictor(const store::Store& model, at::Device device);
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace outsole::wear
