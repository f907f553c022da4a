#include "wear/initial_weights.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <string>

#include "core/checked.h"
#include "core/errors.h"
#include "wear/model_file.h"

namespace outsole::wear {

namespace {

/// One side of the encoder's last map.
std::int64_t cells(std::int64_t side_px) { return divide_up(side_px, kSizeStep); }

/// [cells of `to_px`, cells of `from_px`]: what each cell of one image takes of those of another, of which it mixes the
/// two whose middles are nearest.
at::Tensor mixture(std::int64_t from_px, std::int64_t to_px) {
  const std::int64_t last = cells(from_px) - 1;
  at::Tensor shares = at::zeros({cells(to_px), cells(from_px)});
  for (std::int64_t cell = 0; cell < cells(to_px); ++cell) {
    const double place = (static_cast<double>(cell) + 0.5) * static_cast<double>(from_px) / static_cast<double>(to_px);
    const double among_middles = std::clamp(place - 0.5, 0.0, static_cast<double>(last));
    const auto first = static_cast<std::int64_t>(among_middles);
    const double share = among_middles - static_cast<double>(first);
    shares[cell][first] += 1 - share;
    if (share > 0) shares[cell][first + 1] += share;
  }
  return shares;
}

/// The last layer's weights [maps x cells, inputs] for another number of cells.
at::Tensor resampled(const at::Tensor& weights, const NetworkShape& from, const NetworkShape& to) {
  const at::Tensor grid = weights.t().reshape({-1, from.time_maps, cells(from.height_px), cells(from.width_px)});
  const at::Tensor finer =
      at::matmul(at::matmul(mixture(from.height_px, to.height_px), grid), mixture(from.width_px, to.width_px).t());
  return finer.reshape({weights.size(1), -1}).t();
}

}  // namespace

void require_same_but_size(const NetworkShape& from, const NetworkShape& to, const std::filesystem::path& model) {
  const auto require = [&](const char* option, const std::string& there, const std::string& here) {
    if (there == here) return;
    throw UsageError("`init` " + model.string() + ": of its network `" + option + "` is " + there + ", here it is " +
                     here + "; only the size of the images may differ");
  };
  require("task", name_of(from.task), name_of(to.task));
  require("network", name_of(from.kind), name_of(to.kind));
  require("first_maps", std::to_string(from.first_maps), std::to_string(to.first_maps));
  require("time_hidden", std::to_string(from.time_hidden), std::to_string(to.time_hidden));
  require("time_maps", std::to_string(from.time_maps), std::to_string(to.time_maps));
}

void start_from(const WearNetwork& model, WearNetwork& network) {
  const c10::NoGradGuard no_gradients;
  const NetworkShape &from = model.shape(), &to = network.shape();
  const bool is_same_size = from.height_px == to.height_px && from.width_px == to.width_px;
  const auto targets = weights_of(network), values = weights_of(model);
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const at::Tensor& value = values[i].tensor;
    ensure(targets[i].name == values[i].name, "networks of one kind have the same layers");
    if (is_same_size || !targets[i].name.starts_with("time1.")) {
      targets[i].tensor.copy_(value);
    } else if (value.dim() == 1) {
      targets[i].tensor.copy_(resampled(value.unsqueeze(1), from, to).squeeze(1));
    } else {
      targets[i].tensor.copy_(resampled(value, from, to));
    }
  }
}

}  // namespace outsole::wear
