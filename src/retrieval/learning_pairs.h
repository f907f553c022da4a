#pragma once
// What metrics are learned from: marks laid over exemplars at their best pose, the true ones and the wrong ones that
// score best, as a store.

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "retrieval/mark_features.h"
#include "retrieval/open_index.h"
#include "store/store.h"

namespace outsole::retrieval {

inline constexpr char kPairsSchema[] = "outsole.pairs";

struct PairOptions {
  std::filesystem::path results;             // of a search of the marks by plain MCNCC, with all scores
  std::vector<std::filesystem::path> marks;  // image files, or folders of them
  bool recursive = false;                    // with the folders below
  std::filesystem::path labels;              // which exemplars are true
  std::filesystem::path groups;              // exemplars of the same tread, which are no wrong ones, nor are equal ones
  std::filesystem::path output;              // NAME.h5
  SearchProtocol protocol;                   // of the search
  std::int64_t negatives = 8;                // wrong exemplars a mark, those that score best
  std::int64_t memory_bytes = std::int64_t{4} << 30;
  at::Device device = at::Device(at::kCPU);
  std::vector<std::string> command_line;
};

/// Makes the store, or finds it made. A unit is some marks; carries on from an interrupted run. Collective; throws on
/// every rank: UsageError, DataError naming file and line where labels name what is not there, EnvironmentError,
/// StopRequested.
void make_learning_pairs(const comm::Communicator& comm, const PairOptions& options, const OpenIndex& index);

/// The store, open. Columns are read when they are asked for: they may be more than fits into memory.
class LearningPairs {
 public:
  struct Pair {
    std::int32_t mark = 0, exemplar = 0;
    bool is_true = false;
  };
  /// Columns [C, n] of both sides over the support, float32.
  struct Columns {
    at::Tensor mark, exemplar;
  };

  /// Collective.
  LearningPairs(const comm::Communicator& comm, const std::filesystem::path& path);

  const std::vector<Pair>& pairs() const { return pairs_; }
  const std::vector<std::string>& mark_ids() const { return mark_ids_; }
  const std::vector<std::string>& mark_sha256() const { return mark_sha256_; }
  const std::vector<std::string>& exemplar_ids() const { return exemplar_ids_; }
  std::int64_t channels() const { return channels_; }
  std::string sha256() const { return store_.sha256(); }

  /// Of each mark the positions of its true exemplars.
  std::vector<std::vector<std::int64_t>> true_exemplars() const;

  /// Throws DataError when the store is damaged. Any thread; not collective, as the next.
  Columns columns(std::int64_t pair) const;
  /// The NCC of every channel, [C] float64.
  at::Tensor ncc(std::int64_t pair) const;

 private:
  store::Store store_;
  std::int64_t channels_ = 0;
  std::vector<Pair> pairs_;
  std::vector<std::string> mark_ids_, mark_sha256_, exemplar_ids_;
};

/// The features of a view and of an exemplar under it, where the view's support lies on the frame at `pose`: columns
/// [C, n]. `exemplar` [C, W, H] as a block holds it. A pose that is not the view's is a Bug.
LearningPairs::Columns aligned_columns(const match::MarkView& view, const match::Pose& pose, const at::Tensor& exemplar,
                                       const match::FrameCells& frame, std::int64_t erosion_radius);

}  // namespace outsole::retrieval
