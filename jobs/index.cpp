#include <cstdio>

#include "machine/device.h"
#include "core/errors.h"
#include "job.h"
#include "options.h"
#include "plan.h"
#include "retrieval/build_index.h"
#include "retrieval/index_plan.h"

namespace outsole::jobs {

namespace {

std::string known_extractors() {
  std::string text = "how images become feature maps:";
  for (const auto& [kind, description] : features::extractor_kinds()) text += "\n  " + kind + ": " + description;
  return text;
}

void add_options(po::options_description& options) {
  options.add_options()                                                                                         //
      ("exemplars", po::value<std::string>()->value_name("NAME.h5")->required(), "the exemplars, as ingested")  //
      ("extractor", po::value<std::string>()->value_name("KIND")->default_value("scattering"),
       known_extractors().c_str())  //
      ("weights", po::value<std::string>()->value_name("FILE.safetensors")->default_value(""),
       "weights, for networks")  //
      ("weights-convention", po::value<std::string>()->value_name("caffe|torchvision")->default_value("caffe"),
       "how the network expects its input, and its pooling")                                                 //
      ("image-scale", po::value<double>()->default_value(0.5), "images are scaled by this before features")  //
      ("frame", po::value<std::string>()->value_name("HxW|max")->default_value("max"),
       "size every exemplar is brought to, before scaling: larger ones lose their last rows and outer columns")   //
      ("precision", po::value<std::int64_t>()->value_name("32|16")->default_value(32), "bits of a stored value")  //
      ("border-cells", po::value<std::int64_t>()->value_name("N"),
       "cells left out at the maps' edges, where no eroded support can lie (default: as the search will erode)")   //
      ("erosion", po::value<double>()->default_value(0.1, "0.1"), "erosion of supports that the search will use")  //
      ("output", po::value<std::string>()->value_name("NAME.h5")->required(), "the index to write");
}

retrieval::BuildIndexOptions parse(const po::variables_map& options, const JobContext& context) {
  retrieval::BuildIndexOptions index;
  index.exemplars = options["exemplars"].as<std::string>();
  index.output = options["output"].as<std::string>();
  index.extractor.kind = options["extractor"].as<std::string>();
  index.extractor.weights_path = options["weights"].as<std::string>();
  index.extractor.weights_convention = options["weights-convention"].as<std::string>();
  index.image_scale = options["image-scale"].as<double>();
  if (!(index.image_scale > 0.001 && index.image_scale <= 16))
    throw UsageError("--image-scale: must be above 0.001 and at most 16");
  if (const auto& frame = options["frame"].as<std::string>(); frame != "max") {
    const HeightWidth size = parse_size(frame, "frame");
    index.frame = {size.height_px, size.width_px};
  }
  index.precision_bits = options["precision"].as<std::int64_t>();
  if (options.count("border-cells") > 0) index.border_cells = options["border-cells"].as<std::int64_t>();
  index.erosion_fraction = options["erosion"].as<double>();
  if (!(index.erosion_fraction >= 0 && index.erosion_fraction < 0.5))
    throw UsageError("--erosion: must be at least 0 and below 0.5");
  index.memory_bytes = static_cast<std::int64_t>(context.common.memory_gib * (std::int64_t{1} << 30));
  index.device = machine::choose_device(context.common.device, context.comm);
  index.command_line = context.command_line;
  return index;
}

void run(const po::variables_map& options, const JobContext& context) {
  const retrieval::BuildIndexOptions index = parse(options, context);
  if (context.common.plan) return print_plan(context, [&] { return retrieval::index_plan(context.comm, index); });
  retrieval::build_index(context.comm, index);
  if (context.comm.is_root()) std::printf("%s\n", index.output.c_str());
}

}  // namespace

Job index_job() {
  return {
      "index",
      "compute the exemplars' feature maps",
      "",
      "Example, the published protocol on FID-300:\n"
      "  outsole index --exemplars exemplars.h5 --extractor resnet50:res2b --weights resnet50_layer1.safetensors \\\n"
      "    --frame 586x270 --output index.h5\n",
      add_options,
      run};
}

}  // namespace outsole::jobs
