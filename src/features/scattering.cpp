// Wavelet scattering transform (Bruna, Mallat: Invariant scattering convolution networks, PAMI 2013) to the second
// order, J = 2 octaves, L = 8 angles, with the Morlet wavelets, normalization and order of channels of Kymatio:
//   S0 = phi * x,   S1[j, t] = phi * |psi[j, t] * x|,   S2[t1, t2] = phi * |psi[1, t2] * |psi[0, t1] * x||.
//
// Filters are cut off at three standard deviations and applied in the image plane, so a cell depends on nothing beyond
// 19 px of its centre and images may have any size; beyond its edges an image is continued by replication. |psi[1] * .|
// is computed on every second pixel, which its band allows.

#include <array>
#include <cmath>
#include <numbers>
#include <vector>

#include "features/kinds.h"
#include "features/layers.h"

namespace outsole::features {
namespace {

constexpr std::int64_t kAngles = 8;
constexpr std::int64_t kChannels = 1 + 2 * kAngles + kAngles * kAngles;
constexpr std::int64_t kStridePx = 4;
constexpr std::int64_t kFirstCenterPx = 2;  // leaves 2 px at both ends of 4 n + 1 pixels

constexpr double kSlant = 4.0 / kAngles;  // width of a wavelet's envelope along its oscillation over that across
constexpr std::array<double, 2> kWaveletSigmaPx = {0.8, 1.6};
constexpr std::array<std::int64_t, 2> kWaveletReachPx = {5, 10};  // ceil(3 sigma / slant)
constexpr double kLowPassSigmaPx = 1.6;
constexpr std::int64_t kLowPassReachPx = 5, kCoarseLowPassReachPx = 4;  // on every pixel, on every second
constexpr std::int64_t kReachPx = kWaveletReachPx[0] + kWaveletReachPx[1] + kCoarseLowPassReachPx;

/// The wavelets of octave j, 1 -> 2 L channels: the L real parts, then the L imaginary parts; on every 2^j-th pixel.
/// Morlet: (exp(i xi u) - K) exp(-(u^2 + slant^2 v^2) / (2 sigma^2)) slant / (2 pi sigma^2), u along the oscillation
/// and v across, K such that the sum vanishes; xi = 3 pi / 4 / 2^j; angle (3 - t) pi / L from the downward axis.
Convolution morlet_wavelets(int j) {
  const double sigma = kWaveletSigmaPx[j], frequency = 0.75 * std::numbers::pi / (1 << j);
  const at::Tensor offset = at::arange(-kWaveletReachPx[j], kWaveletReachPx[j] + 1, at::kDouble);
  const at::Tensor y = offset.view({-1, 1}), x = offset.view({1, -1});
  std::vector<at::Tensor> real, imaginary;
  for (std::int64_t t = 0; t < kAngles; ++t) {
    const double angle = static_cast<double>(kAngles / 2 - 1 - t) * std::numbers::pi / kAngles;
    const at::Tensor u = y * std::cos(angle) + x * std::sin(angle), v = x * std::cos(angle) - y * std::sin(angle);
    const at::Tensor envelope = (-(u.square() + kSlant * kSlant * v.square()) / (2 * sigma * sigma)).exp() *
                                (kSlant / (2 * std::numbers::pi * sigma * sigma));
    const at::Tensor wave = (frequency * u).cos() * envelope;
    real.push_back(wave - wave.sum() / envelope.sum() * envelope);
    imaginary.push_back((frequency * u).sin() * envelope);  // odd, so its sum vanishes already
  }
  const at::Tensor kernels = at::cat({at::stack(real), at::stack(imaginary)}).unsqueeze(1);
  return {{.kernel = offset.size(0), .stride = 1 << j}, kernels.to(at::kFloat), {}};
}

/// The Gaussian low pass on maps sampled every `spacing_px`, to the stride of the cells; sums to 1.
Convolution low_pass(std::int64_t reach_px, std::int64_t spacing_px) {
  const at::Tensor offset_px = at::arange(-reach_px, reach_px + 1, spacing_px, at::kDouble);
  const at::Tensor profile = (-offset_px.square() / (2 * kLowPassSigmaPx * kLowPassSigmaPx)).exp();
  const at::Tensor kernel = at::outer(profile, profile) / profile.sum().square();
  return {{.kernel = offset_px.size(0), .stride = kStridePx / spacing_px},
          kernel.view({1, 1, offset_px.size(0), offset_px.size(0)}).to(at::kFloat),
          {}};
}

/// |wavelets * maps|: [N, 1, H, W] -> [N, L, h, w], only where the wavelets lie inside. Correlating, as convolve does,
/// conjugates the response to a Morlet wavelet and leaves its modulus.
at::Tensor modulus(const at::Tensor& maps, const Convolution& wavelets) {
  const at::Tensor responses = convolve(wavelets, maps);
  const at::Tensor real = responses.narrow(1, 0, kAngles), imaginary = responses.narrow(1, kAngles, kAngles);
  if (!responses.requires_grad()) return real.square().add_(imaginary.square()).sqrt_();
  // The modulus has no gradient at 0, as on white paper: none is propagated there.
  const at::Tensor square = real.square() + imaginary.square();
  return at::where(square > 0, square, at::ones_like(square)).sqrt() * (square > 0);
}

/// Low pass of every channel, [N, L, H, W] -> [1, N L, h, w], only where the kernel lies inside.
at::Tensor smooth(const at::Tensor& maps, const Convolution& kernel) {
  return convolve(kernel, maps.reshape({-1, 1, maps.size(2), maps.size(3)})).transpose(0, 1);
}

/// `map` without its outermost `margin` rows and columns.
at::Tensor trim(const at::Tensor& map, std::int64_t margin) {
  return map.narrow(2, margin, map.size(2) - 2 * margin).narrow(3, margin, map.size(3) - 2 * margin);
}

class Scattering final : public Extractor {
 public:
  MapGeometry geometry() const override { return {kChannels, kStridePx, 2 * kFirstCenterPx}; }

  /// As many cells as have their centres inside.
  std::int64_t map_length(std::int64_t length_px) const override {
    return length_px > kFirstCenterPx ? (length_px - kFirstCenterPx - 1) / kStridePx + 1 : 0;
  }

  at::Tensor extract(const at::Tensor& images) const override {
    return extract_each(*this, images, [this](const at::Tensor& image) { return forward(image); });
  }

  double flops(std::int64_t height_px, std::int64_t width_px) const override {
    const std::int64_t height = map_length(height_px), width = map_length(width_px);
    const auto fine = [](std::int64_t cells) {
      return kStridePx * (cells - 1) + 2 * (kReachPx - kWaveletReachPx[0]) + 1;
    };
    const auto coarse = [](std::int64_t cells) {
      return (kStridePx * (cells - 1) + 2 * kCoarseLowPassReachPx) / 2 + 1;
    };
    return convolution_flops(fine_wavelets_, fine(height), fine(width)) +
           (1 + kAngles) * convolution_flops(coarse_wavelets_, coarse(height), coarse(width)) +
           (1 + kAngles) * convolution_flops(low_pass_, height, width) +
           (1 + kAngles) * kAngles * convolution_flops(coarse_low_pass_, height, width);
  }

  void to(const at::Device& device) override {
    for (Convolution* filters : {&fine_wavelets_, &coarse_wavelets_, &low_pass_, &coarse_low_pass_}) {
      filters->weight = filters->weight.to(device);
    }
  }

  /// What a filter reads is trimmed to what the outermost cells need of it, so that all its results start at the same
  /// cell.
  at::Tensor forward(const at::Tensor& image) const override {
    const at::Tensor padded = continued(image);
    const at::Tensor fine = modulus(padded, fine_wavelets_);
    const at::Tensor coarse = modulus(trim(padded, kWaveletReachPx[0]), coarse_wavelets_);
    const at::Tensor twice = modulus(fine.transpose(0, 1), coarse_wavelets_);
    return at::cat({smooth(trim(padded, kReachPx - kLowPassReachPx), low_pass_),
                    smooth(trim(fine, kReachPx - kWaveletReachPx[0] - kLowPassReachPx), low_pass_),
                    smooth(coarse, coarse_low_pass_), smooth(twice, coarse_low_pass_)},
                   1);
  }

 private:
  /// The image continued by replication to exactly kReachPx around the outermost cell centres.
  at::Tensor continued(const at::Tensor& image) const {
    const std::int64_t before = kReachPx - kFirstCenterPx;
    const auto after = [&](std::int64_t length_px) {
      return kStridePx * (map_length(length_px) - 1) + kFirstCenterPx + kReachPx - (length_px - 1);
    };
    return at::replication_pad2d(image, {before, after(image.size(3)), before, after(image.size(2))});
  }

  Convolution fine_wavelets_ = morlet_wavelets(0);
  Convolution coarse_wavelets_ = morlet_wavelets(1);
  Convolution low_pass_ = low_pass(kLowPassReachPx, 1);
  Convolution coarse_low_pass_ = low_pass(kCoarseLowPassReachPx, 2);
};

}  // namespace

std::unique_ptr<Extractor> make_scattering() { return std::make_unique<Scattering>(); }

}  // namespace outsole::features
