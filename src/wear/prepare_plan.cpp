#include "wear/prepare_plan.h"

#include <spdlog/fmt/fmt.h>

#include "core/progress.h"

namespace outsole::wear {

machine::Plan prepare_plan(const comm::Communicator& comm, const PrepareOptions& options) {
  constexpr double kSecondsAPixel = 7e-8;  // of the scan, one thread: 5 s for 13750 x 5500
  const PrepareFacts facts = prepare_facts(comm, options);
  const auto prepared_pixels = static_cast<double>(facts.scans * facts.height_px * facts.width_px);
  const double scanned_pixels = prepared_pixels / (facts.scale * facts.scale);
  const double prepared_bytes = 2 * prepared_pixels;  // with the supports, before compression
  machine::Plan plan;
  plan.lines = {{"scans", fmt::format("{} of {} outsoles, {:.0f} dpi", facts.scans, facts.shoes, facts.dpi)},
                {"prepared", fmt::format("{} x {} pixels, {:.1f} dpi, {} before compression", facts.height_px,
                                         facts.width_px, facts.dpi * facts.scale, format_bytes(prepared_bytes))},
                {"partition", fmt::format("{} units on {} ranks", facts.units, comm.size())}};
  plan.work.partitions = {{"units", facts.units}};
  plan.work.compute_s = scanned_pixels * kSecondsAPixel;
  plan.work.read_bytes = scanned_pixels;  // a byte each, before compression
  plan.work.written_bytes = prepared_bytes;
  plan.work.memory_bytes = static_cast<double>(options.memory_bytes);
  plan.basis = fmt::format("at {:.0f} million pixels of scans a second and rank", 1e-6 / kSecondsAPixel);
  return plan;
}

}  // namespace outsole::wear
