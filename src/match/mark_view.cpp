#include "match/mark_view.h"

namespace outsole::match {

MarkView make_mark_view(std::int64_t angle, const ViewOffset& offset, const at::Tensor& features,
                        const at::Tensor& support) {
  const at::Tensor cells = at::nonzero(support);
  if (cells.size(0) == 0) {
    return {angle, offset, 0, 0, at::zeros({features.size(0), 0, 0}), at::zeros({0, 0}, at::kBool)};
  }
  const at::Tensor first = std::get<0>(cells.min(0)), last = std::get<0>(cells.max(0));
  const auto y0 = first[0].item<std::int64_t>(), x0 = first[1].item<std::int64_t>();
  const auto y1 = last[0].item<std::int64_t>() + 1, x1 = last[1].item<std::int64_t>() + 1;
  return {angle,
          offset,
          y0,
          x0,
          features.slice(1, y0, y1).slice(2, x0, x1).contiguous(),
          support.slice(0, y0, y1).slice(1, x0, x1).contiguous()};
}

}  // namespace outsole::match
