#pragma once
// What the examiner looks at first: a mark beside its best candidates, the mark laid on each at the pose that was
// found.

#include <cstdint>
#include <filesystem>
#include <opencv2/core.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "image/pose.h"
#include "retrieval/labels.h"

namespace outsole::report {

/// One exemplar of a mark's list.
struct Candidate {
  cv::Mat1b exemplar;
  std::string id;
  std::int64_t rank = 0;
  double score = 0;
  image::MarkPose pose;
  bool is_true = false;
};

/// A colour picture (CV_8UC3, BGR): the mark at the left, then each candidate in the order given with the mark's ink
/// laid on in red and its frame outlined, or, with a `support` (white counts), the ink in that and its edges; rank, id
/// and score below; the true exemplar is framed green. `note` stands under the mark's id, and below that its resolution
/// (0: not known) and what it was scaled by, if it was. Exemplars are drawn at one height. Characters other than
/// printable ASCII appear as '?'.
cv::Mat3b candidates_picture(const cv::Mat1b& mark, const std::string& mark_id, const std::string& note,
                             std::span<const Candidate> candidates, double mark_dpi = 0, const cv::Mat1b& support = {});

/// "200 dpi, scale 0.5": what of it is known, or other than 1.
std::string scale_note(double mark_dpi, double scale);

struct CandidatePicturesOptions {
  std::filesystem::path results;             // search results
  std::filesystem::path exemplars;           // the exemplar store that was indexed
  std::vector<std::filesystem::path> marks;  // images or folders: the marks that were searched
  std::filesystem::path output;              // folder: one PNG a mark, named by its id
  std::int64_t candidates = 8;
  std::optional<retrieval::Labels> labels;  // of the true exemplars, where they are known
};

/// Writes the picture of every mark, with labels of every labelled one. One rank calls it. Marks and exemplars are
/// found by id; throws DataError for one that is missing, and for a mark whose file is not the one that was searched.
void write_candidate_pictures(const CandidatePicturesOptions& options);

}  // namespace outsole::report
