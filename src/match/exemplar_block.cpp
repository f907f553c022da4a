#include "match/exemplar_block.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "core/errors.h"

namespace outsole::match {

namespace {

struct MapShape {
  std::int64_t height, width;              // of a map
  std::int64_t inner_height, inner_width;  // without its border
  std::int64_t border;

  std::int64_t cells() const { return height * width; }
  std::int64_t inner_cells() const { return inner_height * inner_width; }
};

/// One channel of some exemplars, `stride` floats apart, into neighbouring lanes. Tiles of 16 columns go through a
/// buffer: read along the rows of a map, written lane beside lane.
void pack_channel(const float* maps, std::int64_t exemplars, std::int64_t stride, const MapShape& shape, float white,
                  float* lanes) {
  constexpr std::int64_t kColumns = 16;
  float tile[kColumns][kLanes];
  for (std::int64_t x0 = 0; x0 < shape.inner_width; x0 += kColumns) {
    const std::int64_t columns = std::min(kColumns, shape.inner_width - x0);
    for (std::int64_t y = 0; y < shape.inner_height; ++y) {
      const float* row = maps + (y + shape.border) * shape.width + x0 + shape.border;
      for (std::int64_t i = 0; i < exemplars; ++i) {
        for (std::int64_t x = 0; x < columns; ++x) tile[x][i] = row[i * stride + x] - white;
      }
      for (std::int64_t x = 0; x < columns; ++x) {
        std::copy_n(tile[x], exemplars, lanes + ((x0 + x) * shape.inner_height + y) * kLanes);
      }
    }
  }
}

/// The sums of some values and of their squares.
struct Sums {
  double sum = 0, square_sum = 0;
};

/// Each in eight sums side by side, always the same ones.
Sums sums_of(const float* values, std::int64_t count) {
  constexpr std::int64_t kSums = 8;
  double sums[kSums] = {}, squares[kSums] = {};
  const auto add = [&](std::int64_t k, double value) {
    sums[k] += value;
    squares[k] += value * value;
  };
  std::int64_t i = 0;
  for (; i + kSums <= count; i += kSums) {
    for (std::int64_t k = 0; k < kSums; ++k) add(k, values[i + k]);
  }
  for (std::int64_t k = 0; i < count; ++i, ++k) add(k, values[i]);
  const auto total = [](const double* s) { return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7])); };
  return {total(sums), total(squares)};
}

}  // namespace

at::Tensor pack_block(const at::Tensor& maps, const at::Tensor& white_response, std::int64_t border_cells) {
  const std::int64_t height = maps.size(2) - 2 * border_cells, width = maps.size(3) - 2 * border_cells;
  ensure(height > 0 && width > 0, "a block holds no cell");
  at::Tensor block = at::zeros({maps.size(1), width, height, kLanes}, at::kFloat);
  pack_lanes(maps.contiguous(), white_response, border_cells, 0, block);
  return block;
}

ChannelSums pack_lanes(const at::Tensor& maps, const at::Tensor& white_response, std::int64_t border_cells,
                       std::int64_t first_lane, at::Tensor block) {
  const std::int64_t exemplars = maps.size(0), channels = maps.size(1);
  ensure(first_lane + exemplars <= kLanes, "a block holds too many exemplars");
  ensure(maps.is_contiguous() && block.is_contiguous() && maps.is_cpu() && block.size(0) == channels,
         "maps and block lie in memory as their shapes say");
  const MapShape shape = {maps.size(2), maps.size(3), block.size(2), block.size(1), border_cells};
  const ChannelSums sums = {at::zeros({channels}, at::kDouble), at::zeros({channels}, at::kDouble)};
  at::parallel_for(0, channels, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end; ++c) {
      const float* map = maps.data_ptr<float>() + c * shape.cells();
      float* lanes = block.data_ptr<float>() + c * shape.inner_cells() * kLanes + first_lane;
      pack_channel(map, exemplars, channels * shape.cells(), shape, white_response.data_ptr<float>()[c], lanes);
      for (std::int64_t i = 0; i < exemplars; ++i) {
        const Sums of_map = sums_of(map + i * channels * shape.cells(), shape.cells());
        sums.sum.data_ptr<double>()[c] += of_map.sum;
        sums.square_sum.data_ptr<double>()[c] += of_map.square_sum;
      }
    }
  });
  return sums;
}

}  // namespace outsole::match
