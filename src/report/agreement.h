#pragma once
// How well scans of one outsole agree, before and after their preparation.

#include <filesystem>
#include <opencv2/core.hpp>
#include <string>
#include <vector>

namespace outsole::report {

/// Two scans of one shoe. Correlations are normalized, over the area that both show, at about 2 pixels a millimetre.
struct ScanPair {
  std::string shoe;
  std::string first, second;
  double weeks_apart = 0;  // 0: replicates of one visit
  double before = 0;       // both as they lay in the scanner, windows middle on middle
  double after = 0;
};

/// Every pair of scans of every shoe of a prepared store but those with a flag. The scans of one shoe are in memory at
/// a time, reduced. Throws DataError when a scan is missing from `scans`. Any one rank.
std::vector<ScanPair> scan_agreement(const std::filesystem::path& scans, const std::filesystem::path& prepared);

/// The pairs as CSV: shoe,first,second,weeks_apart,before,after.
std::string agreement_csv(const std::vector<ScanPair>& pairs);

/// A picture: a row a shoe, each pair a dot at its correlation, grey before and blue (replicates) or orange (between
/// visits) after.
cv::Mat3b agreement_picture(const std::vector<ScanPair>& pairs);

}  // namespace outsole::report
