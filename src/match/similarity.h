#pragma once
// What makes two windows of feature maps alike.
//
//   score(pose) = sum_c w_c / |P| * sum_P (x - m_x)(y - m_y) / (s_x s_y)
//
// over the cells P where the mark's eroded support lies on the frame (Kong et al., IJCV 2019, table of variants), with
//   centring  m = 0 (none) | the mean over P and all channels (mu) | the channel's mean over P (mu_c) | the channel's
//             mean over the data set (mu_bar_c)
//   scaling   s = 1 (none) | the root of the mean square of (. - m) over P and all channels (sigma) | the channel's
//             (sigma_c) | the channel's standard deviation over the data set (sigma_bar_c)
// w_c = 1/C unless learned. mu_c,sigma_c is multi-channel normalized cross-correlation. none,sigma is the cosine of the
// angle between the two windows, all channels together. What is flat over P on either side (a channel, or with sigma
// all of them together), or with sigma_bar_c over the data set, adds 0. With none and mu the features' zero matters: it
// is the extractor's own (0 behind a ReLU), though maps are kept without their response to white paper.
//
// The data set are the exemplars, for the mark's side, too: a mark has none of its own, and what is found for it must
// not depend on the other marks of a search.
//
// mu,sigma_c is not known: a channel's scale would tell how far its level lies from those of other channels, not how
// much it varies.
//
// The Euclidean one is a distance instead, score = - sum_c 1/C * 1/|P| * sum_P (x - y)^2: 0 where windows are equal.

#include <string>
#include <vector>

namespace outsole::match {

enum class Centring { kNone, kMu, kMuC, kMuBarC };
enum class Scaling { kNone, kSigma, kSigmaC, kSigmaBarC };

struct Similarity {
  Centring centring = Centring::kMuC;
  Scaling scaling = Scaling::kSigmaC;
  bool is_distance = false;  // the Euclidean one; centring and scaling are none
  bool operator==(const Similarity&) const = default;
};

/// Those that the kernels know, the default first.
std::vector<Similarity> known_similarities();

/// Whether it takes statistics of the whole data set.
bool needs_statistics(const Similarity& similarity);

/// "mu_c,sigma_c", "euclidean".
std::string name_of(const Similarity& similarity);

/// The known similarity of that name, or of one of its other names: mcncc (mu_c,sigma_c), cosine (none,sigma),
/// correlation (none,none). Otherwise UsageError.
Similarity similarity_named(const std::string& name);

}  // namespace outsole::match
