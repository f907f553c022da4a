#include "retrieval/search.h"

#include <cstdio>

#include "machine/device.h"
#include "core/errors.h"
#include "core/progress.h"
#include "core/text.h"
#include "job.h"
#include "options.h"
#include "scaling.h"

namespace outsole::jobs {

namespace {

void add_options(po::options_description& options) {
  options.add_options()                                                                                      //
      ("index", po::value<std::string>()->value_name("NAME.h5")->required(), "the exemplars' feature maps")  //
      ("marks", po::value<std::vector<std::string>>()->multitoken()->value_name("FILE|DIR...")->required(),
       "images of marks; an alpha channel or NAME.mask.png beside NAME.* is the support mask (white counts)")  //
      ("weights", po::value<std::string>()->value_name("FILE.safetensors")->default_value(""),
       "the weights the index was made with")  //
      ("angles-deg", po::value<std::string>()->value_name("FIRST:LAST:STEP")->default_value("-20:20:4"),
       "rotations of the mark, counter-clockwise; or a list: 0,90,180")                                        //
      ("stride-px", po::value<std::int64_t>()->default_value(2), "step of translations, at the search scale")  //
      ("erosion", po::value<double>()->default_value(0.1, "0.1"),
       "supports are eroded by this share of the exemplar map's short side")  //
      ("similarity", po::value<std::string>()->value_name("CENTRING,SCALING")->default_value("mu_c,sigma_c"),
       "mu_c,sigma_c is MCNCC; mu or none, sigma or none: over all channels alike, or not at all")  //
      ("top", po::value<std::int64_t>()->default_value(20), "candidates kept for each mark")  //
      ("all-scores", po::bool_switch(), "keep the score and pose of every exemplar")          //
      ("coarse", po::value<std::int64_t>()->value_name("N")->default_value(0),
       "search only N exemplars a mark in full, the best of a first pass over a coarse grid; 0: all of them")  //
      ("coarse-recall", po::value<std::int64_t>()->value_name("MARKS")->default_value(0),
       "with --coarse: search so many marks (of each rank, where ranks share marks) in full besides, and say what it "
       "lost")  //
      ("kernel", po::value<std::string>()->value_name("auto|NAME")->default_value("auto"),
       "one that `outsole info --kernels` lists, or direct: the fastest for CPUs that all ranks have; auto: tensors on a "
       "GPU, else direct")  //
      ("compute-precision", po::value<std::string>()->value_name("32|tf32|16")->default_value("32"),
       "of the products' inputs, in tensor operations")                                                //
      ("output", po::value<std::string>()->value_name("NAME.h5")->required(), "the results to write")  //
      ("csv", po::value<std::string>()->value_name("NAME.csv")->default_value(""), "the candidates as a table, too");
  options.add_options()("plan-exemplars", po::value<std::int64_t>()->value_name("N")->default_value(0),
                        "with --plan: as if the index had so many exemplars; 0: those it has");
  add_scaling_options(options);
}

retrieval::SearchOptions parse(const po::variables_map& options, const JobContext& context) {
  retrieval::SearchOptions search;
  search.index = options["index"].as<std::string>();
  for (const auto& mark : options["marks"].as<std::vector<std::string>>()) search.marks.emplace_back(mark);
  search.output = options["output"].as<std::string>();
  search.csv = options["csv"].as<std::string>();
  search.weights_path = options["weights"].as<std::string>();
  search.protocol.angles_deg = parse_angles(options["angles-deg"].as<std::string>(), "angles-deg");
  search.protocol.stride_px = options["stride-px"].as<std::int64_t>();
  search.protocol.erosion_fraction = options["erosion"].as<double>();
  if (!(search.protocol.erosion_fraction >= 0 && search.protocol.erosion_fraction < 0.5)) {
    throw UsageError("--erosion: must be at least 0 and below 0.5");
  }
  search.protocol.similarity = match::similarity_named(options["similarity"].as<std::string>());
  search.top = options["top"].as<std::int64_t>();
  search.all_scores = options["all-scores"].as<bool>();
  search.coarse = options["coarse"].as<std::int64_t>();
  if (search.coarse < 0) throw UsageError("--coarse: must be at least 0");
  search.coarse_recall = options["coarse-recall"].as<std::int64_t>();
  search.plan_exemplars = options["plan-exemplars"].as<std::int64_t>();
  if (search.plan_exemplars < 0 || search.plan_exemplars > 1'000'000'000)
    throw UsageError("--plan-exemplars: from 0 to a thousand million");
  if (search.plan_exemplars > 0 && !context.common.plan) throw UsageError("--plan-exemplars: only with --plan");
  search.kernel = options["kernel"].as<std::string>();
  search.compute_precision = options["compute-precision"].as<std::string>();
  search.strict = context.common.strict;
  search.memory_bytes = static_cast<std::int64_t>(context.common.memory_gib * (std::int64_t{1} << 30));
  search.device_memory_gib = context.common.device_memory_gib;
  search.device = machine::choose_device(context.common.device, context.comm);
  search.command_line = context.command_line;
  return search;
}

void print_plan(const retrieval::SearchPlan& plan, const JobContext& context, const po::variables_map& options) {
  std::printf("marks         %lld\n", static_cast<long long>(plan.marks));
  std::printf("exemplars     %lld in %lld blocks of 32\n", static_cast<long long>(plan.exemplars),
              static_cast<long long>(plan.blocks));
  std::printf("poses         %lld, %.0f a mark\n", static_cast<long long>(plan.poses),
              static_cast<double>(plan.poses) / static_cast<double>(plan.marks));
  std::printf("products      %.3g TFLOP to compare, %.3g TFLOP for features\n", plan.useful_flops / 1e12,
              plan.feature_flops / 1e12);
  std::printf("index         %s as 32-bit floats, %s\n", format_bytes(static_cast<double>(plan.index_bytes)).c_str(),
              plan.in_memory ? "kept in memory" : "streamed from disk for every mark");
  std::printf("partition     %d ranks x %d threads share the %s, %.1f of them busy on average\n", context.comm.size(),
              context.common.threads, plan.splits_marks ? "marks" : "exemplars", plan.ranks_used);
  std::printf("code          %s (by FFT: %.3g TFLOP, at a seventieth of a product's rate)\n", plan.path.c_str(),
              plan.fft_flops / 1e12);
  if (plan.seconds == 0) {
    std::printf("time          not planned on a GPU\n");
    return;
  }
  std::printf("time          about %s, comparing at %.0f GFLOP/s a rank, measured now\n",
              format_duration(plan.seconds).c_str(), plan.compare_gflops);
  std::printf("plan: seconds_on_one_rank=%.0f\n", plan.work.compute_s);  // read by slurm/allocation.sh
  print_scaling(plan.work, options);
}

void print_recall(const retrieval::CoarseRecall& recall) {
  if (recall.marks == 0) return;
  std::printf(
      "coarse pass   kept the best exemplar of %lld of %lld marks searched in full besides, and %.1f%% of their "
      "lists\n",
      static_cast<long long>(recall.first_kept), static_cast<long long>(recall.marks),
      100.0 * static_cast<double>(recall.top_kept) / static_cast<double>(recall.top));
}

void run(const po::variables_map& options, const JobContext& context) {
  const retrieval::SearchOptions search = parse(options, context);
  if (context.common.plan) {
    const retrieval::SearchPlan plan = retrieval::plan_search(context.comm, search);
    if (context.comm.is_root()) print_plan(plan, context, options);
    return;
  }
  const retrieval::SearchSummary summary = retrieval::search(context.comm, search);
  if (!context.comm.is_root()) return;
  if (summary.was_finished) std::printf("%s was complete already\n", search.output.c_str());
  std::printf("%s: %lld marks against %lld exemplars\n", search.output.c_str(), static_cast<long long>(summary.marks),
              static_cast<long long>(summary.exemplars));
  if (summary.seconds_search > 0) {
    std::printf("took %s, of it %s to prepare marks\n", format_duration(summary.seconds_search).c_str(),
                format_duration(summary.seconds_features).c_str());
  }
  print_recall(summary.coarse_recall);
  if (!summary.skipped.empty()) std::printf("%zu marks skipped:\n", summary.skipped.size());
  for (const std::string& reason : summary.skipped) std::printf("  %s\n", printable(reason).c_str());
}

}  // namespace

Job search_job() {
  return {"search",
          "find the exemplars that match marks best",
          "",
          "Example:\n"
          "  mpirun -n 4 outsole search --index index.h5 --marks marks/ --output results.h5 --csv results.csv\n"
          "A line of the table: scale the mark by `scale`, mirror it if `mirrored`, turn it by `angle_deg` "
          "counter-clockwise;\n"
          "then its centre lies at (y_px, x_px) of the exemplar's own image.\n",
          add_options,
          run};
}

}  // namespace outsole::jobs
