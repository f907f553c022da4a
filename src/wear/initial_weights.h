#pragma once
// Starting a training from a model that was trained at another size.

#include <filesystem>

#include "wear/network.h"

namespace outsole::wear {

/// Throws UsageError, naming `model` and what differs, unless a network of shape `to` can start from that model, of
/// shape `from`: all but the size of the images must agree.
void require_same_but_size(const NetworkShape& from, const NetworkShape& to, const std::filesystem::path& model);

/// Gives `network` the weights of `model`, which differs in the size of its images at most. All layers but one know no
/// size and are carried over as they are. The last one of the time branch has weights for every cell of the encoder's
/// last map: they are interpolated bilinearly between the middles of the cells, as these lie in the image.
void start_from(const WearNetwork& model, WearNetwork& network);

}  // namespace outsole::wear
