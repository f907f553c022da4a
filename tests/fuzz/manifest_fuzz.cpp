// manifest.csv: joined to a folder of images, or refused by name.

#include "core/text.h"
#include "fuzz.h"
#include "ingest/image_sources.h"

namespace {

/// A folder with three images to be; nobody looks into them here.
const std::filesystem::path& images() {
  static const std::filesystem::path folder = [] {
    std::filesystem::create_directories(outsole::fuzz::scratch_folder() / "images");
    for (const char* name : {"images/1.png", "images/L_w02.tif", "images/b.JPG"})
      outsole::fuzz::write_scratch(name, "x");
    return outsole::fuzz::scratch_folder() / "images";
  }();
  return folder;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace outsole;
  const auto manifest = fuzz::write_scratch("manifest.csv", fuzz::as_text(data, size));
  for (const auto& where : {std::vector<ingest::ColumnFilter>{}, {{"foot", "L"}}}) {
    fuzz::reads_or_refuses("manifest.csv", [&] {
      const ingest::SourceList list = ingest::list_image_sources(
          {.inputs = {images()}, .manifest = manifest, .where = where, .columns = {"mirror"}});
      fuzz::require(!list.sources.empty() && list.sources.size() <= 3, "sources are the images there are");
      for (const ingest::ImageSource& source : list.sources) {
        fuzz::require(source.file.parent_path() == images(), "no manifest leads out of the inputs");
        fuzz::require(is_utf8(source.metadata.dump()), "metadata can be stored");
      }
    });
  }
  return 0;
}
