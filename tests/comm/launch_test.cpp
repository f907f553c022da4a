#include "comm/launch.h"

#include <gmock/gmock.h>

#include <map>
#include <vector>

namespace outsole::comm {
namespace {

using Variables = std::map<std::string, std::string>;

struct Start {
  const char* what;
  Variables variables;
  int ranks;            // that MPI sees
  const char* culprit;  // told; empty: nothing is wrong
};

std::string complaint(const Variables& variables, int ranks) {
  return launch_complaint(find_launch([&](const char* name) {
                            const auto found = variables.find(name);
                            return found == variables.end() ? nullptr : found->second.c_str();
                          }),
                          ranks);
}

TEST(Launch, IsRefusedWhereMpiDoesNotKnowOfAllTasks) {
  const Variables srun = {{"SLURM_JOB_ID", "77"}, {"SLURM_NTASKS", "4"},         {"SLURM_NPROCS", "4"},
                          {"SLURM_STEP_ID", "0"}, {"SLURM_STEP_NUM_TASKS", "4"}, {"SLURM_PROCID", "2"}};
  const auto with = [](Variables variables, const Variables& more) {
    for (const auto& [name, value] : more) variables[name] = value;
    return variables;
  };
  const std::vector<Start> starts = {
      {"by hand", {}, 1, ""},
      {"srun that MPI understands", srun, 4, ""},
      {"srun without PMI", srun, 1, "Slurm started 4 tasks, MPI sees 1"},
      {"its first task", with(srun, {{"SLURM_PROCID", "0"}}), 1, "Slurm started 4 tasks, MPI sees 1"},
      {"srun with a PMI that MPI does not speak", with(srun, {{"PMI_SIZE", "4"}, {"PMI_RANK", "2"}}), 1,
       "Slurm started 4 tasks, MPI sees 1"},
      {"srun with a PMIx that MPI does not speak", with(srun, {{"PMIX_RANK", "2"}, {"PMIX_NAMESPACE", "s"}}), 1,
       "Slurm started 4 tasks"},
      {"srun of one task of an allocation of four", with(srun, {{"SLURM_STEP_NUM_TASKS", "1"}}), 1, ""},
      {"srun that names no tasks of the step",
       {{"SLURM_NTASKS", "3"}, {"SLURM_STEP_ID", "12"}, {"SLURM_PROCID", "0"}},
       1,
       "Slurm started 3 tasks"},
      {"the same, by old names",
       {{"SLURM_NPROCS", "3"}, {"SLURM_STEPID", "1"}, {"SLURM_PROCID", "0"}},
       1,
       "Slurm started 3 tasks"},
      {"a task that only knows its number", {{"SLURM_NTASKS", "2"}, {"SLURM_PROCID", "1"}}, 1, "Slurm started 2 tasks"},
      {"a batch script", {{"SLURM_JOB_ID", "7"}, {"SLURM_NTASKS", "4"}, {"SLURM_PROCID", "0"}}, 1, ""},
      {"a batch script that has a step of its own",
       {{"SLURM_NTASKS", "4"}, {"SLURM_STEP_ID", "4294967291"}, {"SLURM_PROCID", "0"}},
       1,
       ""},
      {"salloc's shell", {{"SLURM_NTASKS", "4"}}, 1, ""},
      {"salloc's shell on a node",
       {{"SLURM_NTASKS", "4"}, {"SLURM_STEP_ID", "4294967290"}, {"SLURM_STEP_NUM_TASKS", "1"}, {"SLURM_PROCID", "0"}},
       1,
       ""},
      {"mpirun -n 1 in an allocation", with(srun, {{"OMPI_COMM_WORLD_SIZE", "1"}}), 1, ""},
      {"mpiexec -n 1 in an allocation", with(srun, {{"PMI_SIZE", "1"}}), 1, ""},
      {"mpirun in an allocation", {{"SLURM_NTASKS", "4"}, {"OMPI_COMM_WORLD_SIZE", "4"}}, 4, ""},
      {"mpirun of another MPI", {{"OMPI_COMM_WORLD_SIZE", "3"}}, 1, "mpirun started 3 tasks, MPI sees 1"},
      {"mpiexec of another MPI", {{"PMI_SIZE", "8"}, {"PMI_RANK", "0"}}, 1, "mpiexec started 8 tasks, MPI sees 1"},
      {"mpirun_rsh of another MPI", {{"MV2_COMM_WORLD_SIZE", "2"}}, 1, "mpirun started 2 tasks"},
      {"nonsense", {{"SLURM_STEP_NUM_TASKS", "many"}, {"PMI_SIZE", ""}, {"OMPI_COMM_WORLD_SIZE", "-3"}}, 1, ""},
      {"a number that is none", {{"SLURM_STEP_NUM_TASKS", "4x"}}, 1, ""},
      {"one task", {{"SLURM_STEP_NUM_TASKS", "1"}, {"SLURM_NTASKS", "1"}}, 1, ""},
  };
  for (const Start& start : starts) {
    const std::string told = complaint(start.variables, start.ranks);
    if (*start.culprit == '\0') {
      EXPECT_EQ(told, "") << start.what;
    } else {
      EXPECT_THAT(told, ::testing::StartsWith(start.culprit)) << start.what;
    }
  }
  EXPECT_THAT(complaint(srun, 1), ::testing::HasSubstr("srun --mpi=pmix"));
}

}  // namespace
}  // namespace outsole::comm
