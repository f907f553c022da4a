#pragma once
// The images that a wear model is asked about: image files, or the scans of a prepared store.

#include <cstdint>
#include <filesystem>
#include <opencv2/core.hpp>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "core/input_files.h"
#include "wear/prepared.h"

namespace outsole::wear {

/// `image` as large as fits into `size` without changing its shape, in the middle of paper (255): area-averaged where
/// it is reduced, bicubic where it is enlarged.
cv::Mat1b fitted_on_paper(const cv::Mat1b& image, cv::Size size);

class WearInputs {
 public:
  /// Which scans of a store are taken; those that lie in no frame (flagged) never are. Of images, whether those of
  /// folders below are.
  struct Choice {
    std::vector<std::string> ids;  // empty: all
    std::vector<double> weeks;     // of the scans, of each shoe the nearest within a fortnight; empty: all
    bool recursive = false;
  };

  /// `paths` is one prepared store (NAME.h5), or images and folders of images. Rank 0 lists and opens them for all.
  /// Throws on every rank: UsageError when a choice names no scan or is made of image files; DataError for a damaged
  /// store, a missing path, two files of one id, or an id that a store cannot hold. Collective.
  WearInputs(const comm::Communicator& comm, const std::vector<std::filesystem::path>& paths, const Choice& choice);

  std::int64_t size() const { return static_cast<std::int64_t>(inputs_.size()); }
  /// What lies among the image files besides. On rank 0.
  const std::vector<NotRead>& not_read() const { return not_read_; }
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
  std::optional<PreparedStore> store_;
  std::vector<Input> inputs_;
  std::vector<NotRead> not_read_;
};

}  // namespace outsole::wear
