#pragma once
// Learned combinations of channels: maps of C channels become maps of K.

#include <ATen/ATen.h>

namespace outsole::match {

/// `projection` [K, C] times `maps` [C, ...]: [K, ...]; both float32, on one device. On a CPU an element's bits depend
/// on its own column alone, not on the size of the maps, the threads or the processor.
at::Tensor project_channels(const at::Tensor& projection, const at::Tensor& maps);

}  // namespace outsole::match
