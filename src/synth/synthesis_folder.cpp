#include "synth/synthesis_folder.h"

#include <spdlog/spdlog.h>

#include <array>
#include <cstdio>

#include "comm/partition.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/progress.h"
#include "core/stop.h"

namespace outsole::synth {

namespace fs = std::filesystem;

namespace {

void create_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw EnvironmentError(folder.string() + ": cannot be created: " + error.message());
}

}  // namespace

SynthesisFolder::SynthesisFolder(fs::path folder, const nlohmann::json& parameters)
    : folder_(std::move(folder)), parameters_(parameters.dump(2) + "\n") {}

void SynthesisFolder::begin(const std::vector<std::string>& subfolders) const {
  create_folder(folder_);
  const fs::path begun = folder_ / "synthesis.json";
  if (fs::exists(begun)) {
    if (read_text_file(begun) != parameters_) {
      throw UsageError(folder_.string() + ": holds images made with other options (see synthesis.json there); " +
                       "choose another `output` or remove the folder");
    }
  } else if (!fs::is_empty(folder_)) {
    throw UsageError(folder_.string() + ": holds other files; choose another `output` or empty the folder");
  } else {
    write_file_atomically(begun, parameters_);
  }
  for (const std::string& subfolder : subfolders) create_folder(folder_ / subfolder);
}

bool SynthesisFolder::begin_together(const comm::Communicator& comm, const std::vector<std::string>& subfolders) const {
  comm.together([&] {
    if (comm.is_root()) begin(subfolders);
  });
  const bool finished = comm.any_of(comm.is_root() && fs::exists(folder_ / "manifest.csv"));
  if (finished && comm.is_root()) spdlog::info("{}: finished before, left as it is", folder_.string());
  return finished;
}

std::vector<TableRows> make_images(const comm::Communicator& comm, std::int64_t count,
                                   const std::function<TableRows(std::int64_t)>& make) {
  std::vector<TableRows> own;
  comm.together([&] {
    const comm::UnitRange mine = comm::units_of(count, comm.rank(), comm.size());
    Progress progress("drawing", "images", mine.size(), comm.is_root());
    for (std::int64_t i = mine.begin; i < mine.end; ++i) {
      if (stop_requested()) throw StopRequested("stopped on request; the same command completes the folder");
      own.push_back(make(i));
      progress.advance();
    }
  });
  const std::vector<std::string> gathered = comm.gather(nlohmann::json(own).dump());
  std::vector<TableRows> images;
  if (!comm.is_root()) return images;
  for (const std::string& text : gathered) {
    for (const auto& rows : nlohmann::json::parse(text)) images.push_back(rows.get<TableRows>());
  }
  return images;
}

std::string csv_of(const std::string& header, const std::vector<TableRows>& images, std::size_t table) {
  std::string text = header + "\n";
  for (const TableRows& rows : images) {
    if (!rows[table].empty()) text += rows[table] + "\n";
  }
  return text;
}

std::string numbered(const char* prefix, std::int64_t index) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%s%05lld", prefix, static_cast<long long>(index + 1));
  return text.data();
}

std::string decimal(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.6f", value);
  return text.data();
}

void check_count(std::int64_t count) {
  constexpr std::int64_t kMostImages = 99999;
  if (count < 1 || count > kMostImages) {
    throw UsageError("`count`: must be between 1 and " + std::to_string(kMostImages));
  }
}

}  // namespace outsole::synth
