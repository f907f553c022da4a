#pragma once
// What makes two windows of feature maps alike.
//
//   score(pose) = sum_c w_c / |P| * sum_P (x - m_x)(y - m_y) / (s_x s_y)
//
// over the cells P where the mark's eroded support lies on the frame (Kong et al., IJCV 2019, table of variants), with
//   centring  m = 0 (none) | the mean over P and all channels (mu) | the channel's mean over P (mu_c)
//   scaling   s = 1 (none) | the root of the mean square of (. - m) over P and all channels (sigma) | the channel's
//             (sigma_c)
// w_c = 1/C unless learned. mu_c,sigma_c is multi-channel normalized cross-correlation. What is flat over P on either
// side (a channel, or with sigma all of them together) adds 0. Without mu_c the features' zero matters: the response to
// white paper.

#include <string>
#include <vector>

namespace outsole::match {

enum class Centring { kNone, kMu, kMuC };
enum class Scaling { kNone, kSigma, kSigmaC };

struct Similarity {
  Centring centring = Centring::kMuC;
  Scaling scaling = Scaling::kSigmaC;
  bool operator==(const Similarity&) const = default;
};

/// Those that the kernels know, the default first.
std::vector<Similarity> known_similarities();

/// "mu_c,sigma_c".
std::string name_of(const Similarity& similarity);

/// The known similarity of that name; otherwise UsageError.
Similarity similarity_named(const std::string& name);

}  // namespace outsole::match
