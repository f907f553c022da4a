#include "wear/step_memory.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/checked.h"
#include "wear/slab.h"

namespace outsole::wear {

namespace {

constexpr double kImages = 4;  // grey and what is known of it, of input and target
constexpr std::int64_t kSsimReach = 5;

/// Floats that are there now, and the most that ever were.
class Alive {
 public:
  void during(double more) { peak_ = std::max(peak_, now_ + more); }
  void take(double floats) {
    now_ += floats;
    during(0);
  }
  void give(double floats) { now_ -= floats; }
  double peak() const { return peak_; }

 private:
  double now_ = 0, peak_ = 0;
};

/// The sizes of all maps of a slab, in floats, and what each layer's work takes beside them. oneDNN orders maps in
/// blocks of its own: it copies what it is given into them, and its result out of them.
struct Step {
  double image = 0;  // a map of the padded slab
  std::array<double, kLayers> encoded_from, encoded, decoded_from, decoded;
  bool adds = false, has_ssim = false, last_by_columns = false, recomputes = false;
  Alive alive = {};

  explicit Step(const StepWork& work) {
    const NetworkShape& shape = work.network;
    const auto ranks = static_cast<int>(work.split_ranks);
    const double height = static_cast<double>(slab_of(shape.height_px, 0, ranks).padded_rows.size());
    image = height * static_cast<double>(divide_up(shape.width_px, kSizeStep) * kSizeStep);
    double maps = image, cells = image;
    for (std::size_t layer = 0; layer < encoded.size(); ++layer) {
      encoded_from[layer] = maps;
      cells /= 4;
      encoded[layer] = maps = cells * static_cast<double>(encoder_maps(shape)[layer]);
    }
    maps += cells * static_cast<double>(shape.time_maps);
    for (std::size_t layer = 0; layer < decoded.size(); ++layer) {
      decoded_from[layer] = maps;
      cells *= 4;
      decoded[layer] = maps = cells * static_cast<double>(decoder_maps(shape)[layer]);
    }
    adds = shape.kind == NetworkKind::kResidual;
    has_ssim = work.ssim_weight > 0;
    last_by_columns = shape.first_maps >= 16;
    recomputes = work.recomputes;
  }

  // Forwards; the result is there afterwards, and so is what it was made from.
  void encode(std::size_t layer) {
    const double from = layer == 0 ? 0 : encoded_from[layer], to = encoded[layer];
    alive.during(std::max(from + to, 2 * to));
    alive.take(to);
  }
  void add_time() { alive.take(decoded_from[0]); }
  void decode(std::size_t layer) {
    const double from = decoded_from[layer], to = decoded[layer];
    const bool is_by_columns = layer + 1 == decoded.size() && last_by_columns;
    alive.during(is_by_columns ? 4 * image + to : std::max(from + to, 2 * to));
    alive.take(to);
  }

  /// Afterwards there is the gradient of the prediction.
  void loss() {
    const double kept = has_ssim ? 11 : 1, passing = has_ssim ? 7 : 2;
    alive.take(kept * image);
    alive.during(passing * image);
    alive.give(kept * image);
    alive.take(image);
  }

  // Backwards: a layer's result and its gradient are there before, the gradient of what it was made from afterwards.
  // What it was made from is let go by the layer before, or by this one where nobody else needs it.
  enum class From { kStays, kGoes };

  void decode_back(std::size_t layer, From made_from = From::kStays) {
    const double from = decoded_from[layer], to = decoded[layer];
    rectify_back(to);
    if (layer + 1 == decoded.size() && last_by_columns) {
      alive.during(4 * image + from);
      alive.take(from);
    } else {
      layer_back(from, to, made_from, /*gives_weights_first=*/true);
    }
    const bool is_wanted_by_encoder = adds && layer + 1 < decoded.size();
    if (!is_wanted_by_encoder) alive.give(to);
  }
  void encode_back(std::size_t layer, From made_from = From::kStays) {
    const double from = encoded_from[layer], to = encoded[layer];
    if (adds && layer + 1 < encoded.size()) {  // what the decoder's layer passed on, added
      alive.during(to);
      alive.give(to);
    }
    rectify_back(to);
    if (layer == 0) {
      alive.during(to + from);
    } else {
      layer_back(from, to, made_from, recomputes);
    }
    alive.give(to);
  }

 private:
  void rectify_back(double to) {
    if (!recomputes) alive.during(to);  // the gradient behind the ReLU beside the one before it
    alive.give(to);
  }
  void layer_back(double from, double to, From made_from, bool gives_weights_first) {
    alive.during(to + from);
    if (made_from == From::kGoes) alive.give(from);
    alive.during(std::max(to + from, 2 * from));
    alive.take(from);
    if (!gives_weights_first) alive.during(to + from);
  }
};

double peak_of_plain_step(Step step) {
  Alive& alive = step.alive;
  alive.take((kImages + (step.adds ? 2 : 1)) * step.image);
  for (std::size_t layer = 0; layer < kLayers; ++layer) step.encode(layer);
  step.add_time();
  for (std::size_t layer = 0; layer < kLayers; ++layer) step.decode(layer);
  if (step.adds) alive.give(step.image);
  step.loss();
  for (std::size_t layer = kLayers; layer-- > 0;) step.decode_back(layer);
  for (std::size_t layer = kLayers; layer-- > 0;) step.encode_back(layer);
  return alive.peak();
}

/// The middle layers, forwards.
void middle(Step& step) {
  for (std::size_t layer = 2; layer < kLayers; ++layer) step.encode(layer);
  step.add_time();
  for (std::size_t layer = 0; layer + 2 < kLayers; ++layer) step.decode(layer);
}

/// The outcome of the first layer, or of the first two.
void first(Step& step) {
  step.alive.take(step.image);
  step.encode(0);
  step.alive.give(step.image);
}
void second(Step& step) {
  first(step);
  step.encode(1);
  step.alive.give(step.encoded[0]);
}

/// In the order of WearNetwork::add_gradients_recomputing.
double peak_of_recomputing_step(Step step) {
  Alive& alive = step.alive;
  alive.take(kImages * step.image);
  const double first_maps = step.encoded[0], third_maps = step.decoded[kLayers - 3];
  second(step);
  Step without_gradients = step;
  middle(without_gradients);  // nearly: it lets go of each layer's maps as it goes
  alive.give(step.encoded[1]);
  alive.take(third_maps + (step.adds ? first_maps + 2 * step.image : 0));
  step.decode(kLayers - 2);
  step.decode(kLayers - 1);
  if (step.adds) alive.give(first_maps + step.image);
  step.loss();
  step.decode_back(kLayers - 1);
  step.decode_back(kLayers - 2, Step::From::kGoes);
  if (step.adds) alive.give(step.image);
  second(step);
  middle(step);
  for (std::size_t layer = kLayers - 2; layer-- > 0;) step.decode_back(layer);
  for (std::size_t layer = kLayers; layer-- > 2;) {
    step.encode_back(layer, layer == 2 ? Step::From::kGoes : Step::From::kStays);
  }
  first(step);
  step.encode(1);
  step.encode_back(1, Step::From::kGoes);
  first(step);
  step.encode_back(0);
  return alive.peak();
}

}  // namespace

std::int64_t pair_memory_bytes(const StepWork& work) {
  const Step step(work);
  const double floats = work.recomputes ? peak_of_recomputing_step(step) : peak_of_plain_step(step);
  return static_cast<std::int64_t>(std::llround(floats * sizeof(float)));
}

std::int64_t halo_bytes(const StepWork& work) {
  if (work.split_ranks == 1) return 0;
  std::int64_t width = divide_up(work.network.width_px, kSizeStep) * kSizeStep, numbers = 0, maps = 1;
  // How often each layer is computed forwards, and that the first layer has no gradient to send back.
  constexpr std::array kEncoded{4, 3, 2, 2, 2}, kDecoded{2, 2, 2, 1, 1};
  for (std::size_t layer = 0; layer < kLayers; ++layer) {
    numbers += width * maps * ((work.recomputes ? kEncoded[layer] : 1) + (layer > 0 ? 1 : 0));
    maps = encoder_maps(work.network)[layer];
    width /= 2;
  }
  maps += work.network.time_maps;
  for (std::size_t layer = 0; layer < kLayers; ++layer) {
    numbers += width * maps * ((work.recomputes ? kDecoded[layer] : 1) + 1);
    maps = decoder_maps(work.network)[layer];
    width *= 2;
  }
  if (work.ssim_weight > 0) numbers += 3 * kSsimReach * work.network.width_px;
  return 2 * numbers * static_cast<std::int64_t>(sizeof(float));
}

}  // namespace outsole::wear
