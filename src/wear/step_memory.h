#pragma once
// What a step of training holds in memory, counted layer by layer.

#include <cstdint>

#include "wear/network.h"

namespace outsole::wear {

/// A step as one rank does it.
struct StepWork {
  NetworkShape network;
  std::int64_t split_ranks = 1;  // that hold an image
  double ssim_weight = 0;
  bool recomputes = false;  // as add_gradients_recomputing, else as forward and backward
};

/// Bytes that are there for each pair of a batch at the fullest moment of a step, on the CPU, on the rank with the
/// highest slab: images, maps, gradients, and what oneDNN keeps beside them in its own order. Without the weights.
std::int64_t pair_memory_bytes(const StepWork& work);

/// Bytes that a rank with two neighbours sends for each pair of a batch in a step; 0 where the image is whole.
std::int64_t halo_bytes(const StepWork& work);

}  // namespace outsole::wear
