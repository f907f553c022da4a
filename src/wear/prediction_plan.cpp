#include "wear/prediction_plan.h"

#include <spdlog/fmt/fmt.h>

#include <optional>

#include "wear/predictor.h"

namespace outsole::wear {

machine::Plan prediction_plan(const comm::Communicator& comm, const PredictOptions& options) {
  const PredictFacts facts = prediction_facts(comm, options);
  machine::Plan plan;
  plan.lines = {
      {"task", name_of(facts.task)},
      {"predictions", fmt::format("{} of {} inputs, model of {} x {} pixels, {:.2f} GFLOP each", facts.predictions,
                                  facts.inputs, facts.height_px, facts.width_px, 1e-9 * facts.flops_per_image)},
      {"partition",
       fmt::format("{} units on {} ranks{}", facts.units, comm.size(),
                   options.split_ranks > 1 ? fmt::format(", of which {} hold an image", options.split_ranks) : "")}};
  plan.work.memory_bytes = static_cast<double>(facts.memory_bytes);
  if (options.at_input_size) {
    plan.basis = "inputs of other sizes than the model's are not looked at";
    return plan;
  }
  std::optional<Predictor> model;
  comm.together([&] { model.emplace(options.model, options.device); });
  model->split(comm, options.split_ranks);
  const cv::Mat1b paper(model->size(), 255);
  const double image_s = machine::measured_seconds(comm, 3, [&] { (*model)(paper, options.weeks.front()); });
  plan.work.partitions = {{"units", facts.units}};
  if (options.split_ranks > 1) plan.work.partitions = {{"slabs", facts.units * options.split_ranks}};
  plan.work.compute_s = static_cast<double>(facts.predictions * options.split_ranks) * image_s;
  plan.work.written_bytes = static_cast<double>(facts.predictions * facts.height_px * facts.width_px);
  plan.basis = fmt::format("without pictures, {:.3g} s an image, measured now", image_s);
  return plan;
}

}  // namespace outsole::wear
