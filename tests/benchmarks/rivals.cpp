#include "rivals.h"

#include <algorithm>
#include <vector>

#include "match/lanes.h"

namespace outsole::benchmarks {

namespace {

constexpr std::size_t kStepOverViews = 11;

/// Along one axis: the frame's cells under the first cell of a view at its shifts, lowest and highest.
struct Lags {
  std::int64_t first, last;
};

Lags lags_of(std::int64_t origin, std::int64_t border, std::int64_t shifts) {
  return {origin - border - (shifts - 1), origin - border};
}

/// The shortest fast length of a circular correlation of a frame with a view whose wanted lags meet no other one.
std::int64_t circular_length(const Lags& lags, std::int64_t frame, std::int64_t view) {
  return next_fast_length(std::max({frame - lags.first, lags.last + view, frame, view}));
}

/// `values` [..., H, W] at the lags.
at::Tensor at_lags(const at::Tensor& values, const Lags& rows, const Lags& columns) {
  const auto wrapped = [&](const Lags& lags, std::int64_t length) {
    return at::arange(lags.first, lags.last + 1, at::kLong).remainder(length).to(values.device());
  };
  return values.index_select(-2, wrapped(rows, values.size(-2))).index_select(-1, wrapped(columns, values.size(-1)));
}

/// What the device was given is done.
void finish(const at::Tensor& last) { last.flatten()[0].item<float>(); }

/// The exemplars that are run: on a small machine the spectra of all would not fit.
at::Tensor some_exemplars(const SearchProblem& problem, at::Device device) {
  return problem.exemplars.slice(0, 0, device.is_cpu() ? 4 : match::kLanes).to(device);
}

/// Seconds of `work` for the views that are run, extrapolated to all views and to a block. On a GPU each is run once
/// before it is timed.
template <typename Work>
double seconds_for_block(const SearchProblem& problem, at::Device device, std::int64_t exemplars, const Work& work) {
  double seconds = 0;
  std::size_t views = 0;
  for (std::size_t v = 0; v < problem.views.size(); v += kStepOverViews, ++views) {
    match::MarkView view = problem.views[v];
    view.features = view.features.to(device);
    view.support = view.support.to(device);
    if (!device.is_cpu()) finish(work(view));
    const double start = now_s();
    finish(work(view));
    seconds += now_s() - start;
  }
  return seconds * static_cast<double>(problem.views.size()) / static_cast<double>(views) * match::kLanes /
         static_cast<double>(exemplars);
}

Lags rows_of(const SearchProblem& problem, const match::MarkView& view) {
  return lags_of(view.origin_y, problem.frame.border, view.offset.shifts_y);
}

Lags columns_of(const SearchProblem& problem, const match::MarkView& view) {
  return lags_of(view.origin_x, problem.frame.border, view.offset.shifts_x);
}

}  // namespace

double batched_fft_s(const SearchProblem& problem, at::Device device) {
  const at::Tensor exemplars = some_exemplars(problem, device);
  std::vector<std::int64_t> size = {1, 1};  // of all views: the exemplars' spectra are kept
  for (const match::MarkView& view : problem.views) {
    size[0] = std::max(size[0], circular_length(rows_of(problem, view), problem.frame.height, view.support.size(0)));
    size[1] = std::max(size[1], circular_length(columns_of(problem, view), problem.frame.width, view.support.size(1)));
  }
  const at::Tensor y_spectrum = at::fft_rfft2(exemplars, size), yy_spectrum = at::fft_rfft2(exemplars.square(), size);
  return seconds_for_block(problem, device, exemplars.size(0), [&](const match::MarkView& view) {
    const at::Tensor x_spectrum = at::fft_rfft2(view.features, size).conj();
    const at::Tensor mask_spectrum = at::fft_rfft2(view.support.to(at::kFloat), size).conj();
    const auto correlation = [&](const at::Tensor& spectrum) {
      return at_lags(at::fft_irfft2(spectrum, size), rows_of(problem, view), columns_of(problem, view));
    };
    const at::Tensor xy = correlation(y_spectrum * x_spectrum), sum = correlation(y_spectrum * mask_spectrum);
    const at::Tensor square_sum = correlation(yy_spectrum * mask_spectrum), count = view.support.sum();
    return (xy * (square_sum - sum.square() / count).clamp_min(1e-12).rsqrt()).mean(1);
  });
}

double grouped_convolution_s(const SearchProblem& problem, at::Device device) {
  const at::Tensor exemplars = some_exemplars(problem, device);
  return seconds_for_block(problem, device, exemplars.size(0), [&](const match::MarkView& view) {
    const std::int64_t height = view.support.size(0), width = view.support.size(1);
    const Lags rows = rows_of(problem, view), columns = columns_of(problem, view);
    // From the first lag on, with zeros where the frame ends; negative ones cut.
    const at::Tensor seen = at::constant_pad_nd(exemplars, {-columns.first, columns.last + width - problem.frame.width,
                                                            -rows.first, rows.last + height - problem.frame.height});
    const at::Tensor support = view.support.to(at::kFloat), count = support.sum();
    const at::Tensor mask = support.expand({problem.channels, 1, height, width});
    const at::Tensor x = (view.features * support).unsqueeze(1);
    const at::Tensor both = at::stack({x, mask}, 1).flatten(0, 1);  // two maps a group
    const at::Tensor sums = at::conv2d(seen, both, {}, 1, at::IntArrayRef({0, 0}), 1, problem.channels);
    const at::Tensor square_sum = at::conv2d(seen.square(), mask, {}, 1, at::IntArrayRef({0, 0}), 1, problem.channels);
    const at::Tensor of_channel = sums.reshape({exemplars.size(0), problem.channels, 2, sums.size(2), sums.size(3)});
    const at::Tensor xy = of_channel.select(2, 0), sum = of_channel.select(2, 1);
    return (xy * (square_sum - sum.square() / count).clamp_min(1e-12).rsqrt()).mean(1);
  });
}

/// TFLOP/s of a product of two square matrices on the device, best of some.
double product_tflops(at::Device device, match::ComputePrecision precision) {
  const bool is_cuda = device.is_cuda();
  const std::int64_t side = is_cuda ? 8192 : 1024;
  at::globalContext().setAllowTF32CuBLAS(precision == match::ComputePrecision::kTf32);
  const at::ScalarType type = is_cuda && precision == match::ComputePrecision::k16 ? at::kHalf : at::kFloat;
  const at::Tensor a = at::rand({side, side}).to(device, type), b = at::rand({side, side}).to(device, type);
  constexpr int kProducts = 5;
  double best_s = 1e30;
  for (int repeat = 0; repeat < 3; ++repeat) {
    at::mm(a, b).sum().item<double>();  // waits for what went before
    const double start = now_s();
    at::Tensor product;
    for (int i = 0; i < kProducts; ++i) product = at::mm(a, b);
    product[0][0].item<double>();
    best_s = std::min(best_s, (now_s() - start) / kProducts);
  }
  at::globalContext().setAllowTF32CuBLAS(false);
  return 2 * static_cast<double>(side) * static_cast<double>(side) * static_cast<double>(side) / best_s / 1e12;
}

}  // namespace outsole::benchmarks
