#include "wear/predictor.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>
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
  std::optional<ImageTeam> team = {};
};

namespace {

/// Rows of one team's ranks, one below the other, on its first rank; empty on the others.
cv::Mat1f gathered(const comm::Communicator& team, const at::Tensor& rows, cv::Size size) {
  const comm::Gathered<float> all =
      team.gatherv(std::span<const float>(rows.data_ptr<float>(), static_cast<std::size_t>(rows.numel())));
  if (!team.is_root()) return {};
  cv::Mat1f image(size);
  std::ranges::copy(all.values, image.begin());
  return image;
}

}  // namespace

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

void Predictor::split(const comm::Communicator& comm, int split_ranks) {
  if (split_ranks == 1) return;
  require_teams(comm.size(), split_ranks);
  const std::int64_t height_px = state_->model.network->shape().height_px;
  slab_of(height_px, 0, split_ranks);
  state_->team.emplace(height_px, comm.split(comm.rank() / split_ranks));
}

bool Predictor::gets_images() const { return !state_->team || state_->team->ranks().is_root(); }

void Predictor::together(const std::function<void()>& work) const {
  if (!state_->team) return work();
  state_->team->ranks().together(work);
}

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
  ImageTeam* const team = state_->team ? &*state_->team : nullptr;
  const comm::UnitRange rows = team != nullptr ? team->slab().rows : comm::UnitRange{0, image.rows};
  cv::Mat1f grey;
  image.rowRange(narrow<int>(rows.begin), narrow<int>(rows.end)).convertTo(grey, CV_32F, 1.0 / 255);
  at::Tensor time = torch::empty({1, time_inputs(task())});
  encode_time(task(), weeks, {time.data_ptr<float>(), static_cast<std::size_t>(time.numel())});
  const at::Tensor x = torch::from_blob(grey.data, {1, 1, grey.rows, grey.cols}).to(state_->device);
  const at::Tensor y = state_->model.network->forward(x, time.to(state_->device), team).to(at::kCPU).contiguous();
  if (team != nullptr) {
    cv::Mat1f whole = gathered(team->ranks(), y, image.size());
    whole.convertTo(whole, CV_32F, 255);
    return whole;
  }
  cv::Mat1f result(image.size());
  std::memcpy(result.data, y.data_ptr<float>(), result.total() * sizeof(float));
  return result * 255;
}

}  // namespace outsole::wear
