// Stores from elsewhere: every reader of ours reads them or refuses them by name. Files that HDF5 did not write are
// left to a child process, which is what it is for.

#include "fuzz.h"
#include "ingest/exemplars.h"
#include "ingest/scans.h"
#include "store/image_rows.h"
#include "store/io_thread.h"
#include "store/store.h"
#include "store_mutations.h"
#include "wear/prepared.h"

namespace {

using namespace outsole;

std::string culprit() { return fuzz::scratch_folder().string(); }

void read_datasets(const store::Store& store) {
  for (const std::string& name : store.datasets()) {
    fuzz::reads_or_refuses(culprit(), [&] {
      const auto shape = store.shape(name);
      if (shape.back() == -1) {
        for (std::int64_t row = 0; row < std::min<std::int64_t>(store.rows(), 4); ++row) {
          const std::int64_t elements = store::row_lengths(store, name, row, 1).front();
          fuzz::require(store::Column(store.read(name, row, 1)).row_lengths.front() == elements,
                        "rows are as long as said");
          store.read_elements(name, row, 0, elements);
        }
      }
      store.read(name);
    });
  }
}

template <typename Collection>
void read_collection(const std::filesystem::path& path) {
  fuzz::reads_or_refuses(culprit(), [&] {
    const Collection collection(path);
    for (std::int64_t i = 0; i < std::min<std::int64_t>(collection.size(), 4); ++i) {
      fuzz::reads_or_refuses(culprit(), [&] { collection.record(i); });
    }
  });
}

void read_in_this_process(const fuzz::MutatedStore& mutated) {
  fuzz::reads_or_refuses(culprit(), [&] {
    const store::Store store(mutated.path);
    store.header().parameters.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
    for (const std::string& complaint : store.validate()) {
      fuzz::require(complaint.find(culprit()) != std::string::npos, "a complaint names the file: " + complaint);
    }
    read_datasets(store);
  });
  if (mutated.schema == ingest::kExemplarsSchema) read_collection<ingest::ExemplarStore>(mutated.path);
  if (mutated.schema == ingest::kScansSchema) read_collection<ingest::ScanStore>(mutated.path);
  if (mutated.schema == wear::kPreparedSchema) read_collection<wear::PreparedStore>(mutated.path);
}

void read_or_refuse(std::span<const std::uint8_t> recipe) {
  const fuzz::MutatedStore mutated = fuzz::mutate_store(recipe);
  if (!mutated.has_raw_damage) return read_in_this_process(mutated);
  for (const std::string& complaint : store::Store::validate_in_child(mutated.path)) {
    fuzz::require(complaint.find(culprit()) != std::string::npos, "a complaint names the file: " + complaint);
  }
  fuzz::reads_or_refuses(culprit(), [&] { store::Store::probe_in_child(mutated.path); });
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // All of it on the one thread that may call HDF5, which otherwise would be waited for at every step.
  store::io_thread().run([&] { read_or_refuse({data, size}); });
  return 0;
}
