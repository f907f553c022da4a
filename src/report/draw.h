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

}  // namespace outsole::report
