#pragma once
// Which device and how many threads a rank computes with.

#include <ATen/ATen.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "comm/communicator.h"

namespace outsole::machine {

/// Where LibTorch computes. `auto`: a GPU if it sees one, else the CPU; `cuda`: GPU number local_rank modulo the GPUs
/// of the machine; `cpu`. Throws UsageError for another word, EnvironmentError when a GPU is asked for and there is
/// none. A job that `has_own_kernels` for GPUs is content where only LibTorch sees none, and its driver does: then
/// LibTorch computes on the CPU. Not collective.
at::Device choose_device(const std::string& wanted, const comm::Communicator& comm, bool has_own_kernels = false);

/// The GPU a rank computes on, and its memory; `gpu` is empty on a CPU.
struct DevicePlace {
  std::string host;
  std::string gpu;               // one of a machine's: its address on the bus, or its number
  std::int64_t free_bytes = -1;  // -1: unknown
  std::int64_t total_bytes = -1;

  bool shares_gpu_with(const DevicePlace& other) const {
    return !gpu.empty() && host == other.host && gpu == other.gpu;
  }
};

/// Asks the GPU's driver. Not collective.
DevicePlace place_of(at::Device device);

/// What rank `rank` of all may take of its GPU's memory: `wanted_bytes`, or for 0 four fifths of what is free (the rest
/// is for the libraries' own), shared by the ranks of that GPU. Throws EnvironmentError, naming the rank, when the
/// ranks of a GPU want more than it has or nobody knows what is free and nothing is given.
std::int64_t device_share_bytes(std::span<const DevicePlace> ranks, std::size_t rank, std::int64_t wanted_bytes);

/// Which rank computes on which GPU, a line a rank.
std::vector<std::string> device_lines(std::span<const DevicePlace> ranks);

/// device_share_bytes of this rank; 0 on a CPU. Rank 0 logs which rank has which GPU, and warns where two have the
/// same. Collective.
std::int64_t agreed_device_bytes(const comm::Communicator& comm, at::Device device, double wanted_gib);

/// Gives this rank its threads: `threads`, or for 0 its share of the cores it may run on, each core divided among the
/// ranks that may run on it too (so bound and unbound ranks both come out right), or of the quota of processor time
/// that its container has, where that is less (cpu_quota). Sets LibTorch's, OpenMP's and OpenBLAS' number and returns
/// it. Warns where threads outnumber cores, or ranks wander between sockets. Collective.
int choose_threads(int threads, const comm::Communicator& comm);

/// Returns when `device` has done all that it was given, so that a clock may be read; on the CPU at once. Not
/// collective.
void wait_for(const at::Device& device);

/// GFLOP/s of a 32-bit 512 x 512 matrix product on this rank's threads, the best of three, since others may use the
/// machine: tells a reference BLAS from a real one.
double measured_sgemm_gflops();

}  // namespace outsole::machine
