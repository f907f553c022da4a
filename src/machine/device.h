#pragma once
// Which device and how many threads a rank computes with.

#include <ATen/ATen.h>

#include <string>

#include "comm/communicator.h"

namespace outsole::machine {

/// `auto`: a GPU if LibTorch sees one, else the CPU; `cuda`: GPU number local_rank modulo the GPUs of the machine;
/// `cpu`. Throws UsageError for another word, EnvironmentError when a GPU is asked for and there is none. Not
/// collective.
at::Device choose_device(const std::string& wanted, const comm::Communicator& comm);

/// Gives this rank its threads: `threads`, or for 0 its share of the cores it may run on, each core divided among the
/// ranks that may run on it too (so bound and unbound ranks both come out right). Sets LibTorch's, OpenMP's and
/// OpenBLAS' number and returns it. Warns where threads outnumber cores, or ranks wander between sockets. Collective.
int choose_threads(int threads, const comm::Communicator& comm);

/// Returns when `device` has done all that it was given, so that a clock may be read; on the CPU at once. Not collective.
void wait_for(const at::Device& device);

/// GFLOP/s of a 32-bit 1024 x 1024 matrix product on this rank's threads, the best of three, since others may use the
/// machine: tells a reference BLAS from a real one.
double measured_sgemm_gflops();

}  // namespace outsole::machine
