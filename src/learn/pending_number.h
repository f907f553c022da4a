#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>

#include <memory>

namespace outsole::learn {

/// A number that a GPU may still have to compute. It comes to the host by itself; only who asks for it too early waits.
class PendingNumber {
 public:
  /// Known already.
  PendingNumber(double value) : value_(value) {}  // NOLINT(google-explicit-constructor)
  /// A tensor of one number, in 32 or 64 bit.
  explicit PendingNumber(const at::Tensor& number);

  /// Waits until it is there, but for nothing that the GPU was given later.
  double value() const;

 private:
  double value_ = 0;
  at::Tensor on_host_;  // of a GPU's
  std::shared_ptr<c10::Event> arrived_;
};

}  // namespace outsole::learn
