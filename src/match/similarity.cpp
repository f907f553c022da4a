#include "match/similarity.h"

#include "core/errors.h"

namespace outsole::match {

std::vector<Similarity> known_similarities() {
  return {{Centring::kMuC, Scaling::kSigmaC}, {Centring::kMuC, Scaling::kSigma}, {Centring::kMuC, Scaling::kNone},
          {Centring::kMu, Scaling::kSigma},   {Centring::kMu, Scaling::kNone},   {Centring::kNone, Scaling::kSigma},
          {Centring::kNone, Scaling::kNone}};
}

std::string name_of(const Similarity& similarity) {
  const std::string centring = similarity.centring == Centring::kMuC  ? "mu_c"
                               : similarity.centring == Centring::kMu ? "mu"
                                                                      : "none";
  const std::string scaling = similarity.scaling == Scaling::kSigmaC  ? "sigma_c"
                              : similarity.scaling == Scaling::kSigma ? "sigma"
                                                                      : "none";
  return centring + "," + scaling;
}

Similarity similarity_named(const std::string& name) {
  std::string known;
  for (const Similarity& similarity : known_similarities()) {
    if (name_of(similarity) == name) return similarity;
    known += (known.empty() ? "" : "; ") + name_of(similarity);
  }
  throw UsageError("`similarity` " + name + ": not one of " + known);
}

}  // namespace outsole::match
