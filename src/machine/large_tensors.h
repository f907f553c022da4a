#pragma once
// Memory of large tensors on the CPU.

namespace outsole::machine {

/// From now on LibTorch's tensors on the CPU of 2 MiB or more have pages of their own, huge ones where the system lends
/// them (madvise): a page fault for 2 MiB instead of 512 of them. What they free goes back to the system at once; the
/// C library's heap would keep much of it, and a process would hold more than a plan counts. Once, before the first
/// tensor; any rank.
void map_large_tensors();

}  // namespace outsole::machine
