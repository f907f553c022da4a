#pragma once
// Small things that several pictures draw.

#include <opencv2/core.hpp>
#include <string>

namespace outsole::report {

inline const cv::Scalar kText(40, 40, 40), kEdge(190, 190, 190);  // colours on white paper

/// At most `limit` characters; those other than printable ASCII appear as '?'.
std::string printable(const std::string& text, std::size_t limit);

/// One line of text whose baseline begins at (x, y).
void put_text(cv::Mat3b& picture, const std::string& text, int x, int y, const cv::Scalar& colour, double size = 0.45);

/// A mark's ink, 0 (none) to 255: the darker tone, or the lighter one where most of the mark is dark. Tones near the
/// paper's count as none, or the whole frame would be tinted; and so does what lies outside of the support, if there is
/// one.
cv::Mat1b ink_of(const cv::Mat1b& mark, const cv::Mat1b& support);

}  // namespace outsole::report
