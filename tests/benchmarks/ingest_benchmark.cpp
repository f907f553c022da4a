// Ingest of full-size scans against the least that has to be done to them: decode the file, hash it, deflate the
// pixels. One rank, one thread, in one run:  bench_ingest FOLDER [SCANS [HEIGHT WIDTH]]
//
// The scans are drawn here: ink of a fine tread with paper grain, TIFF with deflate, 8-bit grey.

#include <spdlog/spdlog.h>
#include <zlib.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <opencv2/core.hpp>
#include <opencv2/core/utility.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "core/sha256.h"
#include "ingest/ingest_scans.h"

namespace {

namespace fs = std::filesystem;
using namespace outsole;

double now_s() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// The CPU seconds of this process, all threads: what work costs on a machine that others use too.
double cpu_s() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

cv::Mat1b draw_scan(int height_px, int width_px, std::uint64_t seed) {
  cv::Mat1b scan(height_px, width_px);
  cv::RNG random(seed);
  random.fill(scan, cv::RNG::NORMAL, 240, 4);
  for (int i = 0; i < 400; ++i) {
    const cv::Rect block(random.uniform(0, width_px - width_px / 20), random.uniform(0, height_px - height_px / 40),
                         width_px / 24, height_px / 48);
    scan(block) -= cv::Scalar(120);
  }
  return scan;
}

/// Files and their manifest; what is there already is kept.
std::vector<fs::path> make_scans(const fs::path& folder, int scans, int height_px, int width_px) {
  fs::create_directories(folder);
  std::ofstream manifest(folder / "manifest.csv");
  manifest << "file,shoe,pair,foot,week\n";
  std::vector<fs::path> files;
  for (int i = 0; i < scans; ++i) {
    files.push_back(folder / ("scan_" + std::to_string(i) + ".tif"));
    manifest << files.back().filename().string() << ",s,p,L," << 2 * i << "\n";
    if (fs::exists(files.back())) continue;
    cv::imwrite(files.back().string(), draw_scan(height_px, width_px, static_cast<std::uint64_t>(i) + 1),
                {cv::IMWRITE_TIFF_COMPRESSION, 8});
  }
  return files;
}

/// Bytes that the pixels of all files deflate to.
std::size_t bare(const std::vector<fs::path>& files) {
  std::size_t bytes = 0;
  for (const fs::path& file : files) {
    const cv::Mat image = cv::imread(file.string(), cv::IMREAD_UNCHANGED);
    sha256_of_file(file);
    uLongf size = compressBound(image.total());
    std::vector<Bytef> deflated(size);
    if (compress2(deflated.data(), &size, image.data, image.total(), 1) != Z_OK) std::abort();
    bytes += size;
  }
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  const comm::Environment environment(argc, argv);
  if (argc < 2) {
    std::fprintf(stderr, "usage: bench_ingest FOLDER [SCANS [HEIGHT WIDTH]]\n");
    return 2;
  }
  const fs::path folder = argv[1];
  const int scans = argc > 2 ? std::atoi(argv[2]) : 8;
  const int height_px = argc > 4 ? std::atoi(argv[3]) : 13750, width_px = argc > 4 ? std::atoi(argv[4]) : 5500;
  cv::setNumThreads(1);
  spdlog::set_level(spdlog::level::warn);
  const auto files = make_scans(folder, scans, height_px, width_px);

  const comm::Communicator comm;
  ingest::IngestOptions options;
  options.inputs = {folder};
  options.manifest = folder / "manifest.csv";
  options.output = folder / "scans.h5";

  const double start_s = now_s(), start_cpu_s = cpu_s();
  const std::size_t bytes = bare(files);
  const double bare_s = now_s() - start_s, bare_cpu_s = cpu_s() - start_cpu_s;
  fs::remove(options.output);
  fs::remove_all(folder / "scans.shards");
  const double ingest_start_s = now_s(), ingest_start_cpu_s = cpu_s();
  const ingest::IngestSummary summary = ingest::ingest_images(comm, options, ingest::scan_kind());
  const double ingest_s = now_s() - ingest_start_s, ingest_cpu_s = cpu_s() - ingest_start_cpu_s;
  std::printf("%lld scans of %d x %d, deflated to %.0f MB\n", static_cast<long long>(summary.images), height_px,
              width_px, static_cast<double>(bytes) / 1e6);
  std::printf("  decode + SHA-256 + deflate 1   %7.2f s   %7.2f CPU s\n", bare_s, bare_cpu_s);
  std::printf("  ingest                         %7.2f s   %7.2f CPU s\n", ingest_s, ingest_cpu_s);
  std::printf("  bare / ingest                  %7.2f     %7.2f\n", bare_s / ingest_s, bare_cpu_s / ingest_cpu_s);
  return 0;
}
