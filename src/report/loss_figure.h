#pragma once
// How the loss of a training fell: a self-contained SVG.

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace outsole::report {

/// One line of a training's history.csv.
struct LossPoint {
  double epoch = 0;
  double loss = 0;
  std::optional<double> held_out_loss;  // where it was measured
  std::string size;                     // of the images, where the training went through several
};

/// Reads the columns epoch, loss and held_out_loss, and size if there is one. Throws DataError naming file and line for
/// what is no number.
std::vector<LossPoint> read_losses(const std::filesystem::path& history);

/// SVG text: both losses over the epochs, the losses on a logarithmic axis; where the size changes, a line. Throws Bug
/// without points.
std::string loss_figure(std::span<const LossPoint> points, const std::string& title);

}  // namespace outsole::report
