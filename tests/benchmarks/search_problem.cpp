#include "search_problem.h"

#include <chrono>
#include <cmath>
#include <numbers>

#include "features/safetensors.h"
#include "match/exemplar_block.h"
#include "match/lanes.h"
#include "match/support.h"

namespace outsole::benchmarks {

namespace {

/// Maps of a view's size: random, or an exemplar's with itself around it.
at::Tensor view_features(const SearchProblem& problem, std::size_t number, std::int64_t height, std::int64_t width) {
  if (index_file().empty()) return at::relu(at::randn({problem.channels, height, width}));
  const at::Tensor map = problem.exemplars[static_cast<std::int64_t>(number) % match::kLanes];
  const at::Tensor tiled = map.repeat({1, height / map.size(1) + 1, width / map.size(2) + 1});
  return tiled.slice(1, 0, height).slice(2, 0, width).contiguous();
}

at::Tensor exemplar_maps(const SearchProblem& problem) {
  const std::vector<std::int64_t> shape = {match::kLanes, problem.channels, problem.frame.height, problem.frame.width};
  if (index_file().empty()) return at::relu(at::randn(shape));
  return features::SafetensorsFile(index_file()).read("maps", shape);
}

}  // namespace

SearchProblem make_search_problem(std::int64_t mark_height_px, std::int64_t mark_width_px) {
  at::manual_seed(1);
  SearchProblem problem;
  for (int angle = -20; angle <= 20; angle += 4) problem.grid.angles_deg.push_back(angle);
  problem.grid.stride_px = 2;
  problem.grid.frame_height_px = 293;
  problem.grid.frame_width_px = 135;
  problem.grid.mark_height_px = mark_height_px;
  problem.grid.mark_width_px = mark_width_px;
  problem.exemplars = exemplar_maps(problem);
  const double centre_y = (static_cast<double>(problem.grid.canvas_height_px()) - 1) / 2;
  const double centre_x = (static_cast<double>(problem.grid.canvas_width_px()) - 1) / 2;
  for (std::size_t angle = 0; angle < problem.grid.angles_deg.size(); ++angle) {
    const double radians = problem.grid.angles_deg[angle] * std::numbers::pi / 180;
    for (const match::ViewOffset& offset : match::view_offsets(problem.grid, problem.frame.cell_px)) {
      const std::int64_t height = (problem.grid.canvas_height_px() - offset.offset_y_px - 1) / 4;
      const std::int64_t width = (problem.grid.canvas_width_px() - offset.offset_x_px - 1) / 4;
      at::Tensor support = at::zeros({height, width}, at::kBool);
      auto cells = support.accessor<bool, 2>();
      for (std::int64_t k = 0; k < height; ++k) {
        for (std::int64_t l = 0; l < width; ++l) {
          const double y = static_cast<double>(4 * k + 2 + offset.offset_y_px) - centre_y;
          const double x = static_cast<double>(4 * l + 2 + offset.offset_x_px) - centre_x;
          const double turned_x = std::cos(radians) * x - std::sin(radians) * y;
          const double turned_y = std::sin(radians) * x + std::cos(radians) * y;
          cells[k][l] = std::abs(turned_y) < static_cast<double>(mark_height_px) / 2 &&
                        std::abs(turned_x) < static_cast<double>(mark_width_px) / 2;
        }
      }
      problem.views.push_back(match::make_mark_view(static_cast<std::int64_t>(angle), offset,
                                                    view_features(problem, problem.views.size(), height, width),
                                                    match::eroded(support, 3)));
    }
  }
  const at::Tensor exemplars = problem.exemplars.to(at::kDouble);
  problem.model = match::plain_channel_model(exemplars.square().mean({0, 2, 3}));
  problem.model.mean = exemplars.mean({0, 2, 3});
  problem.model.deviation = exemplars.std({0, 2, 3}, /*unbiased=*/false);
  problem.block = match::pack_block(problem.exemplars, at::zeros({problem.channels}), 0);
  return problem;
}

std::filesystem::path& index_file() {
  static std::filesystem::path file;
  return file;
}

std::int64_t next_fast_length(std::int64_t length) {
  for (;; ++length) {
    std::int64_t rest = length;
    for (const std::int64_t factor : {2, 3, 5}) {
      while (rest % factor == 0) rest /= factor;
    }
    if (rest == 1) return length;
  }
}

double now_s() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

double sgemm_gflops(int repeats) {
  constexpr std::int64_t kSize = 2048;
  static const at::Tensor a = at::randn({kSize, kSize}), b = at::randn({kSize, kSize});
  static at::Tensor c = at::mm(a, b);
  double best = 0;
  for (int repeat = 0; repeat < repeats; ++repeat) {
    const double start = now_s();
    at::mm_out(c, a, b);
    best = std::max(best, 2.0 * kSize * kSize * kSize / (now_s() - start) / 1e9);
  }
  return best;
}

}  // namespace outsole::benchmarks
