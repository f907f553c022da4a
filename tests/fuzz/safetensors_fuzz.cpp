// Weights: a header that is believed only where file and network agree with it.

#include "features/safetensors.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace outsole;
  const auto path = fuzz::write_scratch("weights.safetensors", fuzz::as_text(data, size));
  fuzz::reads_or_refuses("weights.safetensors", [&] {
    features::SafetensorsFile file(path);
    for (const auto& [name, shape] :
         {std::pair<const char*, std::vector<std::int64_t>>{"a", {2, 3}}, {"b", {4}}, {"", {0}}}) {
      fuzz::reads_or_refuses("weights.safetensors", [&, &name = name, &shape = shape] {
        const at::Tensor tensor = file.read(name, shape);
        fuzz::require(tensor.sizes() == at::IntArrayRef(shape) && tensor.isfinite().all().item<bool>(),
                      "a tensor that is read is what the network needs");
        fuzz::require(file.stored(name, shape).headline.starts_with(std::string(name) + " "),
                      "a stored tensor says its name");
      });
    }
  });
  return 0;
}
