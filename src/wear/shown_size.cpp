#include "wear/shown_size.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/checked.h"
#include "core/errors.h"

namespace outsole::wear {

namespace {

/// How much of the stored pixel `stored` the shown pixel `shown` covers, along one side of `stored_px` pixels shown as
/// `shown_px`: in units of which a stored pixel has shown_px and a shown one stored_px.
std::int64_t overlap(std::int64_t shown, std::int64_t stored, std::int64_t stored_px, std::int64_t shown_px) {
  return std::min((shown + 1) * stored_px, (stored + 1) * shown_px) - std::max(shown * stored_px, stored * shown_px);
}

/// Of the stored pixels of a column, or of an area.
struct Sums {
  std::int64_t known = 0, grey = 0;  // areas; areas times grey
};

/// Adds a stored row to the sums of its columns.
void add_row(std::int64_t weight, std::span<const std::uint8_t> grey, std::span<const std::uint8_t> known,
             std::vector<Sums>& columns) {
  for (std::size_t x = 0; x < columns.size(); ++x) {
    const std::int64_t seen = known[x] == 0 ? 0 : weight;
    columns[x].known += seen;
    columns[x].grey += seen * grey[x];
  }
}

}  // namespace

std::string name_of(ShownSize size) { return std::to_string(size.height_px) + "x" + std::to_string(size.width_px); }

void require_reducible(ShownSize stored, ShownSize size, const std::string& scans) {
  constexpr double kSameShape = 0.02;
  if (size.height_px > stored.height_px || size.width_px > stored.width_px) {
    throw UsageError(scans + ": its scans of " + name_of(stored) + " pixels cannot be shown at " + name_of(size) +
                     "; prepare them by --size " + name_of(size) + " or larger");
  }
  const double shape = static_cast<double>(size.height_px) * static_cast<double>(stored.width_px) /
                       (static_cast<double>(size.width_px) * static_cast<double>(stored.height_px));
  if (std::abs(shape - 1) <= kSameShape) return;
  const ShownSize alike{size.height_px, std::max<std::int64_t>(1, size.height_px * stored.width_px / stored.height_px)};
  throw UsageError(scans + ": its scans of " + name_of(stored) + " pixels have another shape than " + name_of(size) +
                   "; " + name_of(alike) + " has theirs");
}

comm::UnitRange covered_rows(comm::UnitRange shown, std::int64_t stored_px, std::int64_t shown_px) {
  if (shown.size() <= 0) return {};
  return {shown.begin * stored_px / shown_px, divide_up(shown.end * stored_px, shown_px)};
}

void reduce_rows(ShownSize stored_size, ShownSize shown_size, comm::UnitRange shown, std::span<const std::uint8_t> grey,
                 std::span<const std::uint8_t> known, std::span<std::uint8_t> shown_grey,
                 std::span<std::uint8_t> shown_known) {
  const comm::UnitRange covered = covered_rows(shown, stored_size.height_px, shown_size.height_px);
  const auto stored_width = static_cast<std::size_t>(stored_size.width_px);
  const auto shown_width = static_cast<std::size_t>(shown_size.width_px);
  ensure(shown_size.height_px <= stored_size.height_px && shown_width <= stored_width, "images are only reduced");
  ensure(grey.size() == static_cast<std::size_t>(covered.size()) * stored_width && known.size() == grey.size(),
         "the rows that are covered");
  ensure(shown_grey.size() == static_cast<std::size_t>(shown.size()) * shown_width &&
             shown_known.size() == shown_grey.size(),
         "room for the rows that are shown");
  const std::int64_t area = stored_size.height_px * stored_size.width_px;
  std::vector<Sums> columns(stored_width);
  std::size_t to = 0;
  for (std::int64_t y = shown.begin; y < shown.end; ++y) {
    std::ranges::fill(columns, Sums());
    const comm::UnitRange rows = covered_rows({y, y + 1}, stored_size.height_px, shown_size.height_px);
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      const std::size_t from = static_cast<std::size_t>(row - covered.begin) * stored_width;
      add_row(overlap(y, row, stored_size.height_px, shown_size.height_px), grey.subspan(from, stored_width),
              known.subspan(from, stored_width), columns);
    }
    for (std::int64_t x = 0; x < shown_size.width_px; ++x, ++to) {
      Sums sums;
      const comm::UnitRange under = covered_rows({x, x + 1}, stored_size.width_px, shown_size.width_px);
      for (std::int64_t column = under.begin; column < under.end; ++column) {
        const std::int64_t weight = overlap(x, column, stored_size.width_px, shown_size.width_px);
        sums.known += weight * columns[static_cast<std::size_t>(column)].known;
        sums.grey += weight * columns[static_cast<std::size_t>(column)].grey;
      }
      const bool is_known = 2 * sums.known >= area;
      shown_known[to] = is_known ? 255 : 0;
      shown_grey[to] =
          is_known ? static_cast<std::uint8_t>((2 * sums.grey + sums.known) / (2 * sums.known)) : std::uint8_t{255};
    }
  }
}

}  // namespace outsole::wear
