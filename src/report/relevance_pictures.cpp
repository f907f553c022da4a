#include "report/relevance_pictures.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <limits>
#include <opencv2/imgproc.hpp>

#include "core/errors.h"
#include "core/files.h"
#include "image/image.h"
#include "report/result_lists.h"
#include "retrieval/mark_account.h"
#include "retrieval/relevance.h"
#include "retrieval/search_results.h"

namespace outsole::report {

namespace fs = std::filesystem;

namespace {

/// The first true exemplar of the mark's list, or the first of all where none is known; none where the list has none.
std::optional<ListEntry> entry_for(const ResultLists& lists, const PicturedMark& mark, bool is_labelled) {
  const std::vector<ListEntry> list =
      lists.head(static_cast<std::size_t>(mark.row), is_labelled ? std::numeric_limits<std::int64_t>::max() : 1);
  const auto found = std::ranges::find_if(list, [&](const ListEntry& entry) {
    return !is_labelled || std::ranges::binary_search(mark.true_exemplars, entry.exemplar);
  });
  return found == list.end() ? std::nullopt : std::optional(*found);
}

/// An image [H, W] of grey levels in pale grey, and in full, tinted, where `relevant` [H, W] bool says so; twice as
/// large (CV_8UC3, BGR).
cv::Mat3b relevance_picture(const at::Tensor& image, const at::Tensor& relevant) {
  constexpr int kEnlarged = 2;
  const at::Tensor grey = image.to(at::kFloat).contiguous(), shown = relevant.contiguous();
  const auto pixels = grey.accessor<float, 2>();
  const auto is_shown = shown.accessor<bool, 2>();
  cv::Mat3b picture(static_cast<int>(grey.size(0)), static_cast<int>(grey.size(1)));
  for (int y = 0; y < picture.rows; ++y) {
    for (int x = 0; x < picture.cols; ++x) {
      const float value = pixels[y][x];
      const auto level = [](float v) { return cv::saturate_cast<uchar>(v); };
      // Relevant paper is yellow, relevant ink black: both stand out from what is pale.
      picture(y, x) = is_shown[y][x] ? cv::Vec3b(level(value * 0.35F), level(value * 0.85F), level(value))
                                     : cv::Vec3b::all(level(205 + value * 50 / 255));
    }
  }
  cv::Mat3b enlarged;
  cv::resize(picture, enlarged, {}, kEnlarged, kEnlarged, cv::INTER_NEAREST);
  return enlarged;
}

void write_pair(const RelevancePicturesOptions& options, const retrieval::OpenIndex& index,
                const retrieval::PosedPair& pair, const std::string& name) {
  for (const char* similarity : {"none,none", "mu_c,sigma_c"}) {
    const RelevancePictures pictures =
        relevance_pictures(pair, index, match::similarity_named(similarity), options.share);
    image::write_image(options.output / (name + "." + similarity + ".mark.png"), pictures.mark);
    image::write_image(options.output / (name + "." + similarity + ".exemplar.png"), pictures.exemplar);
  }
}

}  // namespace

RelevancePictures relevance_pictures(const retrieval::PosedPair& pair, const retrieval::OpenIndex& index,
                                     const match::Similarity& similarity, double share) {
  const at::Tensor under_mark = retrieval::on_frame(pair.mark_pixels, pair, index.parameters);
  const retrieval::Relevance found =
      retrieval::relevance_of(pair, *index.extractor, index.parameters, index.channels, similarity);
  const auto picture = [&](const at::Tensor& image, const at::Tensor& gradient) {
    return relevance_picture(image, retrieval::most_relevant(gradient, under_mark, share));
  };
  return {picture(retrieval::on_frame(pair.mark_image, pair, index.parameters), found.mark),
          picture(pair.exemplar_image, found.exemplar)};
}

std::int64_t write_relevance_pictures(const RelevancePicturesOptions& options) {
  const store::Store results(options.results, retrieval::kResultsSchema);
  const ingest::ExemplarStore exemplars(options.exemplars);
  const retrieval::OpenIndex index =
      retrieval::open_index(store::Store(options.index, retrieval::kIndexSchema), options.weights_path, at::kCPU);
  require_index_of(results.header().parameters, index.store);
  const ResultLists lists(results);
  const std::vector<PicturedMark> marks =
      options.labels ? labelled_marks(results, lists, *options.labels) : all_marks(lists);
  const auto mark_files = files_of_marks(options.marks, lists, marks);
  const auto places = places_of_exemplars(options.exemplars, exemplars, lists.exemplar_ids);
  const retrieval::SearchProtocol protocol = protocol_of(results.header().parameters);
  std::error_code error;
  fs::create_directories(options.output, error);
  if (error) throw EnvironmentError(options.output.string() + ": cannot be created: " + error.message());

  std::int64_t pairs = 0;
  for (const PicturedMark& mark : marks) {
    const std::optional<ListEntry> entry = entry_for(lists, mark, options.labels.has_value());
    if (!entry) {
      spdlog::warn(
          "mark '{}': its list names no true exemplar, so there is no pose to show; search with a longer --top",
          lists.mark_ids[static_cast<std::size_t>(mark.row)]);
      continue;
    }
    const auto position = static_cast<std::size_t>(entry->exemplar);
    const fs::path& file = mark_files.at(mark.row);
    const retrieval::PosedPair pair =
        retrieval::posed_pair(retrieval::read_scaled_mark(file, index.parameters, protocol),
                              exemplars.record(places[position]), index, protocol, entry->pose);
    write_pair(options, index, pair, file_name_part(id_of(file)) + "." + file_name_part(lists.exemplar_ids[position]));
    ++pairs;
  }
  return pairs;
}

}  // namespace outsole::report
