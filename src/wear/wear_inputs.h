#pragma once
// The images that a wear model is asked about: image files, or the scans of a prepared store.

#include <cstdint>
#include <filesystem>
#include <opencv2/core.hpp>
#include <optional>
#include <string>
#include <vector>

#include "wear/prepared.h"

namespace outsole::wear {

/// `image` as large as fits into `size` without changing its shape, in the middle of paper (255): area-averaged where
/// it is reduced, bicubic where it is enlarged.
cv::Mat1b fitted_on_paper(const cv::Mat1b& image, cv::Size size);

class WearInputs {
 public:
  /// Which scans of a store are taken; those that lie in no frame (flagged) never are.
  struct Choice {
    std::vector<std::string> ids;  // empty: all
    std::vector<double> weeks;     // of the scans; empty: all
  };

  /// `paths` is one prepared store (NAME.h5), or images and folders of images. Not collective: every rank makes its
  /// own, all the same. Throws UsageError when a choice names no scan or is made of image files, or when two files have
  /// one id; DataError for a damaged store or a missing path.
  WearInputs(const std::vector<std::filesystem::path>& paths, const Choice& choice);

  std::int64_t size() const { return static_cast<std::int64_t>(inputs_.size()); }
  const std::string& id(std::int64_t input) const { return inputs_[static_cast<std::size_t>(input)].id; }
  /// What is known of it, if it is a scan of a store.
  const PreparedInfo* scan(std::int64_t input) const;
  /// At its own resolution, 255 is paper; DataError when it cannot be read. Transparent parts are paper.
  cv::Mat1b image(std::int64_t input) const;

  /// The row of the store whose scan shows the shoe of `input` nearest to `week` and within a week of it, if there is
  /// one.
  std::optional<std::int64_t> row_of_week(std::int64_t input, double week) const;
  /// A scan of the store, by row.
  const PreparedInfo& scan_of_row(std::int64_t row) const;
  cv::Mat1b image_of_row(std::int64_t row) const;

  /// Identity of all inputs: ids and content. Reads every image file.
  std::string sha256() const;

 private:
  struct Input {
    std::string id;
    std::filesystem::path file;  // empty: a row of the store
    std::int64_t row = -1;
  };
  void take_scans(const Choice& choice);
  void take_files(const std::vector<std::filesystem::path>& paths);

  std::optional<PreparedStore> store_;
  std::vector<Input> inputs_;
};

}  // namespace outsole::wear
