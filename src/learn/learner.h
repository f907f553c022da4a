#pragma once
// What `run` asks of whatever is trained. Nothing here knows what it is that learns, from what, or how it is judged.

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "learn/pending_number.h"
#include "learn/tensor_file.h"

namespace outsole::learn {

/// What a run is of, known before a learner is made. The same on every rank.
struct Subject {
  /// An object of plain entries: what makes a run the same run. How long it lasts and where it runs do not.
  nlohmann::json identity;
  /// Where a person changes an entry of `identity`, unless that is "--entry-name": {"dpi", "the dpi of --scans"}.
  std::map<std::string, std::string> changed_by;
  /// An object: what, besides the tensors, it takes to use the model. Its entries stand in the parameters of the model
  /// and of every checkpoint, beside `training` (the identity and how far it went).
  nlohmann::json structure;
  std::string model_schema;  // of model.h5: rows are tensors, as learn/tensor_file writes them
  std::int32_t model_version = 1;
  std::string examples = "examples";              // what a step learns from, in words
  std::string to_save_memory = "use more ranks";  // what a person can do when a step runs out of memory
};

/// The answer of who has learned nothing but the mean of all answers.
struct BestGuess {
  double loss = 0;
  std::string in_words;  // "one grey for all pixels"
};

/// Its calls come in the same order on every rank, and all may communicate. What it computes must depend on the
/// subject, the epoch and the step alone, not on the number of ranks, but for rounding.
class Learner {
 public:
  virtual ~Learner() = default;

  /// What is learned, the same on every rank, in the order in which the forward pass needs it; it requires gradients,
  /// lies on one device, is contiguous, and changes in place. Kept in 32 bit.
  virtual std::vector<NamedTensor> parameters() const = 0;

  virtual std::int64_t steps_per_epoch() const = 0;

  /// Before the first step of an epoch, or the one to go on with.
  virtual void begin_epoch(std::int64_t epoch) = 0;

  /// Adds to the parameters' gradients what this rank knows of step `step` of the epoch, and returns its part of the
  /// step's loss: the sums over all ranks are the step's gradients and loss. Gradients are summed while the backward
  /// pass, of which there is one at most, still runs. An Error is thrown on every rank (see Communicator::together);
  /// whatever else is thrown, as where memory runs out, `run` tells the other ranks at the end of the step, which they
  /// must reach: ranks that wait for each other within the step must see to that themselves.
  virtual PendingNumber add_gradients(std::int64_t step) = 0;

  /// Whether a step's loss comes after `add_gradients` has returned, as it does from a GPU that works while the next
  /// step is got ready. It is then looked at a step later, and nobody waits for the GPU within a step.
  virtual bool losses_are_late() const { return false; }

  /// What the steps [first, end) of this epoch, of which there is one at least, weigh in the mean of the losses of an
  /// epoch; more than 0.
  virtual double weight(std::int64_t first, std::int64_t end) const = 0;

  /// What step `step` learns from, on all ranks: for the rate that is told.
  virtual std::int64_t examples(std::int64_t step) const = 0;

  /// After an epoch: the loss of what is held out, when it is time to look at it. Every rank has the same.
  virtual std::optional<double> judge(std::int64_t epochs_done, bool is_last) = 0;

  /// Bytes that this rank has read so far, for what is told of a run.
  virtual std::int64_t bytes_read() const { return 0; }

  /// What a loss must fall below for something to have been learned, where that is known.
  virtual std::optional<BestGuess> best_guess() const { return {}; }
};

}  // namespace outsole::learn
