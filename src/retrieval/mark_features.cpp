#include "retrieval/mark_features.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "core/checked.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/parallel.h"
#include "image/geometry.h"
#include "image/image.h"
#include "match/rotation.h"
#include "match/support.h"
#include "retrieval/exemplar_image.h"
#include "retrieval/turned_mark.h"

namespace outsole::retrieval {

TurnedMark turn(const ScaledMark& mark, std::int64_t angle) {
  const match::PoseGrid& grid = mark.grid;
  const auto place = [&](at::Tensor canvas, const at::Tensor& content) {
    canvas.slice(0, grid.pad_y_px(), grid.pad_y_px() + grid.mark_height_px)
        .slice(1, grid.pad_x_px(), grid.pad_x_px() + grid.mark_width_px)
        .copy_(content);
    return canvas;
  };
  const std::int64_t height = grid.canvas_height_px(), width = grid.canvas_width_px();
  const double angle_deg = grid.angles_deg[static_cast<std::size_t>(angle)];
  return {match::rotate_image(place(at::full({height, width}, 255.0, at::kFloat), mark.image), angle_deg, 255.0f),
          match::rotate_mask(place(at::zeros({height, width}, at::kBool), mark.support), angle_deg)};
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

/// What the file, or the protocol in its place, says of the mark.
ScaledMark described_mark(const std::filesystem::path& path, const image::DecodedImage& decoded,
                          const SearchProtocol& protocol) {
  ScaledMark mark;
  mark.id = id_of(path);
  mark.sha256 = decoded.source_sha256;
  mark.height_px = decoded.grey.rows;
  mark.width_px = decoded.grey.cols;
  mark.dpi = protocol.mark_dpi.value_or(decoded.dpi);
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

/// The mark at the exemplars' resolution and the search scale, shrunk until it fits the frame.
ScaledMark fitted_mark(const std::filesystem::path& path, const image::DecodedImage& decoded,
                       const IndexParameters& index, const SearchProtocol& protocol) {
  ScaledMark mark = described_mark(path, decoded, protocol);
  const double height = decoded.grey.rows, width = decoded.grey.cols;
  const double to_exemplars = factor_to_exemplars(mark.dpi, index.exemplar_dpi);
  const double to_search = index.image_scale * to_exemplars;
  double shrink = 1;
  std::int64_t scaled_height = image::scaled_length_px(decoded.grey.rows, to_search);
  std::int64_t scaled_width = image::scaled_length_px(decoded.grey.cols, to_search);
  if (scaled_height > index.search_height_px || scaled_width > index.search_width_px) {
    shrink = std::min(static_cast<double>(index.search_height_px) / static_cast<double>(scaled_height),
                      static_cast<double>(index.search_width_px) / static_cast<double>(scaled_width));
    scaled_height = std::clamp<std::int64_t>(std::llround(height * to_search * shrink), 1, index.search_height_px);
    scaled_width = std::clamp<std::int64_t>(std::llround(width * to_search * shrink), 1, index.search_width_px);
    spdlog::info("{}: larger than the exemplars' frame, shrunk to {:.1f}%", path.string(), 100 * shrink);
  }
  mark.scale = to_exemplars * shrink;
  mark.image = grey_tensor(image::resize_to_grey_levels(image::to_float(decoded.grey), scaled_height, scaled_width));
  mark.support = decoded.support.empty()
                     ? at::ones({scaled_height, scaled_width}, at::kBool)
                     : mask_tensor(image::resize_mask(decoded.support, scaled_height, scaled_width));
  mark.grid = {protocol.angles_deg,   protocol.stride_px, index.search_height_px,
               index.search_width_px, scaled_height,      scaled_width};
  mark.centre_y_px = (static_cast<double>(mark.grid.canvas_height_px()) - 1) / 2;
  mark.centre_x_px = (static_cast<double>(mark.grid.canvas_width_px()) - 1) / 2;
  return mark;
}

}  // namespace

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
    // Prefix sums of the support give the cells inside the frame at every shift.
    const at::Tensor sums = at::constant_pad_nd(support.to(at::kDouble).cumsum(0).cumsum(1), {1, 0, 1, 0});
    const auto prefix = sums.accessor<double, 2>();
    const std::int64_t border = index.border_cells;
    for (std::int64_t i = 0; i < task.offset.shifts_y; ++i) {
      const std::int64_t y0 = i * task.offset.step_cells + border;
      const std::int64_t y1 = std::min(y0 + index.map_height - 2 * border, support.size(0));
      for (std::int64_t j = 0; j < task.offset.shifts_x; ++j) {
        const std::int64_t x0 = j * task.offset.step_cells + border;
        const std::int64_t x1 = std::min(x0 + index.map_width - 2 * border, support.size(1));
        if (y0 < y1 && x0 < x1) cells += prefix[y1][x1] - prefix[y0][x1] - prefix[y1][x0] + prefix[y0][x0];
      }
    }
  }
  return 2.0 * static_cast<double>(index.geometry.channels) * cells;
}

}  // namespace outsole::retrieval
