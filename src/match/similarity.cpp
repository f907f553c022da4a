#include "match/similarity.h"

#include <map>

#include "core/errors.h"

namespace outsole::match {

namespace {

const char* name_of(Centring centring) {
  switch (centring) {
    case Centring::kNone:
      return "none";
    case Centring::kMu:
      return "mu";
    case Centring::kMuC:
      return "mu_c";
    case Centring::kMuBarC:
      return "mu_bar_c";
  }
  throw Bug("unknown centring");
}

const char* name_of(Scaling scaling) {
  switch (scaling) {
    case Scaling::kNone:
      return "none";
    case Scaling::kSigma:
      return "sigma";
    case Scaling::kSigmaC:
      return "sigma_c";
    case Scaling::kSigmaBarC:
      return "sigma_bar_c";
  }
  throw Bug("unknown scaling");
}

const std::map<std::string, std::string>& other_names() {
  static const std::map<std::string, std::string> names = {
      {"mcncc", "mu_c,sigma_c"}, {"cosine", "none,sigma"}, {"correlation", "none,none"}};
  return names;
}

}  // namespace

std::vector<Similarity> known_similarities() {
  std::vector<Similarity> known;
  for (const Centring centring : {Centring::kMuC, Centring::kMuBarC, Centring::kMu, Centring::kNone}) {
    for (const Scaling scaling : {Scaling::kSigmaC, Scaling::kSigmaBarC, Scaling::kSigma, Scaling::kNone}) {
      if (centring == Centring::kMu && scaling == Scaling::kSigmaC) continue;
      known.push_back({centring, scaling});
    }
  }
  known.push_back({Centring::kNone, Scaling::kNone, /*is_distance=*/true});
  return known;
}

bool needs_statistics(const Similarity& similarity) {
  return similarity.centring == Centring::kMuBarC || similarity.scaling == Scaling::kSigmaBarC;
}

std::string name_of(const Similarity& similarity) {
  if (similarity.is_distance) return "euclidean";
  return std::string(name_of(similarity.centring)) + "," + name_of(similarity.scaling);
}

Similarity similarity_named(const std::string& name) {
  if (name == "mu,sigma_c") {
    throw UsageError(
        "`similarity` mu,sigma_c: has no meaning, a channel's scale would tell how far its level lies from those of "
        "other channels; give mu,sigma or mu_c,sigma_c");
  }
  const auto other = other_names().find(name);
  const std::string wanted = other == other_names().end() ? name : other->second;
  std::string known;
  for (const Similarity& similarity : known_similarities()) {
    if (name_of(similarity) == wanted) return similarity;
    known += (known.empty() ? "" : "; ") + name_of(similarity);
  }
  for (const auto& [short_name, _] : other_names()) known += "; " + short_name;
  throw UsageError("`similarity` " + name + ": not one of " + known);
}

}  // namespace outsole::match
