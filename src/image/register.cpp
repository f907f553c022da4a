#include "image/register.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <functional>
#include <numbers>
#include <opencv2/imgproc.hpp>

#include "core/errors.h"

namespace outsole::image {

namespace {

using Level = RegistrationPyramid::Level;

constexpr double kAngleStepDeg = 1.5;
constexpr int kCandidates = 4;
constexpr int kLeastPx = 16;  // across a level; no more cannot be placed

double radians(double deg) { return deg * std::numbers::pi / 180; }

/// Pixel indices have their zero in the middle of the first pixel, transforms in the middle of the image.
cv::Point2d middle(cv::Size size) { return {(size.width - 1) / 2.0, (size.height - 1) / 2.0}; }

/// The map from pixel indices of a frame to those of the scan, as warpAffine wants it.
cv::Matx23d index_map(cv::Size scan, const RigidTransform& t, cv::Size frame, cv::Point2d origin) {
  const double c = std::cos(radians(t.angle_deg)), s = std::sin(radians(t.angle_deg));
  const cv::Matx22d turn(c, s, -s, c);
  const cv::Point2d from = middle(frame) - origin, to = middle(scan);
  const cv::Vec2d moved = turn * cv::Vec2d(from.x, from.y);
  return {c, s, to.x + t.x - moved[0], -s, c, to.y + t.y - moved[1]};
}

cv::Mat1f warped(const cv::Mat1f& image, const RigidTransform& t, cv::Size frame) {
  cv::Mat1f result;
  cv::warpAffine(image, result, index_map(image.size(), t, frame, {0, 0}), frame,
                 cv::INTER_LINEAR | cv::WARP_INVERSE_MAP, cv::BORDER_CONSTANT, cv::Scalar(0));
  return result;
}

/// 1 where the frame shows whole pixels of the scan.
cv::Mat1f shown(cv::Size scan, const RigidTransform& t, cv::Size frame) {
  return warped(cv::Mat1f::ones(scan), t, frame) > 0.999f;
}

// --- Coarse: every angle, every shift -------------------------------------------------------------------------------

/// Cross-correlation of images through their spectra.
class Correlator {
 public:
  Correlator(cv::Size a, cv::Size b)
      : size_(cv::getOptimalDFTSize(a.width + b.width), cv::getOptimalDFTSize(a.height + b.height)) {}

  cv::Mat1f spectrum(const cv::Mat1f& image) const {
    cv::Mat1f padded(size_, 0.0f), result;
    image.copyTo(padded(cv::Rect({0, 0}, image.size())));
    cv::dft(padded, result, 0, image.rows);
    return result;
  }

  /// [dy, dx] -> sum over p of a(p) b(p + d); negative shifts wrap around.
  cv::Mat1f correlation(const cv::Mat1f& spectrum_a, const cv::Mat1f& spectrum_b) const {
    cv::Mat1f product, result;
    cv::mulSpectrums(spectrum_b, spectrum_a, product, 0, /*conjB=*/true);
    cv::idft(product, result, cv::DFT_SCALE | cv::DFT_REAL_OUTPUT);
    return result;
  }

  cv::Size size() const { return size_; }

 private:
  cv::Size size_;
};

/// What one image gives to a masked correlation: itself, its square and its support.
struct MaskedSpectra {
  cv::Mat1f value, square, support;

  MaskedSpectra(const Correlator& correlator, const cv::Mat1f& image, const cv::Mat1f& mask)
      : value(correlator.spectrum(image.mul(mask))),
        square(correlator.spectrum(image.mul(image).mul(mask))),
        support(correlator.spectrum(mask)) {}
};

struct Candidate {
  RigidTransform transform;  // in pixels of the level
  double correlation = -1;
};

/// The best shift at one angle, `origin` being none: normalized cross-correlation over the overlap alone.
Candidate best_shift(const Correlator& correlator, const MaskedSpectra& reference, const MaskedSpectra& turned,
                     double angle_deg, cv::Point origin, double least_px, int max_shift_px) {
  const auto sum_of = [&](const cv::Mat1f& a, const cv::Mat1f& b) { return correlator.correlation(a, b); };
  const cv::Mat1f n = sum_of(reference.support, turned.support), a = sum_of(reference.value, turned.support),
                  aa = sum_of(reference.square, turned.support), b = sum_of(reference.support, turned.value),
                  bb = sum_of(reference.support, turned.square), ab = sum_of(reference.value, turned.value);
  Candidate best;
  for (int dy = -max_shift_px; dy <= max_shift_px; ++dy) {
    for (int dx = -max_shift_px; dx <= max_shift_px; ++dx) {
      const cv::Point at((origin.x + dx + n.cols) % n.cols, (origin.y + dy + n.rows) % n.rows);
      const double pixels = n(at);
      if (pixels < least_px) continue;
      const double variance_a = aa(at) - double{a(at)} * a(at) / pixels,
                   variance_b = bb(at) - double{b(at)} * b(at) / pixels;
      const double product = variance_a * variance_b;
      if (!(variance_a > 0 && product > 0)) continue;
      const double correlation = (ab(at) - double{a(at)} * b(at) / pixels) / std::sqrt(product);
      if (correlation > best.correlation) best = {{angle_deg, double(dy), double(dx)}, correlation};
    }
  }
  return best;
}

/// The transform whose turn comes first and whose move, in the turned image, comes second, as RigidTransform has it.
RigidTransform turn_after_move(const RigidTransform& t) {
  const double c = std::cos(radians(t.angle_deg)), s = std::sin(radians(t.angle_deg));
  return {t.angle_deg, -s * t.x + c * t.y, c * t.x + s * t.y};
}

cv::Mat1f blurred(const cv::Mat1f& image) {
  cv::Mat1f result;
  cv::GaussianBlur(image, result, {0, 0}, 1.0);
  return result;
}

/// A size on which the scan turns without losing its corners; its sides are odd or even as the reference's are, so that
/// the middles of both differ by whole pixels.
cv::Size turning_canvas(cv::Size scan, cv::Size reference, double max_angle_deg) {
  const double c = std::cos(radians(max_angle_deg)), s = std::sin(radians(max_angle_deg));
  const int width = std::max(reference.width, static_cast<int>(std::ceil(scan.width * c + scan.height * s)));
  const int height = std::max(reference.height, static_cast<int>(std::ceil(scan.height * c + scan.width * s)));
  return {width + (width + reference.width) % 2, height + (height + reference.height) % 2};
}

/// The best candidates over all angles, best first.
std::vector<Candidate> coarse_candidates(const Level& reference, const Level& scan, const RegistrationParameters& p) {
  const cv::Size canvas = turning_canvas(scan.ink.size(), reference.ink.size(), p.max_angle_deg);
  const cv::Point origin((canvas.width - reference.ink.cols) / 2, (canvas.height - reference.ink.rows) / 2);

  const Correlator correlator(reference.ink.size(), canvas);
  const cv::Mat1f everywhere = cv::Mat1f::ones(reference.ink.size());
  const MaskedSpectra reference_spectra(correlator, blurred(reference.ink) / 255, everywhere);
  const double least_px = p.least_overlap * static_cast<double>(reference.ink.total());
  const int max_shift_px = static_cast<int>(p.max_shift_mm * reference.px_per_mm);
  std::vector<Candidate> candidates;
  const int steps = static_cast<int>(std::round(p.max_angle_deg / kAngleStepDeg));
  for (int step = -steps; step <= steps; ++step) {
    const double angle_deg = step * kAngleStepDeg;
    const cv::Mat1f mask = shown(scan.ink.size(), {angle_deg, 0, 0}, canvas) / 255;
    const cv::Mat1f turned = warped(blurred(scan.ink), {angle_deg, 0, 0}, canvas) / 255;
    const MaskedSpectra spectra(correlator, turned, mask);
    Candidate best = best_shift(correlator, reference_spectra, spectra, angle_deg, origin, least_px, max_shift_px);
    best.transform = turn_after_move(best.transform);
    candidates.push_back(best);
  }
  std::ranges::stable_sort(candidates, std::greater{}, &Candidate::correlation);
  candidates.resize(std::min<std::size_t>(kCandidates, candidates.size()));
  return candidates;
}

// --- Fine: Gauss-Newton ---------------------------------------------------------------------------------------------

/// Sums for the normal equations of one step.
struct NormalEquations {
  cv::Matx<double, 5, 5> a = cv::Matx<double, 5, 5>::zeros();
  cv::Vec<double, 5> b = {0, 0, 0, 0, 0};
};

/// Of the squared difference gain * scan(T p) + offset - reference(p), for small changes (angle, y, x, gain, offset).
NormalEquations normal_equations(const cv::Mat1f& reference, const cv::Mat1f& scan, const cv::Mat1f& mask, double gain,
                                 double offset) {
  cv::Mat1f gradient_x, gradient_y;
  cv::Sobel(scan, gradient_x, CV_32F, 1, 0, 3, 1.0 / 8);
  cv::Sobel(scan, gradient_y, CV_32F, 0, 1, 3, 1.0 / 8);
  const cv::Point2d centre = middle(reference.size());
  NormalEquations equations;
  for (int y = 0; y < reference.rows; ++y) {
    for (int x = 0; x < reference.cols; ++x) {
      if (mask(y, x) == 0) continue;
      const double gx = gain * gradient_x(y, x), gy = gain * gradient_y(y, x);
      const std::array<double, 5> j = {gx * (y - centre.y) - gy * (x - centre.x), gy, gx, scan(y, x), 1};
      const double residual = reference(y, x) - (gain * scan(y, x) + offset);
      for (int r = 0; r < 5; ++r) {
        equations.b(r) += j[static_cast<std::size_t>(r)] * residual;
        for (int c = r; c < 5; ++c) {
          equations.a(r, c) += j[static_cast<std::size_t>(r)] * j[static_cast<std::size_t>(c)];
        }
      }
    }
  }
  for (int r = 0; r < 5; ++r) {
    for (int c = 0; c < r; ++c) equations.a(r, c) = equations.a(c, r);
  }
  return equations;
}

/// `t` after a small turn and move in the reference's frame: first the small one, then `t`.
RigidTransform composed(const RigidTransform& t, double angle_rad, double y, double x) {
  const double c = std::cos(radians(t.angle_deg)), s = std::sin(radians(t.angle_deg));
  return {t.angle_deg + angle_rad * 180 / std::numbers::pi, t.y - s * x + c * y, t.x + c * x + s * y};
}

double correlation_of(const cv::Mat1f& a, const cv::Mat1f& b, const cv::Mat1f& mask) {
  double n = 0, sa = 0, sb = 0, saa = 0, sbb = 0, sab = 0;
  for (int y = 0; y < a.rows; ++y) {
    for (int x = 0; x < a.cols; ++x) {
      if (mask(y, x) == 0) continue;
      const double va = a(y, x), vb = b(y, x);
      n += 1;
      sa += va;
      sb += vb;
      saa += va * va;
      sbb += vb * vb;
      sab += va * vb;
    }
  }
  const double product = (n * saa - sa * sa) * (n * sbb - sb * sb);
  return product > 0 ? (n * sab - sa * sb) / std::sqrt(product) : 0;
}

/// Normalized correlation of the slightly blurred images where they overlap.
double correlation_at(const Level& reference, const Level& scan, const RigidTransform& transform) {
  const cv::Mat1f mask = shown(scan.ink.size(), transform, reference.ink.size());
  return correlation_of(blurred(reference.ink), warped(blurred(scan.ink), transform, reference.ink.size()), mask);
}

/// Refines the transform (in pixels of the level); its correlation afterwards.
Candidate refined(const Level& reference, const Level& scan, RigidTransform transform) {
  constexpr int kMostSteps = 25;
  constexpr double kSmallStepPx = 2e-3;
  const cv::Mat1f reference_ink = blurred(reference.ink), scan_ink = blurred(scan.ink);
  const double radius_px = std::hypot(reference.ink.rows, reference.ink.cols) / 2;
  double gain = 1, offset = 0;
  for (int step = 0; step < kMostSteps; ++step) {
    const cv::Mat1f mask = shown(scan.ink.size(), transform, reference.ink.size());
    const NormalEquations equations =
        normal_equations(reference_ink, warped(scan_ink, transform, reference.ink.size()), mask, gain, offset);
    cv::Vec<double, 5> change;
    if (!cv::solve(equations.a, equations.b, change, cv::DECOMP_CHOLESKY)) break;
    transform = composed(transform, change(0), change(1), change(2));
    gain = std::clamp(gain + change(3), 0.2, 5.0);
    offset += change(4);
    const double moved_px = std::hypot(change(1), change(2)) + std::abs(change(0)) * radius_px;
    if (moved_px < kSmallStepPx || !std::isfinite(moved_px)) break;
  }
  return {transform, correlation_at(reference, scan, transform)};
}

/// From pixels of the level to those of the scan. A level holds whole blocks of pixels only, so its middle lies a
/// little off that of the image.
RigidTransform to_full(const RigidTransform& t, const Level& reference, const Level& scan) {
  const cv::Point2d m = reference.middle, n = scan.middle;
  const double c = std::cos(radians(t.angle_deg)), s = std::sin(radians(t.angle_deg));
  return {t.angle_deg, scan.factor * t.y - (-s * m.x + c * m.y) + n.y, scan.factor * t.x - (c * m.x + s * m.y) + n.x};
}

RigidTransform to_level(const RigidTransform& t, const Level& reference, const Level& scan) {
  const cv::Point2d m = reference.middle, n = scan.middle;
  const double c = std::cos(radians(t.angle_deg)), s = std::sin(radians(t.angle_deg));
  return {t.angle_deg, (t.y + (-s * m.x + c * m.y) - n.y) / scan.factor,
          (t.x + (c * m.x + s * m.y) - n.x) / scan.factor};
}

/// The candidates after refinement at one level, best first; transforms in full pixels.
std::vector<Candidate> refined_at(const Level& reference, const Level& scan, std::vector<Candidate> candidates) {
  for (Candidate& candidate : candidates) {
    candidate = refined(reference, scan, to_level(candidate.transform, reference, scan));
    candidate.transform = to_full(candidate.transform, reference, scan);
  }
  std::ranges::stable_sort(candidates, std::greater{}, &Candidate::correlation);
  return candidates;
}

double overlap_of(const Level& reference, const Level& scan, const RigidTransform& full) {
  const cv::Mat1f mask = shown(scan.ink.size(), to_level(full, reference, scan), reference.ink.size());
  return static_cast<double>(cv::countNonZero(mask)) / static_cast<double>(mask.total());
}

std::string failure_of(const Registration& found, double px_per_mm, const RegistrationParameters& p) {
  std::array<char, 120> text{};
  const double shift_mm = std::hypot(found.transform.y, found.transform.x) / px_per_mm;
  if (!(found.correlation >= p.least_correlation)) {
    std::snprintf(text.data(), text.size(), "correlation with the reference is %.3f, below %.3f", found.correlation,
                  p.least_correlation);
  } else if (!(found.overlap >= p.least_overlap)) {
    std::snprintf(text.data(), text.size(), "it shows only %.0f%% of what the reference shows", 100 * found.overlap);
  } else if (std::abs(found.transform.angle_deg) > p.max_angle_deg + kAngleStepDeg) {
    std::snprintf(text.data(), text.size(), "it would have to turn by %.1f degrees", found.transform.angle_deg);
  } else if (shift_mm > 1.5 * p.max_shift_mm) {
    std::snprintf(text.data(), text.size(), "it would have to move by %.0f mm", shift_mm);
  }
  return text.data();
}

}  // namespace

RegistrationPyramid::RegistrationPyramid(const cv::Mat1b& scan, double px_per_mm) : px_per_mm_(px_per_mm) {
  constexpr double kFinestPxPerMm = 4;
  constexpr int kLevels = 3;
  ensure(px_per_mm > 0 && !scan.empty(), "registration needs pixels and their size");
  int factor = std::max(1, static_cast<int>(std::lround(px_per_mm / kFinestPxPerMm)));
  // The first level may be coarser than is good: of a small image there is no finer one.
  const auto is_worth_it = [&](int level) { return level == 0 || px_per_mm / factor > 0.7; };
  for (int i = 0; i < kLevels && is_worth_it(i) && std::min(scan.rows, scan.cols) / factor > kLeastPx; ++i) {
    Level level;
    level.factor = factor;
    level.px_per_mm = px_per_mm / factor;
    const cv::Size size(scan.cols / factor, scan.rows / factor);
    cv::Mat1b reduced;
    cv::resize(scan(cv::Rect(0, 0, size.width * factor, size.height * factor)), reduced, size, 0, 0, cv::INTER_AREA);
    cv::Mat(255 - reduced).convertTo(level.ink, CV_32F);
    level.middle = {(size.width * factor - scan.cols) / 2.0, (size.height * factor - scan.rows) / 2.0};
    levels_.insert(levels_.begin(), std::move(level));
    factor *= 2;
  }
}

Registration register_scan(const RegistrationPyramid& reference, const RegistrationPyramid& scan,
                           const RegistrationParameters& parameters) {
  ensure(std::abs(reference.px_per_mm() - scan.px_per_mm()) < 1e-6 * scan.px_per_mm(), "scans of one resolution");
  const std::size_t levels = std::min(reference.levels().size(), scan.levels().size());
  Registration result;
  if (levels == 0) {
    result.failure = "too small to be registered: fewer than " + std::to_string(kLeastPx + 1) +
                     " pixels across; take scans, or `size`s to synthesize, of more";
    return result;
  }
  std::vector<Candidate> candidates = coarse_candidates(reference.levels()[0], scan.levels()[0], parameters);
  for (Candidate& candidate : candidates) {
    candidate.transform = to_full(candidate.transform, reference.levels()[0], scan.levels()[0]);
  }
  std::size_t judged = 0;  // the level whose resolution is nearest to the one that is judged
  for (std::size_t level = 0; level < levels; ++level) {
    // The best at one level may be caught on a neighbouring bar of the tread: only the next one can tell.
    candidates = refined_at(reference.levels()[level], scan.levels()[level], std::move(candidates));
    candidates.resize(std::min<std::size_t>(candidates.size(), level == 0 ? 3 : 1));
    const auto distance = [&](std::size_t i) {
      return std::abs(std::log(reference.levels()[i].px_per_mm / parameters.judged_px_per_mm));
    };
    if (distance(level) < distance(judged)) judged = level;
  }
  result.transform = candidates.front().transform;
  const Level &r = reference.levels()[judged], &s = scan.levels()[judged];
  result.correlation = correlation_at(r, s, to_level(result.transform, r, s));
  result.overlap = overlap_of(r, s, result.transform);
  result.failure = failure_of(result, scan.px_per_mm(), parameters);
  return result;
}

cv::Mat1b warped_into_frame(const cv::Mat1b& scan, const RigidTransform& transform, cv::Size frame, cv::Point2d origin,
                            double value) {
  cv::Mat1b result;
  cv::warpAffine(scan, result, index_map(scan.size(), transform, frame, origin), frame,
                 cv::INTER_CUBIC | cv::WARP_INVERSE_MAP, cv::BORDER_CONSTANT, cv::Scalar(value));
  return result;
}

cv::Point2d point_under_frame_middle(cv::Size scan, const RigidTransform& transform, cv::Point2d origin) {
  const cv::Size frame(1, 1);  // its only pixel is its middle
  const cv::Matx23d map = index_map(scan, transform, frame, origin);
  return {map(0, 2), map(1, 2)};
}

cv::Mat1b support_in_frame(cv::Size scan, const RigidTransform& transform, cv::Size frame, cv::Point2d origin) {
  cv::Mat1b result;
  cv::warpAffine(cv::Mat1b(scan, uchar{255}), result, index_map(scan, transform, frame, origin), frame,
                 cv::INTER_NEAREST | cv::WARP_INVERSE_MAP, cv::BORDER_CONSTANT, cv::Scalar(0));
  return result;
}

}  // namespace outsole::image
