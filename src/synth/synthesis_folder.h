#pragma once
// Folders of synthetic images with ground truth: written in parallel, completed after an interruption.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "comm/communicator.h"

namespace outsole::synth {

/// One folder of synthetic images: its parameters are written first, its manifest last.
class SynthesisFolder {
 public:
  SynthesisFolder(std::filesystem::path folder, const nlohmann::json& parameters);

  /// Creates the folder and those of `subfolders` in it, or takes up the one that the same command began. True when
  /// there is nothing left to do. Collective; throws UsageError for a folder with other content.
  bool begin_together(const comm::Communicator& comm, const std::vector<std::string>& subfolders = {}) const;

 private:
  void begin(const std::vector<std::string>& subfolders) const;

  std::filesystem::path folder_;
  std::string parameters_;
};

/// The rows that describe one image, by table.
using TableRows = std::vector<std::string>;

/// Calls make(i) for this rank's share of the images 0..count-1, a stretch without gaps, in order, and brings the rows
/// of all to rank 0 (others get none). Collective; throws StopRequested after a signal, and what `make` throws.
std::vector<TableRows> make_images(const comm::Communicator& comm, std::int64_t count,
                                   const std::function<TableRows(std::int64_t)>& make);

/// The rows of table number `table` of all images below `header`; empty rows are left out.
std::string csv_of(const std::string& header, const std::vector<TableRows>& images, std::size_t table);

/// `prefix` and the number index + 1 in five digits.
std::string numbered(const char* prefix, std::int64_t index);

/// With six decimals.
std::string decimal(double value);

/// Throws UsageError when `count` is not in 1..99999, which five digits can number.
void check_count(std::int64_t count);

}  // namespace outsole::synth
