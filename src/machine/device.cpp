#include "machine/device.h"

#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <omp.h>
#include <sched.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>
#include <sstream>

#include "core/errors.h"
#include "core/gpu.h"
#include "core/host.h"
#include "machine/cpu_quota.h"

namespace outsole::machine {

at::Device choose_device(const std::string& wanted, const comm::Communicator& comm, bool has_own_kernels) {
  if (wanted != "auto" && wanted != "cpu" && wanted != "cuda") {
    throw UsageError("`device` " + wanted + ": not one of auto, cpu, cuda");
  }
  const bool has_gpu = at::hasCUDA() && at::getNumGPUs() > 0;
  if (wanted == "cuda" && !has_gpu && !(has_own_kernels && gpu_count() > 0)) {
    throw EnvironmentError("`device` cuda: " +
                           std::string(gpu_count() > 0 ? "this build's LibTorch is for CPUs"
                                                       : "there is no GPU on this machine, or no driver of one"));
  }
  if (wanted == "cpu" || !has_gpu) return at::Device(at::kCPU);
  at::globalContext().setAllowTF32CuDNN(false);  // 10 bits would show in the scores
  const auto gpus = static_cast<int>(at::getNumGPUs());
  return at::Device(at::kCUDA, static_cast<at::DeviceIndex>(comm.local_rank() % gpus));
}

namespace {

/// The machine a rank runs on, and the cores it may use there.
struct Place {
  char host[256] = "";
  cpu_set_t cores;
  double quota_cores = 0;  // of its control group, which other ranks may share; 0: none
  char quota_group[64] = "";

  bool shares_quota_with(const Place& other) const {
    return std::strcmp(host, other.host) == 0 && std::strcmp(quota_group, other.quota_group) == 0;
  }

  bool may_use(int core, const char* on_host) const {
    return CPU_ISSET(core, &cores) && std::strcmp(host, on_host) == 0;
  }
};

Place own_place() {
  Place place;
  CPU_ZERO(&place.cores);
  host_name().copy(place.host, sizeof place.host - 1);
  sched_getaffinity(0, sizeof place.cores, &place.cores);
  if (const auto quota = cpu_quota()) {
    place.quota_cores = quota->cores;
    quota->group.copy(place.quota_group, sizeof place.quota_group - 1);
  }
  return place;
}

/// A rank's cores: each counts as the share of it that the rank has among all that may run there. A quota of processor
/// time counts as so many cores, shared by all ranks of its group.
struct CoreShare {
  double cores = 0;
  bool is_shared = false;  // other ranks may run on the same cores
  bool is_quota = false;   // the quota is less than the cores
};

double share_of_quota(const Place& mine, const std::vector<std::string>& places) {
  int sharers = 0;
  for (const std::string& bytes : places) {
    Place other;
    std::memcpy(&other, bytes.data(), sizeof other);
    sharers += mine.shares_quota_with(other);
  }
  return mine.quota_cores / std::max(sharers, 1);
}

CoreShare core_share(const Place& mine, const std::vector<std::string>& places) {
  CoreShare share;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (!CPU_ISSET(core, &mine.cores)) continue;
    int users = 0;
    for (const std::string& bytes : places) {
      Place other;
      std::memcpy(&other, bytes.data(), sizeof other);
      users += other.may_use(core, mine.host);
    }
    share.cores += 1.0 / std::max(users, 1);
    share.is_shared = share.is_shared || users > 1;
  }
  if (const double quota = share_of_quota(mine, places); mine.quota_cores > 0 && quota < share.cores) {
    share.cores = quota;
    share.is_quota = true;
  }
  return share;
}

/// Ranks that wander between sockets lose their caches and their near memory; on a machine with one socket they hardly
/// do.
bool has_several_sockets() { return access("/sys/devices/system/node/node1", F_OK) == 0; }

}  // namespace

int choose_threads(int threads, const comm::Communicator& comm) {
  const Place mine = own_place();
  const CoreShare share =
      core_share(mine, comm.all_gather(std::string(reinterpret_cast<const char*>(&mine), sizeof mine)));
  if (threads <= 0) threads = std::max(1, static_cast<int>(share.cores + 1e-6));
  at::set_num_threads(threads);
  omp_set_num_threads(threads);
  // OpenBLAS with threads of its own, which LibTorch does not know of.
  using SetThreads = void (*)(int);
  if (const auto set = reinterpret_cast<SetThreads>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads"))) set(threads);
  const bool is_oversubscribed = comm.any_of(threads > share.cores + 1e-6);
  const bool is_unpinned = comm.any_of(share.is_shared && has_several_sockets());
  if (comm.is_root() && is_oversubscribed) {
    spdlog::warn("{} threads a rank are more than its {} ({:.1f}): start fewer ranks, or give each fewer threads",
                 threads, share.is_quota ? "share of the container's quota of cores" : "cores", share.cores);
  } else if (comm.is_root() && is_unpinned) {
    spdlog::warn("ranks are not bound to cores of their own: mpirun --bind-to core, or srun --cpu-bind=cores");
  }
  return threads;
}

void wait_for(const at::Device& device) {
  if (device.is_cuda() && at::hasCUDA()) at::detail::getCUDAHooks().deviceSynchronize(device.index());
}

DevicePlace place_of(at::Device device) {
  DevicePlace place;
  place.host = own_place().host;
  if (device.is_cpu()) return place;
  const Gpu& gpu = Gpu::number(device.has_index() ? device.index() : 0);
  // With --gpus-per-task every rank's GPU is its number 0: only the bus tells them apart.
  place.gpu = gpu.bus_address();
  const Gpu::Memory memory = gpu.memory();
  place.free_bytes = memory.free_bytes;
  place.total_bytes = memory.total_bytes;
  return place;
}

std::int64_t device_share_bytes(std::span<const DevicePlace> ranks, std::size_t rank, std::int64_t wanted_bytes) {
  const DevicePlace& own = ranks[rank];
  if (own.gpu.empty()) return 0;
  std::int64_t sharers = 0, free_bytes = own.free_bytes;
  for (const DevicePlace& other : ranks) {
    if (!own.shares_gpu_with(other)) continue;
    ++sharers;
    free_bytes = std::min(free_bytes, other.free_bytes);  // asked at about the same time
  }
  const std::string where = "rank " + std::to_string(rank) + ": GPU " + own.gpu + " of " + own.host;
  if (wanted_bytes > 0) {
    if (own.total_bytes >= 0 && wanted_bytes > own.total_bytes / sharers) {
      throw EnvironmentError(where + " has less memory than `device_memory_gib` says for its " +
                             std::to_string(sharers) + " ranks");
    }
    return wanted_bytes;
  }
  if (free_bytes < 0) throw EnvironmentError(where + " does not tell its free memory; give `device_memory_gib`");
  return free_bytes / 5 * 4 / sharers;
}

std::vector<std::string> device_lines(std::span<const DevicePlace> ranks) {
  std::vector<std::string> lines;
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    const DevicePlace& place = ranks[rank];
    std::string line = "rank " + std::to_string(rank) + ": " + place.host + ", ";
    line += place.gpu.empty() ? "CPU" : "GPU " + place.gpu;
    for (std::size_t other = 0; other < ranks.size(); ++other) {
      if (other != rank && place.shares_gpu_with(ranks[other])) line += ", shared with rank " + std::to_string(other);
    }
    lines.push_back(line);
  }
  return lines;
}

std::int64_t agreed_device_bytes(const comm::Communicator& comm, at::Device device, double wanted_gib) {
  std::string mine;
  comm.together([&] {
    const DevicePlace place = place_of(device);
    mine = place.host + " " + (place.gpu.empty() ? "-" : place.gpu) + " " + std::to_string(place.free_bytes) + " " +
           std::to_string(place.total_bytes);
  });
  std::vector<DevicePlace> ranks;
  for (const std::string& words : comm.all_gather(mine)) {
    DevicePlace& place = ranks.emplace_back();
    std::istringstream(words) >> place.host >> place.gpu >> place.free_bytes >> place.total_bytes;
    if (place.gpu == "-") place.gpu.clear();
  }
  if (comm.is_root() && !device.is_cpu()) {
    for (const std::string& line : device_lines(ranks)) {
      if (line.find("shared") == std::string::npos) {
        spdlog::info("{}", line);
      } else {
        spdlog::warn("{}: give each rank a GPU of its own", line);
      }
    }
  }
  std::int64_t bytes = 0;
  comm.together([&] {
    bytes = device_share_bytes(ranks, static_cast<std::size_t>(comm.rank()),
                               static_cast<std::int64_t>(wanted_gib * (std::int64_t{1} << 30)));
  });
  return bytes;
}

double measured_sgemm_gflops() {
  constexpr std::int64_t kSize = 512;
  const at::Tensor a = at::ones({kSize, kSize}), b = at::ones({kSize, kSize});
  at::Tensor c = at::mm(a, b);
  double seconds = std::numeric_limits<double>::infinity();
  for (int repeat = 0; repeat < 3; ++repeat) {
    const auto start = std::chrono::steady_clock::now();
    at::mm_out(c, a, b);
    seconds = std::min(seconds, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return 2.0 * kSize * kSize * kSize / seconds / 1e9;
}

}  // namespace outsole::machine
