#include "wear/wear_inputs.h"

#include <spdlog/fmt/fmt.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <opencv2/imgproc.hpp>
#include <set>
#include <span>

#include "comm/from_root.h"
#include "comm/same_files.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/sha256.h"
#include "image/geometry.h"
#include "image/image.h"
#include "ingest/image_record.h"
#include "ingest/image_sources.h"

namespace outsole::wear {

namespace fs = std::filesystem;

namespace {

/// All that may be chosen, whatever the week.
bool is_candidate(const PreparedInfo& scan, const WearInputs::Choice& choice) {
  const bool is_named = choice.ids.empty() || std::ranges::find(choice.ids, scan.id) != choice.ids.end();
  return scan.flag.empty() && is_named;
}

using WeeksOfShoes = std::map<std::string, std::set<double>>;

std::string weeks_text(const std::set<double>& weeks) {
  constexpr std::size_t kMost = 60;
  std::string text;
  std::size_t named = 0;
  for (const double week : weeks) {
    if (named++ == kMost) return text + ", ...";
    text += fmt::format("{}{:g}", text.empty() ? "" : ", ", week);
  }
  return text;
}

/// Of each shoe the weeks that are nearest to those wanted; what was taken instead is said.
WeeksOfShoes nearest_weeks(const WeeksOfShoes& there, const std::vector<double>& wanted) {
  constexpr double kNearEnough = 2;
  WeeksOfShoes nearest;
  for (const auto& [shoe, weeks] : there) {
    for (const double week : wanted) {
      const double found = *std::ranges::min_element(weeks, {}, [&](double other) { return std::abs(other - week); });
      if (std::abs(found - week) > kNearEnough) continue;
      nearest[shoe].insert(found);
      if (found != week)
        spdlog::info("shoe '{}' has no scan of week {:g}: that of week {:g} is taken", shoe, week, found);
    }
  }
  return nearest;
}

std::vector<fs::path> image_files(const std::vector<fs::path>& paths, const WearInputs::Choice& choice,
                                  std::vector<NotRead>& not_read) {
  if (!choice.ids.empty() || !choice.weeks.empty()) {
    throw UsageError(
        "scans are chosen by id or week in a prepared store (NAME.h5); of image files name those you want");
  }
  ingest::SourceList list = ingest::list_image_sources({.inputs = paths, .recursive = choice.recursive});
  not_read = std::move(list.not_read);
  std::vector<fs::path> files;
  for (const ingest::ImageSource& source : list.sources) files.push_back(source.file);
  return files;
}

}  // namespace

cv::Mat1b fitted_on_paper(const cv::Mat1b& image, cv::Size size) {
  if (image.size() == size) return image;
  const double factor =
      std::min(static_cast<double>(size.width) / image.cols, static_cast<double>(size.height) / image.rows);
  const cv::Size fitted(std::clamp(static_cast<int>(std::lround(image.cols * factor)), 1, size.width),
                        std::clamp(static_cast<int>(std::lround(image.rows * factor)), 1, size.height));
  cv::Mat1b result(size, image::kPaper);
  cv::Mat1b middle = result({{(size.width - fitted.width) / 2, (size.height - fitted.height) / 2}, fitted});
  cv::resize(image, middle, fitted, 0, 0, factor < 1 ? cv::INTER_AREA : cv::INTER_CUBIC);
  return result;
}

WearInputs::WearInputs(const comm::Communicator& comm, const std::vector<fs::path>& paths, const Choice& choice) {
  if (paths.size() == 1 && paths.front().extension() == ".h5") {
    store_.emplace(PreparedStore::open_together(comm, paths.front()));
    comm.together([&] { take_scans(choice); });
    return;
  }
  std::vector<fs::path> files = comm::paths_from_root(comm, [&] { return image_files(paths, choice, not_read_); });
  comm::require_same_files(comm, files);
  for (fs::path& file : files) {
    inputs_.push_back({id_of(file), std::move(file)});
  }
}

void WearInputs::take_scans(const Choice& choice) {
  const auto& scans = store_->scans();
  for (const std::string& id : choice.ids) {
    const auto found = std::ranges::find(scans, id, &PreparedInfo::id);
    const std::string path = store_->store().path().string();
    if (found == scans.end()) throw UsageError(path + ": holds no scan '" + id + "'");
    if (!found->flag.empty()) throw UsageError(path + ": scan '" + id + "' lies in no frame: " + found->flag);
  }
  WeeksOfShoes there;
  std::set<double> weeks;
  for (const PreparedInfo& scan : scans) {
    if (!is_candidate(scan, choice)) continue;
    there[scan.subject.shoe].insert(scan.subject.week);
    weeks.insert(scan.subject.week);
  }
  const WeeksOfShoes chosen = choice.weeks.empty() ? there : nearest_weeks(there, choice.weeks);
  for (std::size_t row = 0; row < scans.size(); ++row) {
    if (!is_candidate(scans[row], choice)) continue;
    const auto shoe = chosen.find(scans[row].subject.shoe);
    if (shoe == chosen.end() || !shoe->second.contains(scans[row].subject.week)) continue;
    inputs_.push_back({scans[row].id, {}, static_cast<std::int64_t>(row)});
  }
  if (!inputs_.empty()) return;
  throw UsageError(store_->store().path().string() + ": no registered scan is of these weeks, nor of one within two" +
                   (weeks.empty() ? "" : "; there are weeks " + weeks_text(weeks)));
}

const PreparedInfo* WearInputs::scan(std::int64_t input) const {
  const std::int64_t row = inputs_[static_cast<std::size_t>(input)].row;
  return row < 0 ? nullptr : &scan_of_row(row);
}

cv::Mat1b WearInputs::image(std::int64_t input) const {
  const Input& one = inputs_[static_cast<std::size_t>(input)];
  if (one.row >= 0) return image_of_row(one.row);
  const image::DecodedImage decoded = image::read_image(one.file);
  cv::Mat1b levels = image::to_8_bit(decoded.grey);
  if (!decoded.support.empty()) levels.setTo(image::kPaper, decoded.support == 0);
  return levels;
}

std::optional<std::int64_t> WearInputs::row_of_week(std::int64_t input, double week) const {
  const PreparedInfo* own = scan(input);
  if (own == nullptr) return std::nullopt;
  constexpr double kNearEnough = 1;
  std::optional<std::int64_t> nearest;
  double least = kNearEnough;
  for (std::int64_t row = 0; row < store_->size(); ++row) {
    const PreparedInfo& other = scan_of_row(row);
    const double distance = std::abs(other.subject.week - week);
    if (other.subject.shoe != own->subject.shoe || !other.flag.empty() || !(distance <= least)) continue;
    if (nearest && distance == least) continue;
    nearest = row;
    least = distance;
  }
  return nearest;
}

const PreparedInfo& WearInputs::scan_of_row(std::int64_t row) const {
  return store_->scans()[static_cast<std::size_t>(row)];
}

cv::Mat1b WearInputs::image_of_row(std::int64_t row) const {
  return ingest::byte_image(store_->record(row).pixels, store_->height_px(), store_->width_px());
}

std::string WearInputs::sha256() const {
  std::string text = store_ ? store_->store().sha256() + "\n" : "";
  for (const Input& input : inputs_) {
    text += input.id + "\n";
    if (input.row < 0) text += sha256_of_file(input.file) + "\n";
  }
  return sha256_of(std::as_bytes(std::span(text)));
}

}  // namespace outsole::wear
