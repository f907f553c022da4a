#include "retrieval/mark_features.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <numbers>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "core/checked.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/parallel.h"
#include "core/sha256.h"
#include "image/geometry.h"
#include "image/image.h"
#include "image/local_contrast.h"
#include "match/rotation.h"
#include "match/support.h"
#include "retrieval/exemplar_image.h"
#include "retrieval/turned_mark.h"

namespace outsole::retrieval {

TurnedMark turn(const ScaledMark& mark, std::int64_t angle) {
  const match::PoseGrid& grid = mark.grid;
  const auto place = [&](at::Tensor canvas, const at::Tensor& content) {
    canvas.slice(0, grid.mark_top_px(), grid.mark_top_px() + grid.mark_height_px)
        .slice(1, grid.mark_left_px(), grid.mark_left_px() + grid.mark_width_px)
        .copy_(content);
    return canvas;
  };
  const std::int64_t height = grid.canvas_height_px(), width = grid.canvas_width_px();
  const double angle_deg = grid.angles_deg[static_cast<std::size_t>(angle)];
  const bool is_mirrored = is_mirrored_at(mark, angle);
  const auto seen = [is_mirrored](const at::Tensor& content) { return is_mirrored ? content.flip({1}) : content; };
  return {match::rotate_image(place(at::full({height, width}, 255.0, at::kFloat), seen(mark.image)), angle_deg, 255.0f),
          match::rotate_mask(place(at::zeros({height, width}, at::kBool), seen(mark.support)), angle_deg)};
}

at::Tensor support_of_view(const at::Tensor& mask, const match::ViewOffset& offset,
                           const features::Extractor& extractor, const IndexParameters& index,
                           const SearchProtocol& protocol) {
  const at::Tensor seen = mask.slice(0, offset.offset_y_px).slice(1, offset.offset_x_px);
  const auto geometry = extractor.geometry();
  const at::Tensor cells =
      match::support_on_cells(seen, extractor.map_length(seen.size(0)), extractor.map_length(seen.size(1)),
                              geometry.stride_px, geometry.first_center_half_px);
  return protocol.as_they_lie ? cells : match::eroded(cells, erosion_radius(index, protocol));
}

namespace {

at::Tensor grey_tensor(const cv::Mat& grey) {
  return at::from_blob(grey.data, {grey.rows, grey.cols}, at::kFloat).clone();
}

at::Tensor mask_tensor(const cv::Mat& mask) {
  return at::from_blob(mask.data, {mask.rows, mask.cols}, at::kByte).to(at::kBool);
}

/// A mark of one grey is evidence of nothing, whatever features say of the paper around it. The file's own pixels
/// count: scaled ones take something of what lies beside the support.
void require_print(const std::filesystem::path& path, const image::DecodedImage& decoded) {
  const cv::Mat seen =
      decoded.support.empty() ? cv::Mat(decoded.grey.size(), CV_8UC1, 255.0) : cv::Mat(decoded.support != 0);
  if (cv::countNonZero(seen) == 0) return;  // which is told when the support is eroded
  double least = 0, most = 0;
  cv::minMaxLoc(decoded.grey, &least, &most, nullptr, nullptr, seen);
  if (least < most) return;
  throw DataError(path.string() + ": blank: nothing but one grey within its support, so there is nothing to compare");
}

/// Pixels an inch by a ruler that the picture shows.
double measured_dpi(const std::filesystem::path& path, const cv::Mat& picture, const MarkRuler& ruler) {
  const auto is_in = [&](double x, double y) {
    return x >= -0.5 && y >= -0.5 && x <= picture.cols - 0.5 && y <= picture.rows - 0.5;
  };
  if (!is_in(ruler.x0_px, ruler.y0_px) || !is_in(ruler.x1_px, ruler.y1_px)) {
    throw DataError(path.string() + ": has " + std::to_string(picture.rows) + " x " + std::to_string(picture.cols) +
                    " pixels (height x width), and a point of the ruler lies outside of them");
  }
  return ruler.dpi();
}

/// The support as the file has it; the mask beside it comes before what is transparent.
MarkSupport support_in_file(const std::filesystem::path& path, const image::DecodedImage& decoded) {
  MarkSupport support = {0, 0, decoded.grey.rows, decoded.grey.cols, 1, "", {}};
  if (decoded.support.empty()) return support;
  const cv::Rect box = cv::boundingRect(decoded.support);
  support.top_px = box.y;
  support.left_px = box.x;
  support.height_px = box.height;
  support.width_px = box.width;
  support.share = cv::countNonZero(decoded.support) / static_cast<double>(decoded.support.total());
  const auto mask = image::mask_path_of(path);
  support.mask_sha256 = mask.empty() ? decoded.source_sha256 : sha256_of_file(mask);
  cv::imencode(".png", decoded.support, support.mask_png, {cv::IMWRITE_PNG_BILEVEL, 1});
  return support;
}

/// What the file, or the protocol in its place, says of the mark.
ScaledMark described_mark(const std::filesystem::path& path, const image::DecodedImage& decoded,
                          const SearchProtocol& protocol) {
  ScaledMark mark;
  mark.id = id_of(path);
  mark.sha256 = decoded.source_sha256;
  mark.height_px = decoded.grey.rows;
  mark.width_px = decoded.grey.cols;
  mark.dpi = protocol.mark_ruler ? measured_dpi(path, decoded.grey, *protocol.mark_ruler)
                                 : protocol.mark_dpi.value_or(decoded.dpi);
  mark.in_file = support_in_file(path, decoded);
  return mark;
}

/// The size of the mark at the exemplars' resolution, for an image in memory.
cv::Size size_at(double factor, const ScaledMark& mark, const std::filesystem::path& path) {
  const auto length = [factor](std::int64_t px) {
    return std::max<std::int64_t>(1, std::llround(static_cast<double>(px) * factor));
  };
  const std::int64_t height_px = length(mark.height_px), width_px = length(mark.width_px);
  if (factor > 1 && height_px > image::DecodeLimits().max_pixels / width_px) {
    throw DataError(path.string() + ": at the exemplars' resolution it would have " + std::to_string(height_px) +
                    " x " + std::to_string(width_px) + " pixels (height x width); is its resolution right?");
  }
  return {narrow<int>(width_px), narrow<int>(height_px)};
}

/// The mark on the frame, as an exemplar of its size would lie there.
ScaledMark framed_mark(const std::filesystem::path& path, const image::DecodedImage& decoded,
                       const IndexParameters& index, const SearchProtocol& protocol) {
  ScaledMark mark = described_mark(path, decoded, protocol);
  mark.scale = factor_to_exemplars(mark.dpi, index.exemplar_dpi);
  const cv::Size size = size_at(mark.scale, mark, path);
  const std::int64_t left = exemplar_left_px(size.width, index.frame_width_px);
  if (size.height > index.frame_height_px || left < 0) {
    spdlog::warn("{}: larger than the exemplars' frame: only its first {} rows and middle {} columns are seen",
                 path.string(), index.frame_height_px, index.frame_width_px);
  }
  const auto on_frame = [&](const cv::Mat& image, double around) {
    return image::placed_on_canvas(image, index.frame_height_px, index.frame_width_px, 0, left, around);
  };
  const cv::Mat mask = decoded.support.empty() ? cv::Mat(decoded.grey.size(), CV_8UC1, 255.0) : decoded.support;
  const cv::Mat grey = image::resize_antialiased(image::to_float(decoded.grey), size.height, size.width);
  mark.image =
      grey_tensor(image::resize_to_grey_levels(on_frame(grey, 255), index.search_height_px, index.search_width_px));
  mark.support = mask_tensor(image::resize_mask(on_frame(image::resize_mask(mask, size.height, size.width), 0),
                                                index.search_height_px, index.search_width_px));
  mark.grid = {{0},
               index.geometry.stride_px,
               index.search_height_px,
               index.search_width_px,
               index.search_height_px,
               index.search_width_px};
  mark.first_mirrored = std::ssize(mark.grid.angles_deg);
  const auto to_search = [](double px, std::int64_t search, std::int64_t frame) {
    return (px + 0.5) * static_cast<double>(search) / static_cast<double>(frame) - 0.5;
  };
  const double height = size.height, width = size.width;
  mark.centre_y_px = to_search((height - 1) / 2, index.search_height_px, index.frame_height_px);
  mark.centre_x_px =
      to_search(static_cast<double>(left) + (width - 1) / 2, index.search_width_px, index.frame_width_px);
  return mark;
}

/// A view as bytes, for ranks on the same kind of machine.
std::string encode(const match::MarkView& view) {
  const std::int64_t numbers[] = {view.angle,
                                  view.offset.offset_y_px,
                                  view.offset.offset_x_px,
                                  view.offset.shifts_y,
                                  view.offset.shifts_x,
                                  view.offset.step_cells,
                                  view.origin_y,
                                  view.origin_x,
                                  view.features.size(0),
                                  view.features.size(1),
                                  view.features.size(2)};
  std::string bytes(reinterpret_cast<const char*>(numbers), sizeof numbers);
  bytes.append(static_cast<const char*>(view.features.data_ptr()), view.features.nbytes());
  bytes.append(static_cast<const char*>(view.support.data_ptr()), view.support.nbytes());
  return bytes;
}

match::MarkView decode(const char*& bytes) {
  const auto take = [&](void* to, std::size_t count) {
    std::memcpy(to, bytes, count);
    bytes += count;
  };
  std::int64_t n[11];
  take(n, sizeof n);
  match::MarkView view = {n[0],
                          {n[1], n[2], n[3], n[4], n[5]},
                          n[6],
                          n[7],
                          at::empty({n[8], n[9], n[10]}, at::kFloat),
                          at::empty({n[9], n[10]}, at::kBool)};
  take(view.features.data_ptr(), view.features.nbytes());
  take(view.support.data_ptr(), view.support.nbytes());
  return view;
}

}  // namespace

std::int64_t erosion_radius(const IndexParameters& index, const SearchProtocol& protocol) {
  if (protocol.as_they_lie) return index.border_cells;
  return match::erosion_radius_cells(index.map_height, index.map_width, protocol.erosion_fraction);
}

namespace {

bool is_shrunk_to_fit(const ScaledMark& mark, const IndexParameters& index, const SearchProtocol& protocol) {
  if (protocol.fit_frame != FitFrame::kAuto) return protocol.fit_frame == FitFrame::kYes;
  return mark.dpi == 0 || index.exemplar_dpi == 0;
}

void require_searchable(const std::filesystem::path& path, std::int64_t height_px, std::int64_t width_px,
                        const IndexParameters& index, const SearchProtocol& protocol) {
  const double most = most_of_frame(index, protocol);
  if (static_cast<double>(height_px) <= most * static_cast<double>(index.search_height_px) &&
      static_cast<double>(width_px) <= most * static_cast<double>(index.search_width_px)) {
    return;
  }
  const auto frames = [](std::int64_t px, std::int64_t frame_px) {
    return std::to_string(100 * px / frame_px) + "% of the ";
  };
  throw DataError(path.string() + ": larger than the exemplars at the scale it says: " +
                  frames(height_px, index.search_height_px) + "height and " + frames(width_px, index.search_width_px) +
                  "width of their frame; mask what is no print (NAME.mask.png), let more of it lie outside "
                  "(--overhang), or have it shrunk (--fit-frame yes)");
}

/// Rows and columns.
struct Extent {
  double y_px = 0, x_px = 0;
};

/// How much further than its box a support can move on the frame, to one side or the other, once it is turned by one of
/// the angles: by what its turned edges lie nearer to the centre than the box's. Angles at which too little of it fits
/// the frame do not count.
Extent room_once_turned(const at::Tensor& support, const IndexParameters& index, const SearchProtocol& protocol) {
  const auto counts = support.accessor<bool, 2>();
  const double half_y_px = static_cast<double>(support.size(0) - 1) / 2,
               half_x_px = static_cast<double>(support.size(1) - 1) / 2;
  std::vector<Extent> ends;  // of the rows, from the centre
  for (std::int64_t y = 0; y < support.size(0); ++y) {
    std::int64_t first = 0, last = support.size(1) - 1;
    while (first <= last && !counts[y][first]) ++first;
    while (last > first && !counts[y][last]) --last;
    if (first > last) continue;
    for (const std::int64_t x : {first, last}) {
      ends.push_back({static_cast<double>(y) - half_y_px, static_cast<double>(x) - half_x_px});
    }
  }
  Extent room;
  if (ends.empty()) return room;
  for (const double angle_deg : protocol.angles_deg) {
    const double angle = angle_deg * std::numbers::pi / 180, cos = std::cos(angle), sin = std::sin(angle);
    for (const double side : {1.0, -1.0}) {
      if (side < 0 && !protocol.mirrored) continue;
      Extent least = {half_y_px + half_x_px, half_y_px + half_x_px}, most = {-least.y_px, -least.x_px};
      for (const auto& [y, x] : ends) {
        const double turned_y = y * cos - side * x * sin, turned_x = side * x * cos + y * sin;
        least = {std::min(least.y_px, turned_y), std::min(least.x_px, turned_x)};
        most = {std::max(most.y_px, turned_y), std::max(most.x_px, turned_x)};
      }
      const auto fits = [&](double length_px, std::int64_t frame_px) {
        return (length_px + 1) * (1 - protocol.overhang) <= static_cast<double>(frame_px);
      };
      if (!fits(most.y_px - least.y_px, index.search_height_px) || !fits(most.x_px - least.x_px, index.search_width_px))
        continue;
      room.y_px = std::max({room.y_px, least.y_px + half_y_px, half_y_px - most.y_px});
      room.x_px = std::max({room.x_px, least.x_px + half_x_px, half_x_px - most.x_px});
    }
  }
  return room;
}

/// How far a mark of `length_px` may lie beyond the frame's edges so that every pose that the protocol allows is on the
/// grid, and maybe some more; in whole cells, so that the poses without overhang stay on the grid.
std::int64_t overhang_px(std::int64_t length_px, double room_px, std::int64_t frame_px, const IndexParameters& index,
                         const SearchProtocol& protocol) {
  constexpr double kRounding_px = 0.01;
  const double wanted_px =
      std::max({0.0, room_px - kRounding_px + std::ceil(protocol.overhang * static_cast<double>(length_px)),
                static_cast<double>(length_px - frame_px)});
  const std::int64_t step_px = std::max(index.geometry.stride_px, protocol.stride_px);
  return static_cast<std::int64_t>(std::ceil(wanted_px / static_cast<double>(step_px))) * step_px;
}

at::Tensor filtered(const at::Tensor& image, const at::Tensor& support, MarkFilter filter) {
  if (filter == MarkFilter::kNone) return image;
  const int height = narrow<int>(image.size(0)), width = narrow<int>(image.size(1));
  const at::Tensor grey = image.contiguous(), counts = support.to(at::kByte).contiguous();
  return grey_tensor(image::local_contrast(cv::Mat1f(height, width, grey.data_ptr<float>()),
                                           cv::Mat1b(height, width, counts.data_ptr<std::uint8_t>()),
                                           kLocalContrastPx));
}

/// The mark's support at the exemplars' resolution and the search scale, shrunk until it fits the frame if it is to be.
ScaledMark fitted_mark(const std::filesystem::path& path, const image::DecodedImage& decoded,
                       const IndexParameters& index, const SearchProtocol& protocol) {
  ScaledMark mark = described_mark(path, decoded, protocol);
  const MarkSupport& in_file = mark.in_file;
  const cv::Rect box(narrow<int>(in_file.left_px), narrow<int>(in_file.top_px), narrow<int>(in_file.width_px),
                     narrow<int>(in_file.height_px));
  const double height = box.height, width = box.width;
  const double to_exemplars = factor_to_exemplars(mark.dpi, index.exemplar_dpi);
  const double to_search = index.image_scale * to_exemplars;
  double shrink = 1;
  std::int64_t scaled_height = image::scaled_length_px(box.height, to_search);
  std::int64_t scaled_width = image::scaled_length_px(box.width, to_search);
  const bool is_larger = scaled_height > index.search_height_px || scaled_width > index.search_width_px;
  if (is_larger && is_shrunk_to_fit(mark, index, protocol)) {
    shrink = std::min(static_cast<double>(index.search_height_px) / static_cast<double>(scaled_height),
                      static_cast<double>(index.search_width_px) / static_cast<double>(scaled_width));
    scaled_height = std::clamp<std::int64_t>(std::llround(height * to_search * shrink), 1, index.search_height_px);
    scaled_width = std::clamp<std::int64_t>(std::llround(width * to_search * shrink), 1, index.search_width_px);
    spdlog::info("{}: larger than the exemplars' frame, shrunk to {:.1f}%", path.string(), 100 * shrink);
  }
  require_searchable(path, scaled_height, scaled_width, index, protocol);
  mark.scale = to_exemplars * shrink;
  const auto from_box_to_picture = [&](std::int64_t picture, std::int64_t first, std::int64_t length) {
    return mark.scale * (static_cast<double>(picture - length) / 2 - static_cast<double>(first));
  };
  mark.offset_y_px = from_box_to_picture(mark.height_px, in_file.top_px, in_file.height_px);
  mark.offset_x_px = from_box_to_picture(mark.width_px, in_file.left_px, in_file.width_px);
  mark.image =
      grey_tensor(image::resize_to_grey_levels(image::to_float(decoded.grey(box)), scaled_height, scaled_width));
  mark.support = decoded.support.empty()
                     ? at::ones({scaled_height, scaled_width}, at::kBool)
                     : mask_tensor(image::resize_mask(decoded.support(box), scaled_height, scaled_width));
  mark.image = filtered(mark.image, mark.support, protocol.mark_filter);
  // The published protocol turns a mark where its unturned box lies on the frame; that a mask leaves something else of
  // the box is no reason to keep it from where it fits.
  const bool is_box = mark.support.all().item<bool>();
  const Extent room = protocol.all_around || !is_box ? room_once_turned(mark.support, index, protocol) : Extent{0, 0};
  mark.grid = {protocol.angles_deg,
               protocol.stride_px,
               index.search_height_px,
               index.search_width_px,
               scaled_height,
               scaled_width,
               overhang_px(scaled_height, room.y_px, index.search_height_px, index, protocol),
               overhang_px(scaled_width, room.x_px, index.search_width_px, index, protocol)};
  mark.first_mirrored = std::ssize(mark.grid.angles_deg);
  if (protocol.mirrored) {
    mark.grid.angles_deg.insert(mark.grid.angles_deg.end(), protocol.angles_deg.begin(), protocol.angles_deg.end());
  }
  mark.centre_y_px = (static_cast<double>(mark.grid.canvas_height_px()) - 1) / 2;
  mark.centre_x_px = (static_cast<double>(mark.grid.canvas_width_px()) - 1) / 2;
  return mark;
}

}  // namespace

double MarkRuler::dpi() const {
  constexpr double kCmOfInch = 2.54;
  return std::hypot(x1_px - x0_px, y1_px - y0_px) / length_cm * kCmOfInch;
}

double most_of_frame(const IndexParameters& index, const SearchProtocol& protocol) {
  constexpr double kRoundedOrLooselyCut = 1.05;
  const bool are_all_shrunk =
      protocol.fit_frame == FitFrame::kYes || (protocol.fit_frame == FitFrame::kAuto && index.exemplar_dpi == 0);
  if (protocol.as_they_lie || are_all_shrunk) return 1;
  return std::max(kRoundedOrLooselyCut, 1 / (1 - protocol.overhang));
}

bool is_mirrored_at(const ScaledMark& mark, std::int64_t angle) { return angle >= mark.first_mirrored; }

CentreOffset centre_offset(const ScaledMark& mark, std::int64_t angle) {
  const double turn = mark.grid.angles_deg[static_cast<std::size_t>(angle)] * std::numbers::pi / 180;
  const double cos = std::cos(turn), sin = std::sin(turn);
  const double x_px = is_mirrored_at(mark, angle) ? 0 - mark.offset_x_px : mark.offset_x_px;
  return {mark.offset_y_px * cos - x_px * sin, x_px * cos + mark.offset_y_px * sin};
}

double factor_to_exemplars(double mark_dpi, double exemplar_dpi) {
  const bool are_known = mark_dpi > 0 && exemplar_dpi > 0;
  return are_known && !is_same_dpi(mark_dpi, exemplar_dpi) ? exemplar_dpi / mark_dpi : 1;
}

ScaledMark read_scaled_mark(const std::filesystem::path& path, const IndexParameters& index,
                            const SearchProtocol& protocol) {
  const image::DecodedImage decoded = image::read_mark(path);
  require_print(path, decoded);
  return protocol.as_they_lie ? framed_mark(path, decoded, index, protocol)
                              : fitted_mark(path, decoded, index, protocol);
}

std::vector<ViewTask> view_tasks(const ScaledMark& mark, std::int64_t cell_px) {
  std::vector<ViewTask> tasks;
  for (std::size_t angle = 0; angle < mark.grid.angles_deg.size(); ++angle) {
    for (const match::ViewOffset& offset : match::view_offsets(mark.grid, cell_px)) {
      tasks.push_back({static_cast<std::int64_t>(angle), offset});
    }
  }
  return tasks;
}

std::vector<match::MarkView> make_views(const ScaledMark& mark, std::span<const ViewTask> tasks,
                                        const features::Extractor& extractor, const IndexParameters& index,
                                        const SearchProtocol& protocol, at::Device device) {
  std::map<std::int64_t, TurnedMark> turned;
  for (const ViewTask& task : tasks) {
    if (!turned.contains(task.angle)) turned.emplace(task.angle, turn(mark, task.angle));
  }
  std::vector<match::MarkView> views(tasks.size());
  const auto make_view = [&](std::size_t i) {
    const ViewTask& task = tasks[i];
    const TurnedMark& seen = turned.at(task.angle);
    const at::Tensor image =
        seen.image.slice(0, task.offset.offset_y_px).slice(1, task.offset.offset_x_px).contiguous();
    const at::Tensor maps = extractor.extract(image.unsqueeze(0).to(device))[0].to(at::kCPU);
    views[i] = match::make_mark_view(task.angle, task.offset, maps,
                                     support_of_view(seen.support, task.offset, extractor, index, protocol));
  };
  // An extractor runs one image in one thread, so on the CPU the views share out the threads.
  for_each_on_threads(tasks.size(), make_view, device.is_cpu());
  return views;
}

namespace {

/// Cells of a support, whose first one is cell (origin_y, origin_x) of the canvas's map, that lie on the frame at each
/// shift, `margin` cells from its edge or more: [shifts_y, shifts_x] float64.
at::Tensor cells_on_frame(const at::Tensor& support, std::int64_t origin_y, std::int64_t origin_x,
                          const match::ViewOffset& offset, const IndexParameters& index, std::int64_t margin) {
  const at::Tensor sums = at::constant_pad_nd(support.to(at::kDouble).cumsum(0).cumsum(1), {1, 0, 1, 0});
  const auto prefix = sums.accessor<double, 2>();
  at::Tensor cells = at::zeros({offset.shifts_y, offset.shifts_x}, at::kDouble);
  auto of_shift = cells.accessor<double, 2>();
  const auto begin = [&](std::int64_t shift, std::int64_t origin, std::int64_t length) {
    return std::clamp<std::int64_t>(shift * offset.step_cells + margin - origin, 0, length);
  };
  const auto end = [&](std::int64_t shift, std::int64_t origin, std::int64_t length, std::int64_t map_length) {
    return std::clamp<std::int64_t>(shift * offset.step_cells + map_length - margin - origin, 0, length);
  };
  for (std::int64_t i = 0; i < offset.shifts_y; ++i) {
    const std::int64_t y0 = begin(i, origin_y, support.size(0));
    const std::int64_t y1 = end(i, origin_y, support.size(0), index.map_height);
    for (std::int64_t j = 0; j < offset.shifts_x; ++j) {
      const std::int64_t x0 = begin(j, origin_x, support.size(1));
      const std::int64_t x1 = end(j, origin_x, support.size(1), index.map_width);
      if (y0 >= y1 || x0 >= x1) continue;
      of_shift[i][j] = prefix[y1][x1] - prefix[y0][x1] - prefix[y1][x0] + prefix[y0][x0];
    }
  }
  return cells;
}

/// Along one axis: whether a shift would be one without overhang, or, where the mark is longer than the frame, whether
/// the frame lies within it.
at::Tensor is_without_overhang(std::int64_t offset_px, std::int64_t shifts, std::int64_t step_px, std::int64_t pad_px,
                               std::int64_t overhang_px) {
  const at::Tensor px = offset_px + at::arange(shifts, at::kLong) * step_px;
  const std::int64_t begin_px = std::min(overhang_px, pad_px - overhang_px);
  return (px >= begin_px).logical_and(px <= pad_px - begin_px);
}

bool allows_overhang(const match::PoseGrid& grid) { return grid.overhang_y_px > 0 || grid.overhang_x_px > 0; }

/// The shifts of a view that are poses: [shifts_y, shifts_x] bool.
at::Tensor poses_of(const at::Tensor& support, std::int64_t origin_y, std::int64_t origin_x,
                    const match::ViewOffset& offset, const match::PoseGrid& grid, const IndexParameters& index,
                    const SearchProtocol& protocol) {
  const at::Tensor cells = cells_on_frame(support, origin_y, origin_x, offset, index, erosion_radius(index, protocol));
  const auto all = support.sum().item<double>();
  const std::int64_t step_px = offset.step_cells * index.geometry.stride_px;
  const at::Tensor rows =
      is_without_overhang(offset.offset_y_px, offset.shifts_y, step_px, grid.pad_y_px(), grid.overhang_y_px);
  const at::Tensor columns =
      is_without_overhang(offset.offset_x_px, offset.shifts_x, step_px, grid.pad_x_px(), grid.overhang_x_px);
  constexpr double kRounding = 1e-6;  // of a cell
  return (cells >= (1 - protocol.overhang) * all - kRounding)
      .logical_or(rows.unsqueeze(1).logical_and(columns.unsqueeze(0)));
}

}  // namespace

void choose_poses(std::span<match::MarkView> views, const match::PoseGrid& grid, const IndexParameters& index,
                  const SearchProtocol& protocol) {
  if (!allows_overhang(grid)) return;
  for (match::MarkView& view : views) {
    if (view.support.numel() == 0) continue;
    view.is_pose = poses_of(view.support, view.origin_y, view.origin_x, view.offset, grid, index, protocol);
  }
}

std::vector<match::MarkView> share_views(const comm::Communicator& comm, std::vector<match::MarkView> own) {
  if (comm.size() == 1) return own;
  std::string bytes;
  for (const match::MarkView& view : own) bytes += encode(view);
  std::vector<match::MarkView> views;
  const std::vector<char> all = comm.all_gatherv(std::span<const char>(bytes)).values;
  for (const char* position = all.data(); position < all.data() + all.size();) views.push_back(decode(position));
  return views;
}

namespace {

/// Of one channel over the support: its standard deviation.
double deviation_over(const at::Tensor& support, const float* features) {
  const bool* is_support = support.data_ptr<bool>();
  const std::int64_t size = support.numel();
  double cells = 0, sum = 0, squares = 0;
  for (std::int64_t i = 0; i < size; ++i) {
    if (!is_support[i]) continue;
    cells += 1;
    sum += features[i];
  }
  if (cells == 0) return 0;
  for (std::int64_t i = 0; i < size; ++i) {
    if (is_support[i]) squares += (features[i] - sum / cells) * (features[i] - sum / cells);
  }
  return std::sqrt(squares / cells);
}

}  // namespace

bool has_contrast(std::span<const match::MarkView> views, const match::ChannelModel& channels) {
  const at::Tensor flat_std = channels.flat_std.to(at::kCPU, at::kFloat).contiguous();
  for (const match::MarkView& view : views) {
    const at::Tensor features = view.features.contiguous(), support = view.support.contiguous();
    for (std::int64_t c = 0; c < features.size(0); ++c) {
      const float* channel = features.data_ptr<float>() + c * support.numel();
      if (deviation_over(support, channel) > static_cast<double>(flat_std.data_ptr<float>()[c])) return true;
    }
  }
  return false;
}

namespace {

/// Whether a first pass tries an angle: every second one is left out, unless it stands far from its neighbours.
bool is_coarse(const std::vector<double>& angles_deg, std::size_t angle) {
  constexpr double kNear_deg = 5;
  if (angle % 2 == 0 || angle + 1 == angles_deg.size()) return true;
  return std::abs(angles_deg[angle] - angles_deg[angle - 1]) > kNear_deg ||
         std::abs(angles_deg[angle + 1] - angles_deg[angle]) > kNear_deg;
}

}  // namespace

match::PoseGrid coarse_grid(match::PoseGrid grid, std::int64_t cell_px) {
  std::vector<double> angles_deg;
  for (std::size_t i = 0; i < grid.angles_deg.size(); ++i) {
    if (is_coarse(grid.angles_deg, i)) angles_deg.push_back(grid.angles_deg[i]);
  }
  grid.angles_deg = std::move(angles_deg);
  grid.stride_px = grid.stride_px < cell_px ? cell_px : 2 * grid.stride_px;
  return grid;
}

std::vector<match::MarkView> coarse_views(std::span<const match::MarkView> views, const match::PoseGrid& grid,
                                          std::int64_t cell_px) {
  const match::ViewOffset whole_cells = match::view_offsets(coarse_grid(grid, cell_px), cell_px).front();
  std::vector<match::MarkView> coarse;
  for (const match::MarkView& view : views) {
    if (!is_coarse(grid.angles_deg, static_cast<std::size_t>(view.angle))) continue;
    if (view.offset.offset_y_px != 0 || view.offset.offset_x_px != 0) continue;
    coarse.push_back(view);
    coarse.back().offset = whole_cells;
  }
  return coarse;
}

double useful_flops_per_exemplar(const ScaledMark& mark, const features::Extractor& extractor,
                                 const IndexParameters& index, const SearchProtocol& protocol) {
  double cells = 0;
  at::Tensor mask;
  std::int64_t turned_angle = -1;
  for (const ViewTask& task : view_tasks(mark, index.geometry.stride_px)) {
    if (task.angle != turned_angle) mask = turn(mark, task.angle).support;
    turned_angle = task.angle;
    const at::Tensor support = support_of_view(mask, task.offset, extractor, index, protocol);
    at::Tensor on_frame = cells_on_frame(support, 0, 0, task.offset, index, index.border_cells);
    if (allows_overhang(mark.grid)) {
      on_frame = on_frame * poses_of(support, 0, 0, task.offset, mark.grid, index, protocol);
    }
    cells += on_frame.sum().item<double>();
  }
  return 2.0 * static_cast<double>(index.geometry.channels) * cells;
}

}  // namespace outsole::retrieval
