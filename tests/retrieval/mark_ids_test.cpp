#include <gmock/gmock.h>

#include "../shared_folder.h"
#include "core/errors.h"
#include "retrieval/search.h"

namespace outsole::retrieval {
namespace {

using MarkIds = outsole::testing::SharedFolder;

TEST_F(MarkIds, ThatNoStoreCanHoldAreRefusedBeforeTheSearch) {
  SearchOptions options;
  options.indexes = {folder_ / "index.h5"};
  options.output = folder_ / "results.h5";
  for (const std::string& name : {std::string("\xFF.png"), std::string(129, 'x') + ".png", std::string("a\tb.png")}) {
    prepare([&] { write(name, "looked at by name only"); });
    options.marks = {folder_ / name};
    try {
      search(comm_, options);
      ADD_FAILURE() << "no refusal";
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr("rename it"));
    }
  }
}

}  // namespace
}  // namespace outsole::retrieval
