// labels.csv: read and resolved against a search's ids, or refused by name.

#include "fuzz.h"
#include "retrieval/labels.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace outsole;
  static const std::vector<std::string> marks = {"1", "00002", "m", "a,b", "3", "0003"};
  static const std::vector<std::string> exemplars = {"00001", "2", "e", "", "00"};
  const auto path = fuzz::write_scratch("labels.csv", fuzz::as_text(data, size));
  for (const auto& groups : {std::vector<std::string>{}, std::vector<std::string>{"group"}}) {
    fuzz::reads_or_refuses("labels.csv", [&] {
      const retrieval::Labels labels = retrieval::read_labels(path, groups);
      const retrieval::Truth truth = retrieval::resolve_labels(labels, marks, exemplars);
      fuzz::require(truth.exemplars.size() == marks.size() && truth.groups.size() == marks.size(), "one entry a mark");
      for (const auto& of_mark : truth.exemplars) {
        for (const std::int64_t exemplar : of_mark) {
          fuzz::require(exemplar >= 0 && exemplar < std::ssize(exemplars), "labels are positions of exemplars");
        }
      }
    });
  }
  return 0;
}
