#pragma once
// The mark as it would look turned: image and support mask.

#include <ATen/ATen.h>

namespace outsole::match {

/// Turns [H, W] float32 `image` counter-clockwise (as seen, rows downwards) by `angle_deg` about its centre
/// ((H-1)/2, (W-1)/2), same size, by Keys' cubic convolution (a = -1/2, 4 x 4 taps, in double; values may overshoot).
/// Outside the image counts as `fill`. 0 degrees returns the image's values exactly. CPU only; throws Bug otherwise.
at::Tensor rotate_image(const at::Tensor& image, double angle_deg, float fill);

/// The same for an [H, W] bool mask by nearest pixel; outside is false.
at::Tensor rotate_mask(const at::Tensor& mask, double angle_deg);

}  // namespace outsole::match
