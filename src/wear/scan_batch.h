#pragma once
// Images of a batch, and their way to a GPU: in 8 bit, through memory that the GPU reads while the program goes on.

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace outsole::wear {

/// Images of a batch, or the rows of them that were asked for.
struct ScanBatch {
  at::Tensor grey;   // [N, 1, rows, width] float32 in [0, 1]; 1 is paper, also where nothing is known
  at::Tensor known;  // [N, 1, rows, width] float32: 1 where the scanner saw it (and it was moved to), 0 elsewhere
};

/// The same in 8 bit, on the host.
struct ByteBatch {
  at::Tensor grey;   // [N, 1, rows, width] uint8; 255 is paper
  at::Tensor known;  // [N, 1, rows, width] uint8: 1 or 0
};

/// Memory for a batch that goes to `device`: pinned if that is a GPU. It may be let go of once `on_device` has
/// returned.
ByteBatch new_byte_batch(std::int64_t images, std::int64_t rows, std::int64_t width_px, at::Device device);

/// The batch on that device, with the same numbers as on a CPU, to rounding. Of a GPU, it does not wait for the copies.
ScanBatch on_device(const ByteBatch& batch, at::Device device);

/// Images [N, 1, H, W] that LibTorch takes for ones whose channels lie innermost in memory: of a single channel that is
/// the same memory, and the network keeps the maps it makes of them in that order. The same numbers, to rounding.
at::Tensor channels_innermost(const at::Tensor& images);

/// A small tensor of the host on that device, likewise.
at::Tensor on_device(const at::Tensor& of_host, at::Device device);

}  // namespace outsole::wear
