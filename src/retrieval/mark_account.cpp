#include "retrieval/mark_account.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "core/errors.h"

namespace outsole::retrieval {

namespace {

using nlohmann::json;

template <typename T>
std::vector<T> column(const store::Store& results, const char* name) {
  return std::get<std::vector<T>>(results.read(name).values);
}

void count_masks(const store::Store& results, MarkAccount& account) {
  if (!results.has("mask_sha256")) return;
  const auto ids = column<std::string>(results, "mark_id"), sha256 = column<std::string>(results, "mask_sha256");
  const auto share = column<double>(results, "support_share");
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (sha256[i].empty()) continue;
    ++account.masked;
    account.least_share = std::min(account.least_share, share[i]);
    account.most_share = std::max(account.most_share, share[i]);
    account.masks.push_back({{"mark", ids[i]}, {"mask_sha256", sha256[i]}, {"share", share[i]}});
  }
}

void count_shrunk(const store::Store& results, MarkAccount& account) {
  if (!results.has("mark_dpi")) return;
  const json& parameters = results.header().parameters;
  const double exemplar_dpi = parameters.is_object() ? parameters.value("exemplar_dpi", 0.0) : 0;
  const auto scale = column<double>(results, "scale"), dpi = column<double>(results, "mark_dpi");
  for (std::size_t i = 0; i < scale.size(); ++i) {
    const double shrink = scale[i] / factor_to_exemplars(dpi[i], exemplar_dpi);
    constexpr double kRounding = 1e-9;
    if (!(shrink < 1 - kRounding)) continue;
    ++account.shrunk;
    account.least_shrink = std::min(account.least_shrink, shrink);
  }
}

/// Those of some angles beyond which, on one side, there is none at the distance that they have: none of a single
/// angle, or where they go all around.
std::vector<double> rims_of(std::vector<double> angles_deg) {
  std::ranges::sort(angles_deg);
  const std::size_t count = angles_deg.size();
  if (count < 2) return {};
  std::vector<double> gaps;  // behind each
  for (std::size_t i = 0; i + 1 < count; ++i) gaps.push_back(angles_deg[i + 1] - angles_deg[i]);
  gaps.push_back(angles_deg.front() + 360 - angles_deg.back());
  const double most = 1.5 * std::max(*std::ranges::min_element(gaps), 1e-3);
  std::vector<double> rims;
  for (std::size_t i = 0; i < count; ++i) {
    if (gaps[i] > most || gaps[(i + count - 1) % count] > most) rims.push_back(angles_deg[i]);
  }
  return rims;
}

void count_at_rim(const store::Store& results, MarkAccount& account) {
  const json& parameters = results.header().parameters;
  if (!parameters.is_object() || !parameters.contains("angles_deg") || account.marks == 0) return;
  const auto angles_deg = parameters["angles_deg"].get<std::vector<double>>();
  const auto found = column<double>(results, "top_angle_deg");
  const auto mirrored = column<std::uint8_t>(results, "top_mirrored");
  const std::size_t top = found.size() / static_cast<std::size_t>(account.marks);
  if (top == 0) return;
  std::map<double, std::int64_t> marks_at;
  // Told of the exemplar's own image: where that was mirrored, the angle was searched with the other sign.
  const bool marks_are_mirrored = parameters.value("mirrored", false);
  for (std::size_t i = 0; i < found.size(); i += top) {
    const bool is_searched = std::ranges::find(angles_deg, found[i]) != angles_deg.end();
    const bool is_other_sign = marks_are_mirrored ? !is_searched : mirrored[i] != 0;
    ++marks_at[is_other_sign ? 0 - found[i] : found[i]];
  }
  const double by_chance = static_cast<double>(account.marks) / static_cast<double>(angles_deg.size());
  for (const double rim : rims_of(angles_deg)) {
    const auto marks = marks_at.find(rim);
    if (marks == marks_at.end() || static_cast<double>(marks->second) <= 2 * by_chance) continue;
    account.at_rim.push_back({rim, marks->second});
  }
}

constexpr char kLocalContrast[] = "local-contrast";

const char* name_of(FitFrame fit) {
  if (fit == FitFrame::kAuto) return "auto";
  return fit == FitFrame::kYes ? "yes" : "no";
}

}  // namespace

json parameters_of_marks(const SearchProtocol& protocol) {
  json parameters = json::object();
  if (protocol.as_they_lie) return parameters;
  if (protocol.overhang > 0) parameters["overhang"] = protocol.overhang;
  if (protocol.fit_frame != FitFrame::kAuto) parameters["fit_frame"] = name_of(protocol.fit_frame);
  if (protocol.all_around) parameters["all_around"] = true;
  if (protocol.mark_filter == MarkFilter::kLocalContrast) parameters["mark_filter"] = kLocalContrast;
  if (protocol.mirrored) parameters["mirrored"] = true;
  if (protocol.mark_ruler) {
    const MarkRuler& ruler = *protocol.mark_ruler;
    parameters["mark_ruler"] = {ruler.x0_px, ruler.y0_px, ruler.x1_px, ruler.y1_px, ruler.length_cm};
  }
  return parameters;
}

void read_parameters_of_marks(const json& parameters, SearchProtocol& protocol) {
  try {
    protocol.overhang = parameters.value("overhang", 0.0);
    protocol.all_around = parameters.value("all_around", false);
    if (parameters.value("mark_filter", "") == kLocalContrast) protocol.mark_filter = MarkFilter::kLocalContrast;
    protocol.mirrored = parameters.value("mirrored", false);
    const auto fit = parameters.value("fit_frame", std::string("auto"));
    for (const FitFrame known : {FitFrame::kAuto, FitFrame::kYes, FitFrame::kNo}) {
      if (fit == name_of(known)) protocol.fit_frame = known;
    }
    if (!parameters.contains("mark_ruler")) return;
    const auto ruler = parameters.at("mark_ruler").get<std::vector<double>>();
    if (ruler.size() != 5) throw DataError("results: 'mark_ruler' is not of two points and a length");
    protocol.mark_ruler = MarkRuler{ruler[0], ruler[1], ruler[2], ruler[3], ruler[4]};
  } catch (const json::exception& error) {
    throw DataError(std::string("results: parameters of marks that no search writes: ") + error.what());
  }
}

MarkAccount account_of_marks(const store::Store& results) {
  MarkAccount account;
  account.marks = results.rows();
  count_masks(results, account);
  count_shrunk(results, account);
  count_at_rim(results, account);
  return account;
}

}  // namespace outsole::retrieval
