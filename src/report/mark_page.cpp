#include "report/mark_page.h"

#include <spdlog/fmt/fmt.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>

#include "core/errors.h"
#include "core/files.h"
#include "image/geometry.h"
#include "image/image.h"
#include "image/pose.h"
#include "machine/one_thread.h"
#include "report/draw.h"
#include "report/page_text.h"
#include "report/relevance_pictures.h"
#include "report/score_context.h"
#include "retrieval/exemplar_image.h"
#include "retrieval/relevance.h"

namespace outsole::report {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr int kThumbHeight_px = 104, kThumbWidth_px = 224;
constexpr std::int64_t kBins = 48;
constexpr double kBarsHeight = 96, kBinWidth = 10;  // of the histogram, as mark.html draws it

// --- Pictures -------------------------------------------------------------------------------------------------------

cv::Size fitted(cv::Size size, double height_px, double width_px) {
  const double factor = std::min({1.0, height_px / size.height, width_px / size.width});
  const auto length = [factor](int px) { return std::max(1, static_cast<int>(std::lround(factor * px))); };
  return {length(size.width), length(size.height)};
}

cv::Mat reduced_to(const cv::Mat& picture, cv::Size size) {
  if (picture.size() == size) return picture;
  cv::Mat reduced;
  cv::resize(picture, reduced, size, 0, 0, cv::INTER_AREA);
  return reduced;
}

cv::Mat shown(const cv::Mat& picture, const PageInputs& inputs) {
  const auto most = static_cast<double>(inputs.options.picture_px);
  return reduced_to(picture, fitted(picture.size(), most, most));
}

cv::Size thumb_size(cv::Size size) { return fitted(size, kThumbHeight_px, kThumbWidth_px); }

/// The mark's ink as a layer: red, as opaque as the ink is dark; nothing beside its support.
cv::Mat ink_layer(const cv::Mat1b& grey, const cv::Mat1b& support) {
  const cv::Mat1b ink = ink_of(grey, support);
  std::vector<cv::Mat> channels;
  for (const int level : {20, 20, 205}) channels.emplace_back(ink.size(), CV_8UC1, cv::Scalar(level));
  channels.push_back(ink);
  cv::Mat layer;
  cv::merge(channels, layer);
  return layer;
}

/// Grey as it is where it counts; striped in a pale tint beside the support.
cv::Mat3b with_support(const cv::Mat1b& grey, const cv::Mat1b& support) {
  cv::Mat3b picture;
  cv::cvtColor(grey, picture, cv::COLOR_GRAY2BGR);
  for (int y = 0; y < picture.rows; ++y) {
    for (int x = 0; x < picture.cols; ++x) {
      if (support(y, x) != 0) continue;
      const int faint = 150 + grey(y, x) / 4 - ((x + y) / 4 % 2 == 0 ? 14 : 0);
      picture(y, x) = {cv::saturate_cast<uchar>(faint + 36), cv::saturate_cast<uchar>(faint + 22),
                       cv::saturate_cast<uchar>(faint - 6)};
    }
  }
  return picture;
}

cv::Mat1b image_of(const at::Tensor& values) {  // [h, w] of any type
  const at::Tensor levels = values.to(at::kByte).contiguous();
  return cv::Mat1b(static_cast<int>(levels.size(0)), static_cast<int>(levels.size(1)), levels.data_ptr<std::uint8_t>())
      .clone();
}

/// The mark, if its file is the one that was searched; else why there is none.
struct ReadMark {
  std::optional<image::DecodedImage> image;
  fs::path file;
  std::string complaint;
};

ReadMark read_searched_mark(const PageInputs& inputs, std::int64_t row) {
  const auto found = inputs.mark_files.find(row);
  if (found == inputs.mark_files.end()) return {{}, {}, "its file is not among --marks"};
  try {
    image::DecodedImage image = image::read_mark(found->second);
    if (image.source_sha256 != inputs.lists.mark_sha256[static_cast<std::size_t>(row)])
      return {{}, found->second, "the file of this name is not the one that was searched (SHA-256 differs)"};
    return {std::move(image), found->second, ""};
  } catch (const Error& error) {
    return {{}, found->second, error.what()};
  }
}

// --- A page's facts -------------------------------------------------------------------------------------------------

json fact(const char* name, const std::string& value, bool is_code = false) {
  return {{"name", name}, {"value", value}, {"code", is_code}};
}

std::string degrees(double angle_deg) { return angle_deg == 0 ? "0°" : fmt::format("{:+g}°", angle_deg); }

std::string pose_in_words(const image::MarkPose& pose) {
  std::string words = pose.scale == 1 ? "at the mark's own size" : fmt::format("scaled by {:.4g}", pose.scale);
  if (pose.mirrored) words += ", mirrored";
  words += pose.angle_deg == 0 ? ", not turned"
                               : fmt::format(", turned {:g}° {}", std::abs(pose.angle_deg),
                                             pose.angle_deg > 0 ? "counter-clockwise" : "clockwise");
  return words + fmt::format("; its centre lies at row {:.0f}, column {:.0f} of the exemplar", pose.y_px, pose.x_px);
}

/// What a score means, as guidelines of evaluative reporting ask: the ratio, its uncertainty, and between what.
std::string ratio_in_words(const retrieval::ScoreCalibration& calibration, const retrieval::ScoreMeaning& meaning) {
  const auto two_digits = [](double value) {
    const double unit = std::pow(10, std::floor(std::log10(value)) - 1);
    return fmt::format("{:.{}f}", std::round(value / unit) * unit, value < 10 ? 1 : 0);
  };
  const auto ratio = [&](double log10) {
    return log10 < 0 ? "1/" + two_digits(std::pow(10, -log10)) : two_digits(std::pow(10, log10));
  };
  std::string words =
      fmt::format("{} (95%: {} to {})", ratio(meaning.log10_lr), ratio(meaning.low), ratio(meaning.high));
  if (meaning.is_cut_high) words += ", the most that the calibration set supports";
  if (meaning.is_cut_low) words += ", the least that the calibration set supports";
  return words + fmt::format(
                     ": {}. First proposition: {} Alternative: {} {} Calibrated on {} marks among {} exemplars; "
                     "Cllr {:.2f} in cross-validation.",
                     meaning.verbal, calibration.proposition, calibration.alternative, retrieval::kPatternIsNoShoe,
                     calibration.marks, calibration.exemplars, calibration.cllr);
}

/// What all candidates of a mark share.
struct OfMark {
  std::int64_t row = 0;
  std::string name;  // of its pictures
  const ReadMark* mark = nullptr;
  std::vector<ListEntry> list;
  std::vector<float> scores;
  std::optional<ScoreContext> context;
  std::optional<retrieval::ScaledMark> scaled;  // as it was searched, where that is known
  fs::path pictures;                            // folder
  std::vector<std::string> lacks;
};

std::string context_in_words(const OfMark& of, double score) {
  if (!of.context) return "not known: the search kept only the candidates";
  std::string words = fmt::format("{} of {}", place_among(of.scores, score), of.context->level.known);
  if (const auto spreads = spreads_above(of.context->level, score)) {
    words += fmt::format("; {:.1f} robust standard deviations above their median of {:.4f}", *spreads,
                         of.context->level.median);
  }
  return words;
}

/// The exemplar's size in pixels; of one that the store lacks, a frame that has the mark in its middle.
cv::Size frame_of(const PageInputs& inputs, const ListEntry& entry) {
  const std::int64_t place = inputs.places[static_cast<std::size_t>(entry.exemplar)];
  if (place < 0) {
    const auto length = [](double middle_px) { return static_cast<int>(std::clamp(2 * middle_px, 1.0, 1e5)); };
    return {length(entry.pose.x_px), length(entry.pose.y_px)};
  }
  const ingest::ExemplarInfo& info = inputs.exemplars.info(place);
  return {info.width_px, info.height_px};
}

/// From cells of the index's maps to the exemplar's own image, as SVG writes it.
std::string cells_matrix(const retrieval::IndexParameters& p, int exemplar_width_px, bool exemplar_is_mirrored) {
  const auto stride = static_cast<double>(p.geometry.stride_px);
  const double begin = static_cast<double>(p.geometry.first_center_half_px) / 2 + 0.5 - stride / 2;
  const double to_y = static_cast<double>(p.frame_height_px) / static_cast<double>(p.search_height_px);
  const double to_x = static_cast<double>(p.frame_width_px) / static_cast<double>(p.search_width_px);
  double a = stride * to_x;
  double e = begin * to_x - static_cast<double>(retrieval::exemplar_left_px(exemplar_width_px, p.frame_width_px));
  if (exemplar_is_mirrored) {
    a = -a;
    e = exemplar_width_px - e;
  }
  return fmt::format("matrix({:.6g} 0 0 {:.6g} {:.6g} {:.6g})", a, stride * to_y, e, begin * to_y);
}

/// Which part of the mark was compared, and what makes the two alike.
void add_features(const PageInputs& inputs, OfMark& of, const ListEntry& entry, std::int64_t rank, json& facts) {
  facts["support"] = facts["support_matrix"] = "";
  facts["why"] = false;
  const std::int64_t place = inputs.places[static_cast<std::size_t>(entry.exemplar)];
  facts["support_text"] = !inputs.extractor ? "not shown: it needs the index and its weights"
                          : !of.mark->image ? "not shown: the mark has no picture"
                          : !of.scaled      ? "not shown: the mark cannot be read as it was searched"
                          : place < 0       ? "not shown: the exemplar has no picture"
                                            : "";
  if (!facts["support_text"].get_ref<const std::string&>().empty()) return;
  const retrieval::OpenIndex& index = *inputs.extractor;
  try {
    const retrieval::SearchProtocol protocol = protocol_of(inputs.parameters());
    const ingest::ExemplarInfo& exemplar = inputs.exemplars.info(place);
    const retrieval::PosedMark posed =
        retrieval::posed_mark(*of.scaled, {exemplar.width_px, exemplar.mirror}, index, protocol, entry.pose);
    const auto cells = posed.support.sum().item<std::int64_t>(), cell_px = index.parameters.geometry.stride_px;
    const auto mark_px = posed.mark_pixels.sum().item<std::int64_t>();
    facts["support"] = outline_of(posed.support);
    facts["support_matrix"] = cells_matrix(index.parameters, exemplar.width_px, exemplar.mirror);
    facts["support_text"] =
        fmt::format("{} cells of {} x {} px at the search scale, {:.0f}% of the mark; its edge does not count", cells,
                    cell_px, cell_px,
                    std::min(100.0, 100.0 * static_cast<double>(cells * cell_px * cell_px) /
                                        static_cast<double>(std::max<std::int64_t>(1, mark_px))));
    if (rank > inputs.options.relevance || index.parameters.metric) return;
    const match::Similarity similarity =
        match::similarity_named(inputs.parameters().value("similarity", "mu_c,sigma_c"));
    const RelevancePictures pictures = relevance_pictures(
        retrieval::posed_pair(*of.scaled, inputs.exemplars.record(place), index, protocol, entry.pose), index,
        similarity, 0.2);
    const std::string stem = "why-" + page_name(entry.exemplar);
    image::write_image(of.pictures / (stem + "-mark.png"), pictures.mark);
    image::write_image(of.pictures / (stem + "-exemplar.png"), pictures.exemplar);
    facts["why"] = {{"width", pictures.mark.cols}, {"height", pictures.mark.rows}};
    facts["why_text"] =
        std::string(
            "Yellow and black: the fifth of the pixels under the mark whose change would change most what the "
            "features of both agree on, on the exemplars' frame") +
        (inputs.parameters().contains("metric_sha256") ? "; of the plain features, without the learned metric." : ".");
  } catch (const Error& error) {
    if (facts["support_text"].get_ref<const std::string&>().empty())
      facts["support_text"] = std::string("not shown: ") + error.what();
    of.lacks.push_back(fmt::format("Candidate {}: {}.", rank, error.what()));
  }
}

std::string tread_in_words(const PageInputs& inputs, const OfMark& of, std::size_t position, std::int64_t& same_as) {
  same_as = 0;
  if (inputs.treads.empty()) return "";
  const auto tread_of = [&](std::size_t i) { return inputs.treads[static_cast<std::size_t>(of.list[i].exemplar)]; };
  std::string others;
  for (std::size_t i = 0; i < of.list.size(); ++i) {
    if (i == position || tread_of(i) != tread_of(position)) continue;
    if (i < position && same_as == 0) same_as = static_cast<std::int64_t>(i) + 1;
    others += (others.empty() ? "" : ", ") + std::to_string(i + 1);
  }
  return others.empty() ? "no other candidate shows the same" : "the same as candidate " + others;
}

json candidate_facts(const PageInputs& inputs, OfMark& of, std::size_t position) {
  const ListEntry& entry = of.list[position];
  const auto exemplar = static_cast<std::size_t>(entry.exemplar);
  const cv::Size size = frame_of(inputs, entry), thumb = thumb_size(size);
  const auto rank = static_cast<std::int64_t>(position) + 1;
  json facts = {{"rank", rank},
                {"first", position == 0},
                {"exemplar_id", inputs.lists.exemplar_ids[exemplar]},
                {"exemplar_name", page_name(entry.exemplar)},
                {"has_exemplar", inputs.places[exemplar] >= 0},
                {"width", size.width},
                {"height", size.height},
                {"thumb_width", thumb.width},
                {"thumb_height", thumb.height},
                {"score", fmt::format("{:.4f}", entry.score)},
                {"margin", ""},
                {"context", context_in_words(of, entry.score)},
                {"stands", ""},
                {"pose", pose_in_words(entry.pose)},
                {"short_pose", degrees(entry.pose.angle_deg) + (entry.pose.mirrored ? ", mirrored" : "")},
                {"matrix", ""},
                {"likelihood_ratio", ""},
                {"is_true", false}};
  if (position + 1 < of.list.size()) facts["margin"] = fmt::format("{:.4f}", entry.score - of.list[position + 1].score);
  if (of.context) {
    if (const auto spreads = spreads_above(of.context->level, entry.score))
      facts["stands"] = fmt::format("{:.1f}", *spreads);
  }
  if (of.mark->image) {
    const cv::Mat& grey = of.mark->image->grey;
    facts["matrix"] = svg_matrix(image::mark_to_exemplar(grey.rows, grey.cols, entry.pose));
  }
  if (inputs.calibration && of.context && of.context->level.spread > 0 && std::isfinite(entry.score)) {
    const auto meaning = retrieval::meaning_of(*inputs.calibration, entry.score, of.context->level);
    facts["likelihood_ratio"] = ratio_in_words(*inputs.calibration, meaning);
  }
  if (inputs.truth) {
    const auto& true_ones = inputs.truth->exemplars[static_cast<std::size_t>(of.row)];
    facts["is_true"] = std::ranges::binary_search(true_ones, entry.exemplar);
  }
  std::int64_t same_as = 0;
  facts["tread"] = tread_in_words(inputs, of, position, same_as);
  facts["same_as"] = same_as > 0 ? json(same_as) : json();
  add_features(inputs, of, entry, rank, facts);
  return facts;
}

json histogram_facts(const OfMark& of) {
  if (!of.context) return nullptr;
  const ScoreContext& context = *of.context;
  const double width = static_cast<double>(kBins) * kBinWidth;
  const auto x_of = [&](double score) {
    const double range = context.most - context.least;
    return range > 0 ? std::clamp((score - context.least) / range, 0.0, 1.0) * width : width / 2;
  };
  const auto tallest = static_cast<double>(std::ranges::max(context.counts));
  json bars = json::array(), ticks = json::array();
  for (std::size_t i = 0; i < context.counts.size(); ++i) {
    if (context.counts[i] == 0) continue;
    const double height = std::max(2.0, kBarsHeight * static_cast<double>(context.counts[i]) / tallest);
    bars.push_back({{"x", fmt::format("{:g}", kBinWidth * static_cast<double>(i))},
                    {"y", fmt::format("{:.1f}", 100 - height)},
                    {"height", fmt::format("{:.1f}", height)}});
  }
  for (std::size_t i = 0; i < of.list.size(); ++i)
    ticks.push_back({{"rank", i + 1}, {"first", i == 0}, {"x", fmt::format("{:.1f}", x_of(of.list[i].score))}});
  return {{"bars", bars},
          {"ticks", ticks},
          {"least", fmt::format("{:.3f}", context.least)},
          {"most", fmt::format("{:.3f}", context.most)},
          {"median", fmt::format("{:.3f}", context.level.median)},
          {"median_x", fmt::format("{:.1f}", std::clamp(x_of(context.level.median), 110.0, 370.0))},
          {"text", fmt::format("The scores of all {} exemplars of this mark.", context.level.known)}};
}

/// The mark's own pictures, and the facts of those that were written.
void add_mark_pictures(const PageInputs& inputs, OfMark& of, json& facts) {
  facts["picture"] = facts["searched"] = nullptr;
  facts["mark_width"] = facts["mark_height"] = 0;
  if (!of.mark->image) {
    of.lacks.push_back("The mark's picture: " + of.mark->complaint + ".");
    return;
  }
  const image::DecodedImage& image = *of.mark->image;
  const cv::Mat1b grey = image::to_8_bit(image.grey);
  const cv::Mat picture = shown(grey, inputs);
  facts["mark_width"] = grey.cols;
  facts["mark_height"] = grey.rows;
  facts["picture"] = {{"width", picture.cols},
                      {"height", picture.rows},
                      {"width_px", grey.cols},
                      {"height_px", grey.rows},
                      {"reduced", picture.size() != grey.size()}};
  image::write_image(of.pictures / "mark.png", picture);
  image::write_image(of.pictures / "ink.png", shown(ink_layer(grey, image.support), inputs));
  image::write_image(of.pictures / "thumb.jpg", reduced_to(grey, thumb_size(grey.size())));
  cv::Mat3b searched;
  std::string caption;
  try {
    if (inputs.index) {
      of.scaled = retrieval::read_scaled_mark(of.mark->file, *inputs.index, protocol_of(inputs.parameters()));
      searched = with_support(image_of(of.scaled->image.round()), image_of(of.scaled->support));
      caption = fmt::format("As searched: {} x {} px (height x width)", searched.rows, searched.cols);
      if (const std::string filter = inputs.parameters().value("mark_filter", "none"); filter != "none")
        caption += ", filter " + filter;
    } else if (!image.support.empty()) {
      searched = shown(with_support(grey, image.support), inputs);
      caption = "With its mask, before it was scaled";
    }
  } catch (const Error& error) {
    of.lacks.push_back(std::string("The mark as searched: ") + error.what() + ".");
  }
  if (searched.empty()) return;
  if (!image.support.empty()) caption += "; what the mask leaves out is striped";
  image::write_image(of.pictures / "searched.png", searched);
  facts["searched"] = {{"width", searched.cols}, {"height", searched.rows}, {"caption", caption}};
}

json facts_of_mark(const PageInputs& inputs, const OfMark& of) {
  const auto row = static_cast<std::size_t>(of.row);
  const double dpi = inputs.lists.mark_dpi[row];
  json facts = json::array();
  if (!of.mark->file.empty()) facts.push_back(fact("File", of.mark->file.filename().string()));
  facts.push_back(fact("SHA-256", inputs.lists.mark_sha256[row], true));
  if (of.mark->image) {
    const cv::Mat& grey = of.mark->image->grey;
    facts.push_back(fact("Size", fmt::format("{} x {} px (height x width)", grey.rows, grey.cols)));
    facts.push_back(fact("Mask", of.mark->image->support.empty() ? "none: all of the picture was searched"
                                                                 : "only what it shows white was searched"));
  }
  facts.push_back(fact("Resolution", dpi > 0 ? fmt::format("{:.4g} dpi", dpi) : "not known"));
  facts.push_back(fact("Scaled by", fmt::format("{:.4g} to the exemplars' resolution", inputs.lists.scale[row])));
  facts.push_back(fact("Compared with", of.context ? fmt::format("{} exemplars", of.context->level.known)
                                                   : fmt::format("{} exemplars", inputs.lists.exemplar_ids.size())));
  return facts;
}

json page_facts(const PageInputs& inputs, OfMark& of) {
  const auto row = static_cast<std::size_t>(of.row);
  json facts = {{"report", inputs.results.sha256().substr(0, 16)},
                {"id", inputs.lists.mark_ids[row]},
                {"number", of.row + 1},
                {"total", inputs.marks()},
                {"name", of.name},
                {"previous", of.row > 0 ? json(page_name(of.row)) : json()},
                {"next", of.row + 1 < inputs.marks() ? json(page_name(of.row + 2)) : json()},
                {"has_groups", !inputs.treads.empty()},
                {"versions", inputs.options.versions},
                {"results_sha256", inputs.results.sha256()},
                {"facts", facts_of_mark(inputs, of)},
                {"histogram", histogram_facts(of)}};
  add_mark_pictures(inputs, of, facts);
  facts["candidates"] = json::array();
  for (std::size_t i = 0; i < of.list.size(); ++i) facts["candidates"].push_back(candidate_facts(inputs, of, i));
  facts["stage"] = nullptr;
  if (!of.list.empty()) {
    facts["stage"] = facts["candidates"][0];
    facts["stage"]["has_support"] = !facts["candidates"][0]["support"].get_ref<const std::string&>().empty();
  }
  facts["lacks"] = of.lacks;
  facts["has_lacks"] = !of.lacks.empty();
  return facts;
}

}  // namespace

std::string svg_matrix(const cv::Matx23d& m) {
  const auto shift = [&](int axis) { return m(axis, 2) + 0.5 - 0.5 * (m(axis, 0) + m(axis, 1)); };
  std::string matrix;
  for (const double value : {m(0, 0), m(1, 0), m(0, 1), m(1, 1), shift(0), shift(1)}) {
    matrix += (matrix.empty() ? "" : " ") + fmt::format("{:.6g}", value + 0.0);  // which makes 0 of -0
  }
  return "matrix(" + matrix + ")";
}

std::string outline_of(const at::Tensor& support) {
  const at::Tensor cells = support.to(at::kBool).contiguous();
  const auto is_cell = cells.accessor<bool, 2>();
  const std::int64_t height = cells.size(0), width = cells.size(1);
  const auto at = [&](std::int64_t y, std::int64_t x) {
    return y >= 0 && x >= 0 && y < height && x < width && is_cell[y][x];
  };
  std::string path;
  /// Runs of edges along a line of the grid, `is_edge` telling of each.
  const auto add_runs = [&](std::int64_t length, const auto& is_edge, const auto& piece) {
    for (std::int64_t begin = 0; begin < length;) {
      std::int64_t end = begin;
      while (end < length && is_edge(end)) ++end;
      if (end > begin) path += piece(begin, end - begin);
      begin = std::max(end, begin + 1);
    }
  };
  for (std::int64_t y = 0; y <= height; ++y) {
    add_runs(
        width, [&](std::int64_t x) { return at(y, x) != at(y - 1, x); },
        [&](std::int64_t x, std::int64_t length) { return fmt::format("M{} {}h{}", x, y, length); });
  }
  for (std::int64_t x = 0; x <= width; ++x) {
    add_runs(
        height, [&](std::int64_t y) { return at(y, x) != at(y, x - 1); },
        [&](std::int64_t y, std::int64_t length) { return fmt::format("M{} {}v{}", x, y, length); });
  }
  return path;
}

void write_mark_page(const PageInputs& inputs, std::int64_t row, const fs::path& folder) {
  const machine::OneThread one_thread;
  const ReadMark mark = read_searched_mark(inputs, row);
  const std::string& id = inputs.lists.mark_ids[static_cast<std::size_t>(row)];
  if (!mark.image) {
    if (inputs.options.strict) throw DataError("mark '" + id + "': " + mark.complaint);
    spdlog::warn("mark '{}': no picture: {}", id, mark.complaint);
  }
  OfMark of;
  of.row = row;
  of.name = page_name(row + 1);
  of.mark = &mark;
  of.list = inputs.list(row);
  of.scores = inputs.scores(row);
  of.context = context_of(of.scores, kBins);
  of.pictures = folder / "pictures" / of.name;
  std::error_code error;
  fs::create_directories(of.pictures, error);
  if (error) throw EnvironmentError(of.pictures.string() + ": cannot be created: " + error.message());
  write_file_atomically(folder / "marks" / (of.name + ".html"), page_of(Page::kMark, page_facts(inputs, of)));
}

void write_exemplar_pictures(const PageInputs& inputs, std::int64_t exemplar, const fs::path& folder) {
  const std::int64_t place = inputs.places[static_cast<std::size_t>(exemplar)];
  const cv::Mat1b grey = image::to_8_bit(retrieval::exemplar_image(inputs.exemplars.record(place)));
  const std::string name = page_name(exemplar);
  image::write_image(folder / "exemplars" / (name + "-thumb.jpg"), reduced_to(grey, thumb_size(grey.size())));
  image::write_image(folder / "exemplars" / (name + ".png"), shown(grey, inputs));
}

}  // namespace outsole::report
