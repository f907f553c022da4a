#include "match/projection.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/checked.h"
#include "core/errors.h"
#include "core/parallel.h"

// One compilation for each instruction set, chosen as the program starts. Products and sums are rounded apart (see
// cmake/OutsoleTargets.cmake), so all of them come to the same bits.
#if defined(__x86_64__) && defined(__gnu_linux__)
#define OUTSOLE_EVERY_VECTOR_LENGTH __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define OUTSOLE_EVERY_VECTOR_LENGTH
#endif

namespace outsole::match {

namespace {

constexpr std::int64_t kRows = 4, kColumns = 16;  // of the sums that stay in registers
using Vector = float __attribute__((vector_size(32)));
constexpr std::int64_t kVectors =
    kColumns * static_cast<std::int64_t>(sizeof(float)) / static_cast<std::int64_t>(sizeof(Vector));

/// sums[r][j] = sum_c projection[r * channels + c] * columns[c][j] for kRows rows, in the order of the channels.
OUTSOLE_EVERY_VECTOR_LENGTH void sum_channels(const float* projection, const float* columns, std::int64_t channels,
                                              float* sums) {
  Vector total[kRows][kVectors] = {};
  for (std::int64_t c = 0; c < channels; ++c) {
    Vector column[kVectors];
    std::memcpy(column, columns + c * kColumns, sizeof column);
    for (std::int64_t r = 0; r < kRows; ++r) {
      for (std::int64_t v = 0; v < kVectors; ++v) total[r][v] += projection[r * channels + c] * column[v];
    }
  }
  std::memcpy(sums, total, sizeof total);
}

}  // namespace

at::Tensor project_channels(const at::Tensor& projection, const at::Tensor& maps) {
  const std::int64_t components = projection.size(0), channels = projection.size(1);
  ensure(maps.size(0) == channels && maps.scalar_type() == at::kFloat && projection.scalar_type() == at::kFloat,
         "a projection takes maps of as many channels as it has columns, in 32 bit");
  std::vector<std::int64_t> shape = maps.sizes().vec();
  shape[0] = components;
  const at::Tensor columns = maps.contiguous().view({channels, -1});
  if (!maps.is_cpu()) return at::mm(projection, columns).view(shape);

  const std::int64_t count = columns.size(1), padded_rows = divide_up(components, kRows) * kRows;
  const at::Tensor rows = at::constant_pad_nd(projection, {0, 0, 0, padded_rows - components}).contiguous();
  at::Tensor projected = at::empty({components, count}, at::kFloat);
  const float* const from = columns.data_ptr<float>();
  float* const to = projected.data_ptr<float>();
  for_each_on_threads(static_cast<std::size_t>(divide_up(count, kColumns)), [&](std::size_t tile) {
    const std::int64_t first = static_cast<std::int64_t>(tile) * kColumns, width = std::min(kColumns, count - first);
    std::vector<float> packed(static_cast<std::size_t>(channels * kColumns));
    for (std::int64_t c = 0; c < channels; ++c) {
      std::copy_n(from + c * count + first, width, packed.data() + c * kColumns);
    }
    for (std::int64_t k = 0; k < components; k += kRows) {
      float sums[kRows * kColumns];
      sum_channels(rows.data_ptr<float>() + k * channels, packed.data(), channels, sums);
      for (std::int64_t r = 0; r < std::min(kRows, components - k); ++r) {
        std::copy_n(sums + r * kColumns, width, to + (k + r) * count + first);
      }
    }
  });
  return projected.view(shape);
}

}  // namespace outsole::match
