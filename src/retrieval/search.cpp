#include "retrieval/search.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <future>
#include <limits>
#include <numeric>
#include <optional>
#include <set>
#include <utility>

#include "comm/partition.h"
#include "comm/watchdog.h"
#include "core/clock.h"
#include "core/files.h"
#include "core/progress.h"
#include "core/provenance.h"
#include "core/sha256.h"
#include "core/stop.h"
#include "image/image.h"
#include "match/lanes.h"
#include "retrieval/search_results.h"
#include "retrieval/search_setup.h"
#include "store/write_units.h"

namespace outsole::retrieval {

namespace {

using match::BestPose;
using match::kLanes;

/// Refuses a table that could not be written once the search is done.
void check_csv_folder(const std::filesystem::path& csv) {
  if (csv.has_parent_path() && !std::filesystem::is_directory(csv.parent_path())) {
    throw EnvironmentError(csv.string() + ": the folder does not exist; create it or choose another --csv");
  }
}

/// Under --strict all marks are looked at before the first is searched, so that a bad one leaves nothing behind.
/// Ranks share the marks. Collective.
void check_marks(const comm::Communicator& comm, const SearchOptions& options, const SearchSetup& setup) {
  const comm::UnitRange mine = comm::units_of(std::ssize(setup.marks), comm.rank(), comm.size());
  const OpenIndex& index = setup.index;
  comm.together([&] {
    for (std::int64_t i = mine.begin; i < mine.end; ++i) {
      const auto& file = setup.marks[static_cast<std::size_t>(i)];
      const ScaledMark mark = read_scaled_mark(file, index.parameters, options.protocol);
      if (useful_flops_per_exemplar(mark, *index.extractor, index.parameters, options.protocol) == 0) {
        throw no_support_left(file);
      }
    }
  });
}

/// Identity of the marks: names and content of images and masks, so that results are never taken for those of a mark
/// that was changed since.
std::string digest_of(const std::vector<std::filesystem::path>& files) {
  Sha256 digest;
  const auto add = [&](const std::filesystem::path& file) {
    std::string line = file.filename().string() + "\n";
    try {
      line += sha256_of_file(file) + "\n";
    } catch (const DataError&) {  // the search will say why
      line += "unreadable\n";
    }
    digest.update(std::as_bytes(std::span(line)));
  };
  for (const auto& file : files) {
    add(file);
    if (const auto mask = image::mask_path_of(file); std::filesystem::exists(mask)) add(mask);
  }
  return digest.hex();
}

/// What decides the results: the header of their store. Collective.
nlohmann::json header_parameters(const comm::Communicator& comm, const SearchOptions& options,
                                 const SearchSetup& setup) {
  std::string marks_sha256;
  comm.together([&] {
    if (comm.is_root()) marks_sha256 = digest_of(setup.marks);
  });
  nlohmann::json parameters = {{"index_sha256", setup.index.store.sha256()},
                               {"angles_deg", options.protocol.angles_deg},
                               {"stride_px", options.protocol.stride_px},
                               {"erosion_fraction", options.protocol.erosion_fraction},
                               {"similarity", match::name_of(options.protocol.similarity)},
                               {"arithmetic", setup.path.arithmetic()},
                               {"top", std::min(options.top, setup.index.parameters.exemplars)},
                               {"all_scores", options.all_scores},
                               {"marks", setup.marks.size()},
                               {"marks_sha256", comm.broadcast(marks_sha256)}};
  if (options.coarse > 0) parameters["coarse"] = options.coarse;
  if (options.compute_precision != "32") parameters["compute_precision"] = options.compute_precision;
  return parameters;
}

/// A mark and some or all of its views.
struct SeenMark {
  ScaledMark mark;
  std::vector<match::MarkView> views;
};

/// Marks in the order in which this rank searches them, each with what this rank sees of it. On a GPU the next mark is
/// read, turned and sent through the extractor while this one is searched. On a CPU it is not: the search keeps every
/// core busy, so the work would only be done at another time.
class MarkQueue {
 public:
  using See = std::function<SeenMark(const std::filesystem::path&)>;
  struct Item {
    std::filesystem::path file;
    std::future<SeenMark> seen;
  };

  MarkQueue(std::vector<std::filesystem::path> files, See see, bool looks_ahead)
      : files_(std::move(files)),
        see_(std::move(see)),
        policy_(looks_ahead ? std::launch::async : std::launch::deferred),
        next_(begin(0)) {}

  Item take() {
    Item item = {files_.at(taken_++), std::move(next_)};
    next_ = begin(taken_);
    return item;
  }

 private:
  std::future<SeenMark> begin(std::size_t position) const {
    if (position == files_.size()) return {};
    return std::async(policy_, see_, files_[position]);
  }

  std::vector<std::filesystem::path> files_;
  See see_;
  std::launch policy_;
  std::size_t taken_ = 0;
  std::future<SeenMark> next_;
};

/// The `count` best of `found`, by score, then position; ascending.
std::vector<std::int64_t> best_of(const std::vector<BestPose>& found, std::int64_t count) {
  std::vector<std::int64_t> order(found.size());
  std::iota(order.begin(), order.end(), 0);
  const auto score = [&](std::int64_t i) { return found[static_cast<std::size_t>(i)].score; };
  const auto last = order.begin() + std::min(count, std::ssize(order));
  std::partial_sort(order.begin(), last, order.end(), [&](std::int64_t a, std::int64_t b) {
    return score(a) > score(b) || (score(a) == score(b) && a < b);
  });
  order.erase(last, order.end());
  std::sort(order.begin(), order.end());
  return order;
}

/// A search in progress; made by all ranks together. Where ranks share the exemplars, every rank calls its functions
/// with the same marks; where they share the marks, each with its own.
class Search {
 public:
  Search(const comm::Communicator& comm, const SearchOptions& options, const SearchSetup& setup)
      : comm_(comm),
        options_(options),
        setup_(setup),
        own_(setup.partition.splits_marks ? comm::UnitRange{0, parameters().blocks()}
                                          : comm::units_of(parameters().blocks(), comm.rank(), comm.size())),
        blocks_(setup.index.store, parameters(), own_.begin, own_.end, setup.block_memory_bytes,
                setup.path.block_access()),
        marks_at_a_time_(-comm.max(-most_marks_at_a_time())) {}

  /// What this rank sees of a mark: all of its views, or its share of them. Not collective.
  SeenMark see(const std::filesystem::path& file) const {
    SeenMark seen = {read_scaled_mark(file, parameters(), options_.protocol), {}};
    const std::vector<ViewTask> tasks = view_tasks(seen.mark, parameters().geometry.stride_px);
    const comm::UnitRange mine = splits_marks() ? comm::UnitRange{0, std::ssize(tasks)}
                                                : comm::units_of(std::ssize(tasks), comm_.rank(), comm_.size());
    const auto own =
        std::span(tasks).subspan(static_cast<std::size_t>(mine.begin), static_cast<std::size_t>(mine.size()));
    seen.views = make_views(seen.mark, own, *setup_.index.extractor, parameters(), options_.protocol, options_.device);
    return seen;
  }

  /// The results of the next marks of the queue, of `counts[i]` marks in part i, in their order; without bad marks, and
  /// on ranks other than root, where they share exemplars, without any. Where blocks are streamed, one pass over them
  /// serves marks_at_a_time of these marks.
  std::vector<std::vector<MarkResult>> search_marks(MarkQueue& queue, std::span<const std::int64_t> counts) {
    std::vector<std::size_t> part_of;  // of each mark
    for (std::size_t part = 0; part < counts.size(); ++part) {
      part_of.insert(part_of.end(), static_cast<std::size_t>(counts[part]), part);
    }
    std::vector<std::vector<MarkResult>> parts(counts.size());
    const auto at_a_time = static_cast<std::size_t>(marks_at_a_time_);
    for (std::size_t begin = 0; begin < part_of.size(); begin += at_a_time) {
      search_batch(queue, std::span(part_of).subspan(begin, std::min(at_a_time, part_of.size() - begin)), parts);
    }
    return parts;
  }

  /// The same on all ranks that search the same marks.
  std::int64_t marks_at_a_time() const { return marks_at_a_time_; }

  /// Every rank's findings to root, which gets the summary. Collective.
  SearchSummary gather_summary() {
    const auto all =
        comm_.gather(nlohmann::json(summary_.skipped).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    summary_.skipped.clear();
    for (const std::string& part : all) {
      for (const auto& reason : nlohmann::json::parse(part)) summary_.skipped.push_back(reason.get<std::string>());
    }
    CoarseRecall& recall = summary_.coarse_recall;
    for (std::int64_t* count : {&recall.marks, &recall.first_kept, &recall.top, &recall.top_kept}) {
      *count = comm_.sum(*count);
    }
    return summary_;
  }

 private:
  struct ReadyMark {
    SeenMark seen;  // without its image; the views only for a first pass
    MarkMatcher matcher;
    std::size_t part;  // of the results
  };

  const IndexParameters& parameters() const { return setup_.index.parameters; }
  bool splits_marks() const { return setup_.partition.splits_marks; }

  /// How many marks this rank could search at a time.
  std::int64_t most_marks_at_a_time() const {
    return splits_marks() || blocks_.in_memory() ? 1 : most_marks_a_pass(setup_, options_);
  }

  /// Searches the next marks of the queue at once, and adds their results to the parts they belong to.
  void search_batch(MarkQueue& queue, std::span<const std::size_t> part_of,
                    std::vector<std::vector<MarkResult>>& parts) {
    const double start = now_s();
    std::vector<ReadyMark> ready;
    for (const std::size_t part : part_of) {
      if (auto mark = make_ready(queue.take(), part)) ready.push_back(std::move(*mark));
    }
    summary_.seconds_features += now_s() - start;

    std::vector<MarkResult> results;
    if (options_.coarse > 0) {
      for (const ReadyMark& mark : ready) results.push_back(search_coarsely_first(mark.matcher, mark.seen));
    } else {
      std::vector<const MarkMatcher*> matchers;
      for (const ReadyMark& mark : ready) matchers.push_back(&mark.matcher);
      for (auto& best : search_all(matchers)) results.push_back({{}, std::move(best), {}});
    }
    summary_.seconds_search += now_s() - start;
    if (!splits_marks() && !comm_.is_root()) return;
    for (std::size_t i = 0; i < ready.size(); ++i) {
      results[i].mark = std::move(ready[i].seen.mark);
      parts[ready[i].part].push_back(std::move(results[i]));
    }
  }

  /// A mark with all that its search needs; nothing when it is bad.
  std::optional<ReadyMark> make_ready(MarkQueue::Item item, std::size_t part) {
    std::optional<SeenMark> seen;
    on_all_ranks([&] { seen = unless_bad(item.file, [&] { return item.seen.get(); }); });
    agree_on(item.file, seen.has_value());
    if (!seen) return std::nullopt;
    if (!splits_marks()) seen->views = share_views(comm_, std::move(seen->views));
    seen->mark.image = seen->mark.support = at::Tensor();  // no longer needed
    std::optional<MarkMatcher> matcher;
    on_all_ranks([&] {
      // A first pass will need the views again.
      auto views = options_.coarse > 0 ? seen->views : std::exchange(seen->views, {});
      matcher = unless_bad(item.file, [&] { return prepare(std::move(views), item.file); });
    });
    if (!matcher) return std::nullopt;
    return ReadyMark{std::move(*seen), std::move(*matcher), part};
  }

  /// A step of one mark, which does not communicate. Where ranks share a mark, an error on one reaches all.
  void on_all_ranks(const std::function<void()>& step) const {
    if (splits_marks()) return step();
    comm_.together(step);
  }

  /// Runs `work` on one mark; a mark whose file is bad is told, counted and left out. Where ranks share the mark every
  /// one finds the same fault, and rank 0 tells it.
  template <typename Work>
  auto unless_bad(const std::filesystem::path& file, Work&& work) -> std::optional<decltype(work())> {
    try {
      return work();
    } catch (const DataError& error) {
      if (options_.strict) throw;
      if (!splits_marks() && !comm_.is_root()) return std::nullopt;
      const std::string reason = error.what();  // of the mark, or of its mask
      summary_.skipped.push_back(reason.starts_with(file.string()) ? reason : file.string() + ": " + reason);
      spdlog::warn("skipped {}", summary_.skipped.back());
      return std::nullopt;
    }
  }

  /// Ranks that share a mark must all have read it, or none.
  void agree_on(const std::filesystem::path& file, bool is_read) const {
    if (splits_marks()) return;
    const bool is_bad_somewhere = comm_.any_of(!is_read);
    comm_.together([&] {
      if (is_read && is_bad_somewhere) {
        throw EnvironmentError(file.string() + ": only some ranks can read it; do all of them see the same folder?");
      }
    });
  }

  /// Throws DataError when nothing is left of the support at any pose.
  MarkMatcher prepare(std::vector<match::MarkView> views, const std::filesystem::path& file) const {
    MarkMatcher matcher(setup_.path, std::move(views), parameters(), options_.protocol, setup_.index.channels);
    if (matcher.useful_flops_per_exemplar() == 0) throw no_support_left(file);
    return matcher;
  }

  /// The ranks' results one after another, on root, where they share exemplars; on this rank alone, its own.
  std::vector<BestPose> gather(std::vector<BestPose> mine) const {
    if (splits_marks()) return mine;
    const std::string bytes(reinterpret_cast<const char*>(mine.data()), mine.size() * sizeof(BestPose));
    std::vector<BestPose> all;
    for (const std::string& part : comm_.gather(bytes)) {
      const std::size_t begin = all.size();
      all.resize(begin + part.size() / sizeof(BestPose));
      std::memcpy(all.data() + begin, part.data(), part.size());
    }
    return all;
  }

  /// The best pose of every exemplar for each mark, in one pass over the blocks. On root, or on this rank alone.
  std::vector<std::vector<BestPose>> search_all(std::span<const MarkMatcher* const> marks) {
    std::vector<std::vector<BestPose>> best(marks.size());
    for (auto& of_mark : best) of_mark.resize(static_cast<std::size_t>(own_.size() * kLanes));
    on_all_ranks([&] {
      if (marks.empty()) return;
      blocks_.visit([&](std::span<const at::Tensor> run, std::int64_t first) {
        // A pass from disk may outlast the time a cluster gives; what the marks before have found is saved.
        if (!blocks_.in_memory() && stop_requested()) throw StopRequested("stopped on request while searching");
        for (std::size_t i = 0; i < marks.size(); ++i) {
          marks[i]->search(run,
                           std::span(best[i]).subspan(static_cast<std::size_t>(first * kLanes), run.size() * kLanes));
        }
      });
    });
    for (auto& of_mark : best) {
      of_mark = gather(std::move(of_mark));
      // On root: without the last block's empty lanes.
      if (!of_mark.empty()) of_mark.resize(static_cast<std::size_t>(parameters().exemplars));
    }
    return best;
  }

  std::vector<BestPose> search_all(const MarkMatcher& mark) {
    const MarkMatcher* const marks[] = {&mark};
    return std::move(search_all(marks).front());
  }

  /// The best pose of `exemplars` (ascending), in their order. On root, or on this rank alone.
  std::vector<BestPose> search_some(const MarkMatcher& matcher, std::span<const std::int64_t> exemplars) {
    std::vector<std::int64_t> mine;
    for (const std::int64_t exemplar : exemplars) {
      const std::int64_t own = exemplar - own_.begin * kLanes;
      if (own >= 0 && own < own_.size() * kLanes) mine.push_back(own);
    }
    std::vector<BestPose> best;
    on_all_ranks([&] {
      blocks_.visit_exemplars(mine, [&](std::span<const at::Tensor> packed, std::span<const std::int64_t> numbers) {
        std::vector<BestPose> found(packed.size() * kLanes);
        matcher.search(packed, found);
        best.insert(best.end(), found.begin(), found.begin() + std::ssize(numbers));
      });
    });
    return gather(std::move(best));
  }

  /// A first pass over a coarse grid, then the best `coarse` exemplars of it in full.
  MarkResult search_coarsely_first(const MarkMatcher& matcher, const SeenMark& seen) {
    std::optional<MarkMatcher> coarse;
    on_all_ranks([&] {
      coarse.emplace(setup_.path, coarse_views(seen.views, seen.mark.grid, parameters().geometry.stride_px),
                     parameters(), options_.protocol, setup_.index.channels);
    });
    if (coarse->useful_flops_per_exemplar() == 0) {  // the support lies between the coarse grid's cells
      std::vector<BestPose> best = search_all(matcher);
      std::vector<float> unknown(best.size(), std::numeric_limits<float>::quiet_NaN());
      return {{}, std::move(best), std::move(unknown)};
    }
    const std::vector<BestPose> first_pass = search_all(*coarse);
    const std::vector<std::int64_t> kept = agreed_best(first_pass);
    const std::vector<BestPose> second_pass = search_some(matcher, kept);
    if (searched_in_full_ < options_.coarse_recall) {
      ++searched_in_full_;
      count_recall(search_all(matcher), kept);
    }
    MarkResult result;
    for (const BestPose& found : first_pass) result.coarse_score.push_back(found.score);
    result.best.assign(first_pass.size(), {std::numeric_limits<float>::quiet_NaN(), {}});
    for (std::size_t i = 0; i < second_pass.size(); ++i)
      result.best[static_cast<std::size_t>(kept[i])] = second_pass[i];
    return result;
  }

  /// The exemplars that the first pass keeps, known to every rank that searches the mark.
  std::vector<std::int64_t> agreed_best(const std::vector<BestPose>& first_pass) const {
    const std::vector<std::int64_t> best = best_of(first_pass, options_.coarse);
    if (splits_marks()) return best;
    return nlohmann::json::parse(comm_.broadcast(nlohmann::json(best).dump()));
  }

  /// Compares what was kept with the best of an exhaustive search (empty but on root where ranks share the mark).
  void count_recall(const std::vector<BestPose>& exhaustive, std::span<const std::int64_t> kept) {
    if (exhaustive.empty()) return;
    const auto kept_of = [&](std::int64_t count) {
      const std::vector<std::int64_t> best = best_of(exhaustive, count);
      return std::count_if(best.begin(), best.end(), [&](std::int64_t exemplar) {
        return std::binary_search(kept.begin(), kept.end(), exemplar);
      });
    };
    CoarseRecall& recall = summary_.coarse_recall;
    ++recall.marks;
    recall.first_kept += kept_of(1);
    recall.top += std::min(options_.top, std::ssize(exhaustive));
    recall.top_kept += kept_of(options_.top);
  }

  const comm::Communicator& comm_;
  const SearchOptions& options_;
  const SearchSetup& setup_;
  comm::UnitRange own_;    // blocks that this rank searches
  ExemplarBlocks blocks_;  // those
  std::int64_t marks_at_a_time_;
  SearchSummary summary_;
  std::int64_t searched_in_full_ = 0;
};

/// Searches the marks of the pending units and writes each unit. Collective.
void search_units(const comm::Communicator& comm, const SearchOptions& options, const SearchSetup& setup,
                  std::span<const std::int64_t> pending, store::StoreWriter& writer, Search& search) {
  const comm::UnitRange mine = setup.partition.splits_marks
                                   ? comm::units_of(std::ssize(pending), comm.rank(), comm.size())
                                   : comm::UnitRange{0, std::ssize(pending)};
  std::vector<std::filesystem::path> files;
  for (std::int64_t i = mine.begin; i < mine.end; ++i) {
    const auto marks = setup.marks_of_unit(pending[static_cast<std::size_t>(i)]);
    files.insert(files.end(), marks.begin(), marks.end());
  }
  MarkQueue queue(
      files, [&](const std::filesystem::path& file) { return search.see(file); }, options.device.is_cuda());
  const auto columns_of = [&](const std::vector<MarkResult>& results) {
    return result_columns(results, setup.index, std::min(options.top, setup.index.parameters.exemplars),
                          options.all_scores, options.coarse > 0);
  };
  const auto marks_of = [&](std::int64_t unit) { return std::ssize(setup.marks_of_unit(unit)); };
  if (setup.partition.splits_marks) {
    return store::write_pending_units(comm, writer, setup.units, pending, "searching", [&](std::int64_t unit) {
      const std::int64_t counts[] = {marks_of(unit)};
      return columns_of(search.search_marks(queue, counts).front());
    });
  }
  Progress progress("searching", setup.marks_per_unit == 1 ? "marks" : "units", setup.units, comm.is_root(),
                    setup.units - std::ssize(pending));
  const auto units_at_a_time =
      static_cast<std::size_t>(std::max<std::int64_t>(1, search.marks_at_a_time() / setup.marks_per_unit));
  for (std::size_t begin = 0; begin < pending.size(); begin += units_at_a_time) {
    const auto units = pending.subspan(begin, std::min(units_at_a_time, pending.size() - begin));
    comm::now_doing("searching unit " + std::to_string(units.front()));
    std::vector<std::int64_t> counts;
    for (const std::int64_t unit : units) counts.push_back(marks_of(unit));
    const auto results = search.search_marks(queue, counts);
    for (std::size_t i = 0; i < units.size(); ++i) {
      comm.together([&] {
        if (comm.is_root()) writer.write_unit(units[i], columns_of(results[i]));
      });
      progress.advance();
    }
    if (units.back() != pending.back()) store::leave_if_asked_to_stop(comm);
  }
}

/// Marks that an interrupted run had left out are named, too. Results without any mark are no results: they are
/// removed, and DataError says why.
void add_marks_skipped_before(const std::filesystem::path& results, const std::vector<std::filesystem::path>& files,
                              SearchSummary& summary) {
  const auto ids = std::get<std::vector<std::string>>(store::Store(results, kResultsSchema).read("mark_id").values);
  const std::set<std::string> found(ids.begin(), ids.end());
  for (const auto& file : files) {
    const auto names_file = [&](const std::string& reason) { return reason.starts_with(file.string() + ":"); };
    if (found.contains(id_of(file)) || std::any_of(summary.skipped.begin(), summary.skipped.end(), names_file))
      continue;
    summary.skipped.push_back(file.string() + ": left out by an earlier run of this command");
  }
  if (!ids.empty()) return;
  std::filesystem::remove(results);
  std::filesystem::remove_all(std::filesystem::path(results).replace_extension(".shards"));
  throw DataError("no mark could be searched; the first: " + summary.skipped.front());
}

/// What belongs to finished results, as far as it is missing: provenance, table. Rank 0 only.
void conclude(const comm::Communicator& comm, const SearchOptions& options, const SearchSetup& setup,
              const nlohmann::json& parameters, SearchSummary& summary) {
  add_marks_skipped_before(options.output, setup.marks, summary);
  nlohmann::json details = parameters;
  if (!summary.was_finished) details["searched_by"] = setup.path.description();
  details["skipped"] = summary.skipped;
  write_provenance(options.output, options.command_line, comm.size(), details, summary.was_finished);
  if (!options.csv.empty()) write_candidates_csv(options.output, options.csv);
}

}  // namespace

SearchSummary search(const comm::Communicator& comm, const SearchOptions& options) {
  const SearchSetup setup = set_up_search(comm, options);
  comm.together([&] { check_csv_folder(options.csv); });
  const nlohmann::json parameters = header_parameters(comm, options, setup);
  if (options.strict) check_marks(comm, options, setup);
  std::optional<store::StoreWriter> writer;
  store::open_writer(comm, options.output, {kResultsSchema, 1, parameters}, setup.units, writer);

  SearchSummary summary;
  const bool was_finished = comm.any_of(writer->is_finished());
  if (!was_finished) {
    Search search(comm, options, setup);
    const std::vector<std::int64_t> pending = store::agreed_pending_units(comm, *writer, setup.units);
    search_units(comm, options, setup, pending, *writer, search);
    summary = search.gather_summary();
    store::finish_store(comm, *writer, setup.units, [&]() -> store::Columns {
      return {{"exemplar_id", {{setup.index.parameters.exemplars}, setup.index.ids, {}}}};
    });
  }
  writer.reset();
  summary.was_finished = was_finished;
  summary.exemplars = setup.index.parameters.exemplars;
  comm.together([&] {
    if (!comm.is_root()) return;
    summary.marks = store::Store(options.output, kResultsSchema).rows();
    conclude(comm, options, setup, parameters, summary);
  });
  return summary;
}

}  // namespace outsole::retrieval
