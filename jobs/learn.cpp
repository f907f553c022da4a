#include <spdlog/fmt/fmt.h>

#include "account.h"
#include "job.h"
#include "machine/device.h"
#include "mark_options.h"
#include "mark_resolutions.h"
#include "mark_summary.h"
#include "plan.h"
#include "retrieval/learn_metric.h"
#include "retrieval/search_plan.h"

namespace outsole::jobs {

namespace {

namespace fs = std::filesystem;

struct LearnJob {
  retrieval::LearnOptions learn;
  MarkOrientation orientation;
  fs::path import_file;
  std::string method;
};

void declare_positive_search(LearnJob& own, Options& options) {
  options.begin_group("The search that finds the marks' poses");
  declare_mark_options(own.learn.search.protocol, own.orientation, options);
}

void declare_terms(retrieval::LearnOptions& learn, Options& options) {
  options.begin_group("What is learned");
  options
      .add("components", "K", learn.components,
           "of the projections, at most as many as channels: a search with K of them takes K / channels of the time; "
           "0: as many as channels")
      .at_least(0);
  options.add("negatives", "N", learn.negatives, "wrong exemplars a mark, those that score best").at_least(1);
  options.add_parsed(
      "ridge", "R,R...", learn.ridges,
      [](const std::string& text) {
        return parse_list<double>(text, 0, "shares of 0 or more, as in 1e-3 or 1e-3,1e-2");
      },
      "0.001",
      "so much of a side's mean variance is added to every channel's before covariances are inverted; of several, each "
      "metric takes the one that does best in cross-validation among the marks it may learn from");
  options
      .add("alpha", "A", learn.terms.alpha, "weight of |W|^2 against the hinge loss of all pairs: C of the SVM is 1/A")
      .above(0);
  options.begin_group("With --method finetune");
  options.add("init", "METRIC.h5", learn.init, "start from this metric instead of cca+weights")
      .only_with("method", {"finetune"});
  options.add("beta", "B", learn.terms.beta, "weight of |U|^2 + |V|^2").at_least(0).only_with("method", {"finetune"});
  options.add("epochs", "N", learn.training.epochs, "passes over all pairs")
      .at_least(1)
      .only_with("method", {"finetune"});
  options.add("minutes", "M", learn.training.minutes, "of a fold, whatever --epochs")
      .above(0)
      .only_with("method", {"finetune"});
  options.add("batch", "N", learn.terms.batch, "pairs a step, shared by the ranks")
      .at_least(1)
      .only_with("method", {"finetune"});
  options.add("learning-rate", "R", learn.training.adam.learning_rate, "of Adam")
      .above(0)
      .only_with("method", {"finetune"});
  options.add("seed", "N", learn.terms.seed, "of the order of pairs").only_with("method", {"finetune"});
  options.add("checkpoint-minutes", "M", learn.training.checkpoint_minutes, "time between checkpoints")
      .above(0)
      .only_with("method", {"finetune"});
}

void declare_learn(LearnJob& own, Options& options) {
  retrieval::LearnOptions& learn = own.learn;
  learn.training.epochs = 20;
  learn.training.adam.learning_rate = 1e-3;
  options
      .add("index", "NAME.h5...", learn.search.indexes,
           "the exemplars' feature maps, as they are; several as for a search")
      .required();
  options.add("weights", "FILE.safetensors", learn.search.weights_path, "the weights the index was made with");
  options.add("marks", "FILE|DIR...", learn.search.marks, "images of marks, as for a search");
  options.add_switch("recursive", learn.search.recursive, "marks in folders below the folders of marks, too")
      .only_with("marks");
  options.add("labels", "CSV", learn.labels, "mark,exemplar (or query,ref): which exemplars left them");
  options
      .add("method", "weights|pca|cca|cca+weights|finetune", own.method,
           "weigh the channels by an SVM; whiten each side by itself; canonical correlations of both sides; these "
           "weighed; these tuned by gradient descent, too")
      .one_of({"weights", "pca", "cca", "cca+weights", "finetune"});
  options
      .add("folds", "N", learn.folds,
           "cross-validation: a metric for each of N parts of the marks, learned from the others, sharing neither "
           "exemplars nor groups")
      .at_least(1)
      .at_most(1000);
  options.add(
      "groups", "CSV", learn.groups,
      "exemplar,group: exemplars of the same tread, which stay in one fold and are no wrong ones for each other");
  options.add("results", "NAME.h5", learn.results,
              "of `outsole search --all-scores` of the marks in the index, which then are not searched here");
  options.add("pairs", "NAME.h5", learn.pairs,
              "where the pairs are kept that metrics are learned from; found there, they are taken (default: "
              "METRIC.pairs.h5 beside the output)");
  options.add("import", "FILE.safetensors", own.import_file,
              "learn nothing, but take published tensors: query_T and trace_T [K, C], w [K], if there are any "
              "query_mean, trace_mean [C] and b [1]");
  options.add("output", "METRIC.h5", learn.output, "the metric to write, or one a fold").required();
  declare_positive_search(own, options);
  declare_terms(learn, options);
}

/// What an import does without.
void require_marks(const LearnJob& own) {
  if (!own.import_file.empty()) {
    if (!own.method.empty() || !own.learn.search.marks.empty() || !own.learn.labels.empty()) {
      throw UsageError("--import: learns nothing, so it takes no --method, --marks or --labels");
    }
    return;
  }
  if (own.learn.search.marks.empty()) throw UsageError("the option '--marks' is required but missing");
  if (own.learn.labels.empty()) throw UsageError("the option '--labels' is required but missing");
  if (own.method.empty()) throw UsageError("the option '--method' is required but missing");
}

machine::Plan plan_of(const JobContext& context, const LearnJob& own) {
  machine::Plan plan;
  if (own.import_file.empty() && own.learn.results.empty()) {
    plan = retrieval::search_plan(context.comm, own.learn.search);
    plan.basis += "; the search alone, beside which learning takes little, but for fine-tuning";
  } else {
    plan.lines.push_back({"search", "none"});
  }
  if (own.import_file.empty()) {
    plan.lines.push_back({"metrics", fmt::format("{}, by {}", own.learn.folds, own.method)});
  }
  return plan;
}

/// `learns`: from marks, which an import does not.
std::string summary_text(const retrieval::LearnSummary& summary, const fs::path& output, bool learns) {
  std::string text;
  if (summary.was_finished) text += fmt::format("{} was complete already\n", output.string());
  text += fmt::format("{}: {} metric{} of {} components of {} channels", output.string(), summary.metrics,
                      summary.metrics == 1 ? "" : "s", summary.components, summary.channels);
  if (summary.marks > 0) text += fmt::format(", from {} marks and {} pairs", summary.marks, summary.pairs);
  text += "\n";
  if (!summary.correlations.empty()) {
    text += "highest correlations across the sides:";
    for (const double correlation : summary.correlations) text += fmt::format(" {:.3f}", correlation);
    text += "\n";
  }
  if (!learns) return text;
  return text + resolutions_text(summary.exemplar_dpi, summary.resolutions) + marks_text(summary.marks_account) +
         account_text(summary.mark_files, summary.not_read);
}

Report run_learn(LearnJob& own, const JobContext& context) {
  retrieval::LearnOptions& learn = own.learn;
  retrieval::SearchOptions& search = learn.search;
  search.strict = context.common.strict;
  search.memory_bytes = context.memory_bytes();
  search.device_memory_gib = context.common.device_memory_gib;
  search.command_line = context.command_line;
  context.comm.together([&] {
    require_marks(own);
    turn_by_orientation(own.orientation, search.protocol);
    if (!own.method.empty()) learn.method = retrieval::parse_learn_method(own.method);
    search.device = machine::choose_device(context.common.device, context.comm);
  });
  if (context.common.plan) return plan_report(plan_of(context, own), context);
  const retrieval::LearnSummary summary = own.import_file.empty()
                                              ? retrieval::learn_metric(context.comm, learn)
                                              : retrieval::import_metric(context.comm, own.import_file, learn);
  return [=] { return summary_text(summary, own.learn.output, own.import_file.empty()); };
}

}  // namespace

Job learn_job() {
  return make_job(
      {"learn", "learn from labelled marks how marks and exemplars are best compared", "",
       "Examples:\n"
       "  mpirun -n 2 outsole learn --index index.h5 --marks marks/ --labels labels.csv --method cca+weights \\\n"
       "      --components 64 --output metric.h5\n"
       "  outsole search --index index.h5 --metric metric.h5 --marks new_marks/ --output results.h5\n"
       "With --folds a metric can be judged by the marks it was learned from: `outsole search --metric` takes for "
       "each\n"
       "mark the metric of its fold, which has seen neither the mark nor its exemplar nor one of the same group.\n"
       "The search that finds the poses takes nearly all of the time. Its results and the pairs are kept beside\n"
       "METRIC.h5; another --method with the same --pairs begins with them. Stopped by TERM or by a crash, the same\n"
       "command carries on.\n"},
      declare_learn, run_learn);
}

}  // namespace outsole::jobs
