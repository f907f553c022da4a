#include "comm/launch.h"

#include <charconv>
#include <cstdint>
#include <cstring>
#include <optional>

namespace outsole::comm {

namespace {

std::optional<std::int64_t> number_in(const Environ& environ, const char* name) {
  const char* text = environ(name);
  if (text == nullptr) return std::nullopt;
  std::int64_t value = 0;
  const char* const end = text + std::strlen(text);
  const auto [stop, error] = std::from_chars(text, end, value);
  if (error != std::errc() || stop != end || value < 0) return std::nullopt;
  return value;
}

/// The tasks of the step of Slurm's that this process belongs to.
std::optional<std::int64_t> tasks_of_step(const Environ& environ) {
  if (const auto tasks = number_in(environ, "SLURM_STEP_NUM_TASKS")) return tasks;
  // Of older versions, or through a wrapper that passes only some on. A step that srun made has a small number; those
  // of the batch script and of salloc's shell have numbers near 2^32.
  constexpr std::int64_t kFirstSpecialStep = 0xFFFF'FF00;
  std::optional<std::int64_t> step = number_in(environ, "SLURM_STEP_ID");
  if (!step) step = number_in(environ, "SLURM_STEPID");
  const bool is_srun = step && *step < kFirstSpecialStep;
  const bool is_later_task = number_in(environ, "SLURM_PROCID").value_or(0) > 0;  // a script is task 0
  if (!is_srun && !is_later_task) return std::nullopt;
  if (const auto tasks = number_in(environ, "SLURM_NTASKS")) return tasks;
  return number_in(environ, "SLURM_NPROCS");
}

}  // namespace

Launch find_launch(const Environ& environ) {
  const auto launch = [](const char* launcher, std::int64_t tasks) {
    return Launch{launcher, static_cast<int>(tasks < INT32_MAX ? tasks : INT32_MAX)};
  };
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE"}) {
    if (const auto tasks = number_in(environ, name)) return launch("mpirun", *tasks);
  }
  const auto step = tasks_of_step(environ);
  const auto pmi = number_in(environ, "PMI_SIZE");  // of mpiexec, or of srun itself
  if (pmi && pmi != step) return launch("mpiexec", *pmi);
  if (step) return launch("Slurm", *step);
  return {};
}

std::string launch_complaint(const Launch& launch, int ranks) {
  if (ranks != 1 || launch.tasks <= 1) return "";
  const std::string what = launch.launcher + " started " + std::to_string(launch.tasks) +
                           " tasks, MPI sees 1: each would do all of the work and write the same files. ";
  if (launch.launcher == "Slurm") {
    return what +
           "Start them so that MPI hears of it, with srun --mpi=pmix (srun --mpi=list names what this Slurm knows) or "
           "mpirun; for one process, srun --ntasks=1";
  }
  return what + "Start them with the " + launch.launcher + " of the MPI library that outsole was built with";
}

}  // namespace outsole::comm
