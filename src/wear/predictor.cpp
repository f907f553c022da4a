#include "wear/predictor.h"

#include <cstring>
#include <optional>
#include <vector>

#include "comm/communicator.h"
#include "core/checked.h"
#include "core/errors.h"
#include "store/store.h"
#include "wear/model_file.h"

namespace outsole::wear {

struct Predictor::State {
  Model model;
  std::string sha256;
  at::Device device;
};

Predictor::Predictor(const std::filesystem::path& model, at::Device device)
    : Predictor(store::Store(model, kModelSchema, store::Origin::kForeign), device) {}

Predictor Predictor::open_together(const comm::Communicator& comm, const std::filesystem::path& model,
                                   at::Device device) {
  const auto store = store::Store::open_together(comm, model, kModelSchema, {}, store::Origin::kForeign);
  std::optional<Predictor> predictor;
  comm.together([&] { predictor.emplace(Predictor(store, device)); });
  return std::move(*predictor);
}

Predictor::Predictor(const store::Store& model, at::Device device)
    : state_(new State{load_model(model), model.sha256(), device}) {
  state_->model.network->to(device);
  state_->model.network->eval();
}

Predictor::~Predictor() = default;
Predictor::Predictor(Predictor&&) noexcept = default;

Task Predictor::task() const { return state_->model.network->shape().task; }

cv::Size Predictor::size() const {
  const NetworkShape& shape = state_->model.network->shape();
  return {narrow<int>(shape.width_px), narrow<int>(shape.height_px)};
}

const nlohmann::json& Predictor::training() const { return state_->model.training; }

const std::string& Predictor::sha256() const { return state_->sha256; }

double Predictor::flops() const { return state_->model.network->flops(); }

cv::Mat1f Predictor::operator()(const cv::Mat1b& image, double weeks) const {
  ensure(image.size() == size(), "the image has the model's size");
  const torch::NoGradGuard no_gradients;
  cv::Mat1f grey;
  image.convertTo(grey, CV_32F, 1.0 / 255);
  at::Tensor time = torch::empty({1, time_inputs(task())});
  encode_time(task(), weeks, {time.data_ptr<float>(), static_cast<std::size_t>(time.numel())});
  const at::Tensor x = torch::from_blob(grey.data, {1, 1, grey.rows, grey.cols}).to(state_->device);
  const at::Tensor y = state_->model.network->forward(x, time.to(state_->device)).to(at::kCPU).contiguous();
  cv::Mat1f result(image.size());
  std::memcpy(result.data, y.data_ptr<float>(), result.total() * sizeof(float));
  return result * 255;
}

}  // namespace outsole::wear
