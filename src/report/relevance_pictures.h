#pragma once
// Which parts of a mark and of an exemplar make them alike, as pictures.

#include <cstdint>
#include <filesystem>
#include <opencv2/core.hpp>
#include <optional>
#include <string>
#include <vector>

#include "retrieval/labels.h"
#include "retrieval/relevance.h"

namespace outsole::report {

struct RelevancePicturesOptions {
  std::filesystem::path results;             // search results
  std::filesystem::path exemplars;           // the exemplar store that was indexed
  std::filesystem::path index;               // the index that was searched
  std::string weights_path;                  // of its extractor, if it has weights
  std::vector<std::filesystem::path> marks;  // images or folders: the marks that were searched
  std::filesystem::path output;              // folder
  std::optional<retrieval::Labels> labels;   // of the true exemplars, where they are known
  double share = 0.2;                        // of the pixels under the mark that is shown as relevant
};

/// What makes a mark and an exemplar alike, on both, each on the exemplars' frame and twice as large (CV_8UC3, BGR).
struct RelevancePictures {
  cv::Mat3b mark, exemplar;
};

/// The `share` of the pixels under the mark whose change would change most what the features agree on stand out.
RelevancePictures relevance_pictures(const retrieval::PosedPair& pair, const retrieval::OpenIndex& index,
                                     const match::Similarity& similarity, double share);

/// Writes four pictures of every mark with its first true exemplar that its list names, without labels with its first
/// candidate, at the pose that was found: by plain correlation and by MCNCC, the fifth of the pixels under the mark
/// whose change would change most what the features of both agree on, on the mark (turned) and on the exemplar
/// (mirrored where it was), both on the exemplars' frame. Their names: MARK.EXEMPLAR.none,none.mark.png and so on.
/// Returns how many pairs there were. One rank calls it. Throws DataError for files that are not those of the search,
/// UsageError for results of another index.
std::int64_t write_relevance_pictures(const RelevancePicturesOptions& options);

}  // namespace outsole::report
