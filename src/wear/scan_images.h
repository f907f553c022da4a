#pragma once
// Prepared scans as tensors, read when they are needed and kept as memory allows.

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "comm/partition.h"
#include "wear/pairs.h"
#include "wear/prepared.h"
#include "wear/scan_batch.h"

namespace outsole::wear {

/// A scan of the store, by position, and how it is shown.
struct ShownScan {
  std::int64_t index = 0;
  Movement movement;
};

/// Not thread-safe; the reading, and what there is to reduce, is done on the store's own thread.
class ScanImages {
 public:
  /// Of the scans, at the size that `scans` shows them at, the rows `rows`, which may go beyond the image: there is
  /// paper, and nothing known. Only the rows that are shown are read, those that a movement brings in among them, and a
  /// reduced scan is kept reduced: batches hold the same bytes as the rows of a batch of whole images. Keeps up to
  /// `memory_bytes` of scans, but always those of one batch and of the next one, whose reading prefetch started; the
  /// least recently used go first. `scans` must outlive it.
  ScanImages(const wear::PreparedStore& scans, std::int64_t memory_bytes, comm::UnitRange rows);
  /// Whole images.
  ScanImages(const wear::PreparedStore& scans, std::int64_t memory_bytes);
  ~ScanImages();

  /// The scans in that order, on the CPU. Throws DataError when the store is damaged.
  ScanBatch batch(std::span<const ShownScan> shown);
  /// The same on that device: to a GPU they go in 8 bit, and are on their way when this returns.
  ScanBatch batch(std::span<const ShownScan> shown, at::Device device);
  /// The same in 8 bit, in memory for copies to that device.
  ByteBatch byte_batch(std::span<const ShownScan> shown, at::Device device);
  /// Starts reading those that are not here yet, in the background, for the next call of batch.
  void prefetch(std::span<const ShownScan> shown);

  /// Bytes of pixels and support asked of the store so far, before compression.
  std::int64_t bytes_read() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The pixels of a scan that the scanner saw.
struct KnownPixels {
  std::int64_t count = 0;
  double grey_sum = 0, square_sum = 0;  // of grey in [0, 1], and of its square
};

/// Of each of the scans [first, first + count). Reads a part of one at a time. Throws DataError when the store is
/// damaged.
std::vector<KnownPixels> sum_known_pixels(const wear::PreparedStore& scans, std::int64_t first, std::int64_t count);

}  // namespace outsole::wear
