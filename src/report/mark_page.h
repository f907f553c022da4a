#pragma once
// The page of one mark, and the pictures that it shows.

#include <cstdint>
#include <filesystem>

#include "report/page_inputs.h"

namespace outsole::report {

/// Writes pictures/NAME/ of the mark and then, last, marks/NAME.html. What cannot be shown is said on the page; with
/// `strict` it throws DataError. Any rank; computes on one thread, so that bytes do not depend on how many there are.
void write_mark_page(const PageInputs& inputs, std::int64_t row, const std::filesystem::path& folder);

/// Writes exemplars/NAME-thumb.jpg and then NAME.png of an exemplar by its position in the lists.
void write_exemplar_pictures(const PageInputs& inputs, std::int64_t exemplar, const std::filesystem::path& folder);

/// The affine map from a mark's pixels to an exemplar's as SVG writes it, where pixels have edges at whole numbers.
std::string svg_matrix(const cv::Matx23d& of_pixel_centres);

/// The outline of the cells of a support [H, W] bool as an SVG path, a cell having sides of 1.
std::string outline_of(const at::Tensor& support);

}  // namespace outsole::report
