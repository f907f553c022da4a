#include "synth/synthesize.h"

#include <algorithm>
#include <sstream>

#include "core/errors.h"
#include "job.h"
#include "options.h"
#include "plan.h"
#include "synth/synthesis_plan.h"

namespace outsole::jobs {

namespace {

constexpr std::int64_t kMinSide = 32;
constexpr std::int64_t kMaxSide = 20000;  // the largest scanner frame is 13750 x 5500

void add_options(po::options_description& options) {
  options.add_options()                                                                                              //
      ("what", po::value<std::string>()->value_name("exemplars|marks|wear")->required(), "what to make")             //
      ("count", po::value<std::int64_t>(), "number of images (50 exemplars, 20 marks) or of pairs of shoes (1)")     //
      ("seed", po::value<std::int64_t>()->default_value(1), "another seed, other images")                            //
      ("size", po::value<std::string>()->value_name("HxW"), "in pixels, of exemplars (586x240) or scans (640x256)")  //
      ("exemplars", po::value<std::vector<std::string>>()->multitoken()->value_name("FILE|DIR..."),
       "images that marks are cut from")                                                                      //
      ("max-angle-deg", po::value<double>()->default_value(15), "marks are turned at random within +- this")  //
      ("damage", po::value<double>()->default_value(0.5), "of marks: 0 (bare cuts) to 1")                     //
      ("capture", po::value<std::string>()->default_value("ink")->value_name("KIND,..."),
       "how marks were left and captured, one drawn for each: ink, dust, blood, soil, gel-lift; or all")  //
      ("max-scale-error", po::value<double>()->default_value(0, "0"),
       "share by which a mark's resolution is off at most: 0.02 for 2%")  //
      ("output", po::value<std::string>()->value_name("DIR")->required(),
       "folder of the images, manifest.csv, labels.csv");
}

HeightWidth parse_image_size(const po::variables_map& options, const std::string& otherwise) {
  const std::string text = options.count("size") > 0 ? options["size"].as<std::string>() : otherwise;
  const HeightWidth size = parse_size(text, "size");
  if (std::min(size.height_px, size.width_px) < kMinSide || std::max(size.height_px, size.width_px) > kMaxSide) {
    throw UsageError("--size " + text + ": each side must be from " + std::to_string(kMinSide) + " to " +
                     std::to_string(kMaxSide) + " pixels");
  }
  return size;
}

std::uint64_t parse_seed(const po::variables_map& options) {
  const auto seed = options["seed"].as<std::int64_t>();
  if (seed < 0) throw UsageError("--seed " + std::to_string(seed) + ": must not be negative");
  return static_cast<std::uint64_t>(seed);
}

double parse_within(const po::variables_map& options, const std::string& name, double low, double high) {
  const auto value = options[name].as<double>();
  if (!(value >= low && value <= high)) {
    std::ostringstream message;
    message << "--" << name << ": must be between " << low << " and " << high;
    throw UsageError(message.str());
  }
  return value;
}

std::int64_t parse_count(const po::variables_map& options, std::int64_t otherwise) {
  return options.count("count") > 0 ? options["count"].as<std::int64_t>() : otherwise;
}

void run_exemplars(const po::variables_map& options, const JobContext& context) {
  const auto [height_px, width_px] = parse_image_size(options, "586x240");
  const synth::SynthesizeExemplarsOptions synthesis{options["output"].as<std::string>(), parse_count(options, 50),
                                                       parse_seed(options), height_px, width_px};
  if (context.common.plan) {
    return print_plan(context, [&] { return synth::synthesis_plan(context.comm, synthesis); });
  }
  synth::synthesize_exemplars(context.comm, synthesis);
}

/// "dust,blood" or "all".
std::vector<synth::Capture> parse_captures(const std::string& text) {
  std::vector<synth::Capture> captures;
  if (text == "all") {
    for (int i = 0; i < synth::kCaptures; ++i) captures.push_back(static_cast<synth::Capture>(i));
    return captures;
  }
  std::istringstream words(text);
  for (std::string word; std::getline(words, word, ',');) captures.push_back(synth::parse_capture(word));
  if (captures.empty()) throw UsageError("--capture: names no way of capture");
  return captures;
}

void run_marks(const po::variables_map& options, const JobContext& context) {
  if (options.count("exemplars") == 0)
    throw UsageError("synthesize marks needs --exemplars, the images to cut them from");
  synth::SynthesizeMarksOptions synthesis;
  synthesis.output = options["output"].as<std::string>();
  for (const auto& input : options["exemplars"].as<std::vector<std::string>>()) synthesis.exemplars.emplace_back(input);
  synthesis.count = parse_count(options, 20);
  synthesis.seed = parse_seed(options);
  synthesis.mark = {parse_within(options, "max-angle-deg", 0, 180), parse_within(options, "damage", 0, 1),
                    parse_captures(options["capture"].as<std::string>()),
                    parse_within(options, "max-scale-error", 0, 0.2)};
  if (context.common.plan) {
    return print_plan(context, [&] { return synth::synthesis_plan(context.comm, synthesis); });
  }
  synth::synthesize_marks(context.comm, synthesis);
}

void run_wear(const po::variables_map& options, const JobContext& context) {
  const auto [height_px, width_px] = parse_image_size(options, "640x256");
  const synth::SynthesizeWearOptions synthesis{options["output"].as<std::string>(), parse_count(options, 1),
                                                  parse_seed(options), height_px, width_px};
  if (context.common.plan) {
    return print_plan(context, [&] { return synth::synthesis_plan(context.comm, synthesis); });
  }
  synth::synthesize_wear(context.comm, synthesis);
}

void run(const po::variables_map& options, const JobContext& context) {
  const auto& what = options["what"].as<std::string>();
  if (what == "exemplars") return run_exemplars(options, context);
  if (what == "marks") return run_marks(options, context);
  if (what == "wear") return run_wear(options, context);
  throw UsageError("synthesize " + what + ": not one of exemplars, marks, wear");
}

}  // namespace

Job synthesize_job() {
  return {"synthesize",
          "make synthetic outsoles, marks, and a year of scans, with ground truth",
          "what",
          "Examples:\n"
          "  outsole synthesize exemplars --count 50 --seed 1 --output exemplars\n"
          "  outsole synthesize marks --exemplars exemplars --count 20 --seed 2 --output marks\n"
          "  outsole synthesize wear --count 2 --size 640x256 --seed 1 --output year\n"
          "  outsole ingest --kind scans --input year --manifest year/manifest.csv --output scans.h5\n"
          "labels.csv of the marks holds each one's true exemplar and pose; the images depend on the seed alone, not "
          "on the\n"
          "number of ranks.\n",
          add_options,
          run};
}

}  // namespace outsole::jobs
