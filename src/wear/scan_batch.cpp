#include "wear/scan_batch.h"

#include <ATen/ATen.h>

namespace outsole::wear {

ByteBatch new_byte_batch(std::int64_t images, std::int64_t rows, std::int64_t width_px, at::Device device) {
  const at::TensorOptions options = at::TensorOptions(at::kByte).pinned_memory(device.is_cuda());
  return {at::empty({images, 1, rows, width_px}, options), at::empty({images, 1, rows, width_px}, options)};
}

ScanBatch on_device(const ByteBatch& batch, at::Device device) {
  const auto as_floats = [&](const at::Tensor& bytes) {
    return bytes.to(device, at::kByte, /*non_blocking=*/true).to(at::kFloat);
  };
  return {as_floats(batch.grey).div_(255.0), as_floats(batch.known)};
}

at::Tensor channels_innermost(const at::Tensor& images) {
  const std::int64_t height = images.size(2), width = images.size(3);
  return images.contiguous().as_strided(images.sizes(), {height * width, 1, width, 1});
}

at::Tensor on_device(const at::Tensor& of_host, at::Device device) {
  if (!device.is_cuda()) return of_host.to(device);
  return of_host.pin_memory().to(device, of_host.scalar_type(), /*non_blocking=*/true);
}

}  // namespace outsole::wear
