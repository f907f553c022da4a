#include "match/contributions.h"

#include "core/errors.h"

namespace outsole::match {

namespace {

/// One side of the product.
struct Side {
  at::Tensor centred;  // [C, h, w], 0 outside of the support
  at::Tensor scale;    // [C, 1, 1] or [1, 1, 1]: 1 over the root of the energy that the scaling divides by; 0: flat
};

Side side_of(const at::Tensor& maps, const at::Tensor& support, const ChannelModel& channels,
             const Similarity& similarity) {
  const auto of_channels = [&](const at::Tensor& values) { return values.to(maps.scalar_type()).view({-1, 1, 1}); };
  const at::Tensor count = support.sum();
  at::Tensor seen = maps;
  if (channels.white.defined()) seen = seen - of_channels(channels.white);
  at::Tensor mean = at::zeros({1, 1, 1}, maps.options());
  if (similarity.centring != Centring::kNone) mean = (seen * support).sum({1, 2}, true) / count;
  if (similarity.centring == Centring::kMu) mean = mean.mean(0, true);
  const at::Tensor centred = (seen - mean) * support;
  if (similarity.scaling == Scaling::kNone) return {centred, at::ones_like(mean)};
  at::Tensor energy = centred.square().sum({1, 2}, true), flat = of_channels(channels.flat_std).square() * count;
  if (similarity.scaling == Scaling::kSigma) {
    energy = energy.sum(0, true);
    flat = flat.sum(0, true);
  }
  const at::Tensor live = energy > flat;  // where it is not, the root would have no gradient
  return {centred, at::where(live, energy, at::ones_like(energy)).rsqrt() * live};
}

}  // namespace

at::Tensor contributions(const at::Tensor& x, const at::Tensor& y, const at::Tensor& support,
                         const ChannelModel& channels, const Similarity& similarity) {
  if (similarity.is_distance) throw UsageError("`similarity` euclidean: is no sum of products");
  const WindowTerms terms = window_terms(similarity, channels);
  const at::Tensor cells = support.to(x.scalar_type());
  const Side of_x = side_of(x, cells, terms.channels, terms.similarity),
             of_y = side_of(y, cells, terms.channels, terms.similarity);
  at::Tensor weight = terms.channels.weight.to(x.scalar_type()).view({-1, 1, 1}) * of_x.scale * of_y.scale;
  if (terms.similarity.scaling == Scaling::kNone) weight = weight / cells.sum();
  if (terms.similarity.scaling == Scaling::kSigma) weight = weight * static_cast<double>(x.size(0));
  return of_x.centred * of_y.centred * weight;
}

}  // namespace outsole::match
