#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <functional>
#include <map>
#include <numbers>
#include <string>
#include <tuple>
#include <vector>

#include "features/extractor.h"

namespace outsole::features {
namespace {

using Field = std::function<double(std::int64_t, std::int64_t)>;  // a value for every pixel (y, x) of the plane

at::Tensor scatter(const at::Tensor& images) { return make_extractor({.kind = "scattering"})->extract(images); }

at::Tensor random_grey_images(std::int64_t count, std::int64_t height, std::int64_t width) {
  at::manual_seed(5);
  return at::rand({count, height, width}) * 255;
}

/// Kymatio's gabor_2d at one pixel: exp(-(y, x) R D R' (y, x)') with a wave along the angle.
std::complex<double> gabor(double y, double x, double sigma, double angle, double frequency, double slant) {
  const double c = std::cos(angle), s = std::sin(angle), across = slant * slant;
  const double yy = c * c + s * s * across, xx = s * s + c * c * across, yx = c * s * (1 - across);
  const double exponent = -(yy * y * y + 2 * yx * y * x + xx * x * x) / (2 * sigma * sigma);
  return std::polar(std::exp(exponent) * slant / (2 * std::numbers::pi * sigma * sigma), frequency * (y * c + x * s));
}

/// A naive second-order scattering in double precision on the image continued by replication.
class NaiveScattering {
 public:
  explicit NaiveScattering(const at::Tensor& image) : image_(image.to(at::kDouble)) {}

  std::vector<double> at_pixel(std::int64_t y, std::int64_t x) {
    std::vector<double> channels = {low_pass([this](auto v, auto u) { return pixel(v, u); }, y, x, 5, 1)};
    for (int t = 0; t < 8; ++t) {
      channels.push_back(low_pass([&](auto v, auto u) { return fine(t, v, u); }, y, x, 5, 1));
    }
    for (int t = 0; t < 8; ++t) {
      const Field coarse = [&](auto v, auto u) {
        return modulus([&](auto b, auto a) { return pixel(b, a); }, 1, t, v, u);
      };
      channels.push_back(low_pass(coarse, y, x, 4, 2));
    }
    for (int t1 = 0; t1 < 8; ++t1) {
      for (int t2 = 0; t2 < 8; ++t2) {
        const Field twice = [&](auto v, auto u) {
          return modulus([&](auto b, auto a) { return fine(t1, b, a); }, 1, t2, v, u);
        };
        channels.push_back(low_pass(twice, y, x, 4, 2));
      }
    }
    return channels;
  }

 private:
  double pixel(std::int64_t y, std::int64_t x) const {
    const auto row = std::clamp<std::int64_t>(y, 0, image_.size(0) - 1);
    const auto column = std::clamp<std::int64_t>(x, 0, image_.size(1) - 1);
    return image_.accessor<double, 2>()[row][column];
  }

  double fine(int t, std::int64_t y, std::int64_t x) {
    const auto key = std::tuple(t, y, x);
    if (const auto known = fine_.find(key); known != fine_.end()) return known->second;
    return fine_[key] = modulus([this](auto v, auto u) { return pixel(v, u); }, 0, t, y, x);
  }

  /// |psi_{j, t} * field| as a true convolution.
  static double modulus(const Field& field, int j, int t, std::int64_t y, std::int64_t x) {
    const double sigma = 0.8 * (1 << j), angle = (3 - t) * std::numbers::pi / 8,
                 frequency = 0.75 * std::numbers::pi / (1 << j);
    const std::int64_t reach = j == 0 ? 5 : 10;
    std::complex<double> wave = 0, envelope = 0, wave_response = 0, envelope_response = 0;
    for (std::int64_t v = -reach; v <= reach; ++v) {
      for (std::int64_t u = -reach; u <= reach; ++u) {
        const auto dy = static_cast<double>(v), dx = static_cast<double>(u), value = field(y - v, x - u);
        const std::complex<double> g = gabor(dy, dx, sigma, angle, frequency, 0.5),
                                   e = gabor(dy, dx, sigma, angle, 0, 0.5);
        wave += g, envelope += e, wave_response += g * value, envelope_response += e * value;
      }
    }
    return std::abs(wave_response - wave / envelope * envelope_response);
  }

  static double low_pass(const Field& field, std::int64_t y, std::int64_t x, std::int64_t reach, std::int64_t spacing) {
    double sum = 0, weights = 0;
    for (std::int64_t v = -reach; v <= reach; v += spacing) {
      for (std::int64_t u = -reach; u <= reach; u += spacing) {
        const double weight = std::exp(-static_cast<double>(v * v + u * u) / (2 * 1.6 * 1.6));
        sum += weight * field(y + v, x + u);
        weights += weight;
      }
    }
    return sum / weights;
  }

  at::Tensor image_;
  std::map<std::tuple<int, std::int64_t, std::int64_t>, double> fine_;
};

TEST(Scattering, EqualsANaiveReference) {
  const at::Tensor image = random_grey_images(1, 22, 15);
  const at::Tensor map = scatter(image)[0];
  ASSERT_EQ(map.sizes(), (at::IntArrayRef{81, 5, 4}));
  NaiveScattering reference(image[0]);
  for (const auto& [k, l] : {std::pair(0, 0), std::pair(2, 1), std::pair(4, 3)}) {
    const std::vector<double> expected = reference.at_pixel(4 * k + 2, 4 * l + 2);
    for (int channel = 0; channel < 81; ++channel) {
      EXPECT_NEAR(map[channel][k][l].item<float>(), expected[channel], 2e-4) << channel << " at " << k << ", " << l;
    }
  }
}

TEST(Scattering, OfAConstantIsItsValueInOrderZeroAndNothingElse) {
  const at::Tensor map = scatter(at::full({1, 30, 20}, 200.F))[0];
  EXPECT_LT((map[0] - 200).abs().max().item<float>(), 1e-3F);
  EXPECT_LT(map.slice(0, 1).abs().max().item<float>(), 1e-3F);
}

TEST(Scattering, TurnsItsAnglesWithTheImage) {
  const at::Tensor image = random_grey_images(1, 37, 37);
  const at::Tensor upright = scatter(image)[0], turned = scatter(at::rot90(image, 1, {1, 2}))[0].rot90(-1, {1, 2});
  const auto quarter = [](const at::Tensor& angles, int axis) {
    return angles.roll(4, axis);
  };  // 4 of 8 angles: 90 degrees
  const auto close = [](const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<float>() < 2e-3F; };
  EXPECT_TRUE(close(turned[0], upright[0]));
  EXPECT_TRUE(close(turned.slice(0, 1, 9), quarter(upright.slice(0, 1, 9), 0)));
  EXPECT_TRUE(close(turned.slice(0, 9, 17), quarter(upright.slice(0, 9, 17), 0)));
  const auto second = [](const at::Tensor& map) { return map.slice(0, 17).reshape({8, 8, 9, 9}); };
  EXPECT_TRUE(close(second(turned), quarter(quarter(second(upright), 0), 1)));
}

/// Energy of a map over that of what it was made from; a cell stands for 16 pixels.
double energy_ratio(const at::Tensor& map, const at::Tensor& image) {
  return 16 * map.square().sum().item<double>() / image.square().sum().item<double>();
}

TEST(Scattering, DoesNotExpandDistances) {
  for (const double strength : {0.1, 10., 100.}) {
    const at::Tensor a = random_grey_images(1, 133, 133);
    at::Tensor change = at::zeros_like(a);
    change.slice(1, 30, 103).slice(2, 30, 103) = strength * at::randn({73, 73});
    EXPECT_LT(energy_ratio(scatter(a + change) - scatter(a), change), 1);
  }
}

TEST(Scattering, KeepsMostOfTheEnergyOfATexture) {
  at::manual_seed(6);
  at::Tensor texture = at::zeros({1, 133, 133});
  texture.slice(1, 30, 103).slice(2, 30, 103) = at::randn({73, 73});
  const double ratio = energy_ratio(scatter(texture), texture);
  RecordProperty("energy_ratio", std::to_string(ratio));
  EXPECT_GT(ratio, 0.4);  // white noise: its corners of the spectrum lie beyond every wavelet
  EXPECT_LT(ratio, 1);
}

TEST(Scattering, ChangesLittleUnderSmallShiftsWherePixelsChangeMuch) {
  const at::Tensor wide = at::randn({1, 140, 140});
  const auto shifted = [&](std::int64_t shift_px) { return wide.slice(2, shift_px, shift_px + 133).slice(1, 0, 133); };
  const auto relative = [](const at::Tensor& a, const at::Tensor& b) {
    return ((a - b).norm() / b.norm()).item<double>();
  };
  const double one = relative(scatter(shifted(1)), scatter(shifted(0)));
  const double two = relative(scatter(shifted(2)), scatter(shifted(0)));
  const double pixels = relative(shifted(1), shifted(0));
  RecordProperty("relative_change_one_px", std::to_string(one));
  EXPECT_GT(pixels, 1.3);
  EXPECT_LT(one, 0.25 * pixels);
  EXPECT_LT(two, 2.1 * one);  // linear in the shift
}

}  // namespace
}  // namespace outsole::features
