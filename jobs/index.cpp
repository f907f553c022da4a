#include <spdlog/fmt/fmt.h>

#include "image/image.h"
#include "job.h"
#include "machine/device.h"
#include "plan.h"
#include "retrieval/build_index.h"
#include "retrieval/index_plan.h"

namespace outsole::jobs {

namespace {

struct IndexJob {
  retrieval::BuildIndexOptions index;
};

std::string known_extractors() {
  std::string text = "how images become feature maps:";
  for (const auto& [kind, description] : features::extractor_kinds()) text += "\n  " + kind + ": " + description;
  return text;
}

/// "586x270", or "max" for the largest exemplar's.
std::optional<retrieval::FrameSize> parse_frame(const std::string& text) {
  if (text == "max") return std::nullopt;
  const HeightWidth size = parse_size(text);
  return retrieval::FrameSize{size.height_px, size.width_px};
}

void declare_index(IndexJob& own, Options& options) {
  retrieval::BuildIndexOptions& index = own.index;
  options.add("exemplars", "NAME.h5", index.exemplars, "the exemplars, as ingested").required();
  options.add("like", "INDEX.h5", index.like,
              "fit this index, so that both are searched as one database: extractor, weights, scale, frame, mean grey, "
              "precision, resolution and what channels are measured by are that one's; of what it was made with, "
              "--weights and --metric are to be given again");
  options.add("extractor", "KIND", index.extractor.kind, known_extractors()).not_with("like");
  options.add("weights", "FILE.safetensors", index.extractor.weights_path, "weights, for networks");
  options
      .add("weights-convention", "caffe|torchvision|torchvision-folded", index.extractor.weights_convention,
           "how the network expects its input, and its pooling")
      .one_of({"caffe", "torchvision", "torchvision-folded"})
      .only_with("weights")
      .not_with("like");
  options.add("image-scale", "S", index.image_scale, "images are scaled by this before features")
      .above(0.001)
      .at_most(16)
      .not_with("like");
  options
      .add_parsed("frame", "HxW|max", index.frame, parse_frame, "max",
                  "size every exemplar is brought to, before scaling: larger ones lose their last rows and outer "
                  "columns")
      .not_with("like");
  options
      .add("exemplar-dpi", "N", index.exemplar_dpi,
           "resolution of all exemplars, whatever they say: a search brings marks of another to it (default: as they "
           "say, if they agree)")
      .at_least(image::kLeastDpi)
      .at_most(image::kMostDpi)
      .in("dpi");
  options.add("metric", "METRIC.h5", index.metric,
              "store the maps as the metric projects them, of its components alone; the search takes the same metric");
  options
      .add("precision", "32|16|8", index.precision_bits,
           "bits of a value, on disk and in the memory of a search; 8: with a scale a channel and exemplar")
      .one_of({"32", "16", "8"})
      .not_with("like");
  options
      .add("border-cells", "N", index.border_cells,
           "cells left out at the maps' edges, where no eroded support can lie (default: as the search will erode)")
      .at_least(0)
      .not_with("like");
  options.add("erosion", "SHARE", index.erosion_fraction, "erosion of supports that the search will use")
      .at_least(0)
      .below(0.5)
      .not_with("border-cells")
      .not_with("like");
  options.add("output", "NAME.h5", index.output, "the index to write").required();
  options
      .add("plan-exemplars", "N", index.plan_exemplars,
           "with --plan: as if there were so many exemplars; 0: those there are")
      .at_least(0)
      .at_most(1e9)
      .only_with("plan");
}

Report run_index(IndexJob& own, const JobContext& context) {
  retrieval::BuildIndexOptions& index = own.index;
  index.memory_bytes = context.memory_bytes();
  index.command_line = context.command_line;
  context.comm.together([&] { index.device = machine::choose_device(context.common.device, context.comm); });
  if (context.common.plan) return plan_report(retrieval::index_plan(context.comm, index), context);
  retrieval::build_index(context.comm, index);
  return [=] { return own.index.output.string() + "\n"; };
}

}  // namespace

Job index_job() {
  return make_job(
      {"index", "compute the exemplars' feature maps", "",
       "Example, the published protocol on FID-300:\n"
       "  outsole index --exemplars exemplars.h5 --extractor resnet50:res2b --weights resnet50_layer1.safetensors \\\n"
       "    --frame 586x270 --output index.h5\n"
       "This week's exemplars for the same database, which `outsole search --index index.h5 week2.h5` then searches:\n"
       "  outsole index --like index.h5 --exemplars new.h5 --weights resnet50_layer1.safetensors --output week2.h5\n"},
      declare_index, run_index);
}

}  // namespace outsole::jobs
