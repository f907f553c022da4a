// The image itself as a feature map: the baseline that deep features have to beat.

#include "features/kinds.h"

namespace outsole::features {
namespace {

class Pixels final : public Extractor {
 public:
  MapGeometry geometry() const override { return {1, 1, 0}; }
  std::int64_t map_length(std::int64_t length_px) const override { return length_px; }
  at::Tensor extract(const at::Tensor& images) const override {
    return extract_each(*this, images, [this](const at::Tensor& image) { return forward(image); });
  }
  at::Tensor forward(const at::Tensor& image) const override { return image; }
  double flops(std::int64_t, std::int64_t) const override { return 0; }
  void to(const at::Device&) override {}
};

}  // namespace

std::unique_ptr<Extractor> make_pixels() { return std::make_unique<Pixels>(); }

}  // namespace outsole::features
