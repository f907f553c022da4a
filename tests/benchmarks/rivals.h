#pragma once
// What people would run instead of the kernels, on any device of LibTorch.

#include <ATen/ATen.h>

#include "match/search_kernel.h"
#include "search_problem.h"

namespace outsole::benchmarks {

/// Seconds of correlation by FFT for all poses of one block, batched over channels and exemplars, the exemplars'
/// spectra kept. Per view: the mark's spectrum, the product, and back; the window sums of y and y^2 likewise, with the
/// support's spectrum. The transforms are as long as the views' shifts need and of fast lengths, and only wanted shifts
/// are normalized. Run for every eleventh view, and extrapolated.
double batched_fft_s(const SearchProblem& problem, at::Device device);

/// Seconds of LibTorch's grouped convolution, a group a channel (oneDNN's on a CPU, cuDNN's on a GPU), over what a
/// view's shifts see of the frame: of y with x and the support, of y^2 with the support. Run for every eleventh view,
/// and extrapolated.
double grouped_convolution_s(const SearchProblem& problem, at::Device device);

/// TFLOP/s of a product of two square matrices on the device, best of some.
double product_tflops(at::Device device, match::ComputePrecision precision);

}  // namespace outsole::benchmarks
