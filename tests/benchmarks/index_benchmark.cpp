// Indexing, from a store of exemplars to a store of maps, against the bare forward passes of the network on the same
// threads: images a second over images a second. Exemplars of FID-300's size, random weights.
//
//   mpirun -n RANKS bench_index [EXEMPLARS] [THREADS]

#include <ATen/Parallel.h>
#include <omp.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <opencv2/imgcodecs.hpp>
#include <string>

#include "../features/weights_fixture.h"
#include "core/log.h"
#include "ingest/ingest_exemplars.h"
#include "retrieval/build_index.h"
#include "synth/exemplar.h"

namespace fs = std::filesystem;
using namespace outsole;

namespace {

constexpr int kHeightPx = 586, kWidthPx = 270;

double now_s() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// A store of `count` exemplars, eight of them different. Collective.
fs::path ingest_exemplars(const comm::Communicator& comm, const fs::path& folder, int count) {
  comm.together([&] {
    if (!comm.is_root()) return;
    fs::create_directory(folder / "exemplars");
    for (int i = 0; i < count; ++i) {
      const fs::path file = folder / "exemplars" / (std::to_string(i) + ".png");
      if (i >= 8) {
        fs::copy_file(folder / "exemplars" / (std::to_string(i % 8) + ".png"), file);
      } else {
        cv::imwrite(file.string(),
                    synth::render_exemplar(synth::make_outsole(1, static_cast<std::uint64_t>(i)), kHeightPx, kWidthPx));
      }
    }
  });
  ingest::IngestOptions options;
  options.inputs = {folder / "exemplars"};
  options.output = folder / "exemplars.h5";
  ingest::ingest_images(comm, options, ingest::exemplar_kind());
  return options.output;
}

/// Seconds a rank takes for the network alone, for its share of `count` images of the search scale.
double forward_seconds(const comm::Communicator& comm, const features::Extractor& extractor, int count) {
  const at::Tensor images = at::rand({8, kHeightPx / 2, kWidthPx / 2}) * 255;
  extractor.extract(images);  // the first pass makes room for its maps
  comm.barrier();
  const double start = now_s();
  for (int done = 0; done < count / comm.size(); done += 8) extractor.extract(images);
  return comm.max(now_s() - start);
}

double index_seconds(const comm::Communicator& comm, const retrieval::BuildIndexOptions& options) {
  comm.barrier();
  const double start = now_s();
  retrieval::build_index(comm, options);
  return comm.max(now_s() - start);
}

}  // namespace

int main(int argc, char** argv) {
  const comm::Environment environment(argc, argv);
  const comm::Communicator comm;
  start_log("off", comm.rank(), comm.size());
  const int count = argc > 1 ? std::atoi(argv[1]) : 128, threads = argc > 2 ? std::atoi(argv[2]) : 1;
  at::set_num_threads(threads);
  omp_set_num_threads(threads);

  std::string folder = (fs::temp_directory_path() / "outsole-index-XXXXXX").string();
  if (comm.is_root() && mkdtemp(folder.data()) == nullptr) comm::abort_job(1);
  folder = comm.broadcast(folder);
  retrieval::BuildIndexOptions options;
  options.exemplars = ingest_exemplars(comm, folder, count);
  options.output = fs::path(folder) / "index.h5";
  options.extractor = {"resnet50:res2b", fs::path(folder) / "weights.safetensors"};
  if (comm.is_root()) features::write_safetensors(options.extractor.weights_path, features::random_resnet50(1, 1));
  comm.barrier();

  const auto extractor = features::make_extractor(options.extractor);
  const double before_s = forward_seconds(comm, *extractor, count);
  const double index_s = index_seconds(comm, options);
  const double forward_s = std::min(before_s, forward_seconds(comm, *extractor, count));
  if (comm.is_root()) {
    std::printf("%d images, %d ranks x %d threads: network alone %.2f images/s, index %.2f images/s, ratio %.3f\n",
                count, comm.size(), threads, count / forward_s, count / index_s, forward_s / index_s);
    fs::remove_all(folder);
  }
}
