#include "retrieval/search.h"

#include <spdlog/fmt/fmt.h>

#include "account.h"
#include "core/progress.h"
#include "core/text.h"
#include "image/image.h"
#include "job.h"
#include "machine/device.h"
#include "mark_options.h"
#include "mark_resolutions.h"
#include "mark_summary.h"
#include "plan.h"
#include "retrieval/search_plan.h"

namespace outsole::jobs {

namespace {

struct SearchJob {
  retrieval::SearchOptions search;
  MarkOrientation orientation;
};

void declare_search(SearchJob& own, Options& options) {
  retrieval::SearchOptions& search = own.search;
  options
      .add("index", "NAME.h5...", search.indexes,
           "the exemplars' feature maps; several that were made alike (outsole index --like) are one database with one "
           "ranking")
      .required();
  options
      .add("marks", "FILE|DIR...", search.marks,
           "images of marks; an alpha channel, or NAME.mask.* or NAME_mask.* beside NAME.*, is the support mask (white "
           "counts)")
      .required();
  options.add_switch("recursive", search.recursive, "marks in folders below the folders of marks, too");
  options.add("weights", "FILE.safetensors", search.weights_path, "the weights the index was made with");
  options.add("metric", "METRIC.h5", search.metric,
              "compare as `outsole learn` has learned to; with folds each mark by the metric that has not seen it");
  declare_mark_options(search.protocol, own.orientation, options, "no-search");
  options.add_switch("no-search", search.protocol.as_they_lie,
                     "marks are aligned with the exemplars: compare each at one pose, where an exemplar of the mark's "
                     "size lies on the frame, over all of its support");
  options.add_parsed(
      "similarity", "CENTRING,SCALING", search.protocol.similarity, match::similarity_named, "mu_c,sigma_c",
      "what is subtracted from features, and what they are divided by: mu, sigma over all channels of the "
      "support, mu_c, sigma_c by channel, mu_bar_c, sigma_bar_c by channel over all exemplars, or none; "
      "mu_c,sigma_c is mcncc, none,sigma is cosine, none,none is correlation; or euclidean: minus the "
      "mean squared distance");
  options.add("top", "N", search.top, "candidates kept for each mark").at_least(1);
  options.add_switch("all-scores", search.all_scores, "keep the score and pose of every exemplar");
  options
      .add("coarse", "N", search.coarse,
           "search only N exemplars a mark in full, the best of a first pass over a coarse grid; 0: all of them")
      .at_least(0)
      .not_with("no-search");
  options
      .add("coarse-recall", "MARKS", search.coarse_recall,
           "with --coarse: search so many marks, spread evenly, in full besides, and say what "
           "it lost")
      .at_least(0)
      .only_with("coarse");
  options.add("kernel", "auto|NAME", search.kernel,
              "one that `outsole info --kernels` lists, or direct: the fastest for CPUs that all ranks have; auto: "
              "gpu where all ranks have one, else direct");
  options
      .add("compute-precision", "auto|32|tf32|16", search.compute_precision,
           "of the products' inputs; auto: 16 with the kernel for GPUs, else 32; others than that in tensor operations")
      .one_of({"auto", "32", "tf32", "16"});
  options.add("exemplars-list", "FILE", search.exemplars_list,
              "search only the exemplars that this text file names, an id a line");
  options.add("withdrawn", "FILE", search.withdrawn,
              "leave out the exemplars that this text file names, an id a line; those of other indexes may be among "
              "them");
  options
      .add("output", "NAME.h5", search.output,
           "the results to write; where there are some of the same search, marks that they lack are added")
      .required();
  options.add("csv", "NAME.csv", search.csv, "the candidates as a table, too");
  options
      .add("plan-exemplars", "N", search.plan_exemplars,
           "with --plan: as if the index had so many exemplars; 0: those it has")
      .at_least(0)
      .at_most(1e9)
      .only_with("plan");
}

std::string recall_text(const retrieval::CoarseRecall& recall) {
  if (recall.marks == 0) return "";
  return fmt::format(
      "coarse pass   kept the best exemplar of {} of {} marks searched in full besides, and {:.1f}% of their lists\n",
      recall.first_kept, recall.marks, 100.0 * static_cast<double>(recall.top_kept) / static_cast<double>(recall.top));
}

std::string summary_text(const retrieval::SearchSummary& summary, const std::string& output) {
  std::string text;
  if (summary.was_finished) text += fmt::format("{} was complete already\n", output);
  text += fmt::format("{}: {} marks against {} exemplars\n", output, summary.marks, summary.exemplars);
  if (!summary.was_finished && summary.marks_before > 0) {
    text += fmt::format("{} of the marks given were in it already and were not searched again\n", summary.marks_before);
  }
  if (summary.seconds_search > 0) {
    text += fmt::format("took {}, of it {} to prepare marks\n", format_duration(summary.seconds_search),
                        format_duration(summary.seconds_features));
  }
  text += recall_text(summary.coarse_recall) + resolutions_text(summary.exemplar_dpi, summary.resolutions) +
          marks_text(summary.marks_account);
  if (!summary.skipped.empty()) text += fmt::format("{} marks skipped:\n", summary.skipped.size());
  for (const std::string& reason : summary.skipped) text += fmt::format("  {}\n", printable(reason));
  return text + account_text(summary.files, summary.not_read);
}

Report run_search(SearchJob& own, const JobContext& context) {
  retrieval::SearchOptions& search = own.search;
  search.strict = context.common.strict;
  search.memory_bytes = context.memory_bytes();
  search.device_memory_gib = context.common.device_memory_gib;
  search.command_line = context.command_line;
  search.wanted_device = context.common.device;
  context.comm.together([&] {
    turn_by_orientation(own.orientation, search.protocol);
    search.device = machine::choose_device(context.common.device, context.comm, /*has_own_kernels=*/true);
  });
  if (context.common.plan) return plan_report(retrieval::search_plan(context.comm, search), context);
  const retrieval::SearchSummary summary = retrieval::search(context.comm, search);
  return [=] { return summary_text(summary, own.search.output.string()); };
}

}  // namespace

Job search_job() {
  return make_job(
      {"search", "find the exemplars that match marks best", "",
       "Example:\n"
       "  mpirun -n 4 outsole search --index index.h5 --marks marks/ --output results.h5 --csv results.csv\n"
       "A database that grows by an index a week, without what was withdrawn:\n"
       "  outsole search --index base.h5 week*.h5 --withdrawn withdrawn.txt --marks marks/ --output results.h5\n"
       "Images that are aligned with those of the index, by the cosine of their features:\n"
       "  outsole search --index index.h5 --marks photos/ --no-search --similarity cosine --output results.h5\n"
       "Marks of another resolution than the exemplars' are scaled to it where both are known; the summary, the "
       "results\n"
       "(`mark_dpi`) and provenance say which.\n"
       "A photograph with a ruler, of which a mask says what is print, of a print that may lie any way:\n"
       "  outsole search --index index.h5 --marks photo.jpg --mark-ruler 212,1480,1393,1471,10 --all-around "
       "--output one.h5\n"
       "A line of the table: scale the mark by `scale`, mirror it if `mirrored`, turn it by `angle_deg` "
       "counter-clockwise;\n"
       "then its centre lies at (y_px, x_px) of the exemplar's own image.\n"},
      declare_search, run_search);
}

}  // namespace outsole::jobs
