#include "learn/pending_number.h"

#include <ATen/ATen.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <chrono>
#include <thread>

namespace outsole::learn {

PendingNumber::PendingNumber(const at::Tensor& number) {
  if (number.is_cpu()) {
    value_ = number.item<double>();
    return;
  }
  on_host_ = at::empty({}, number.options().requires_grad(false).device(at::kCPU).pinned_memory(true));
  on_host_.copy_(number.detach(), /*non_blocking=*/true);
  arrived_ = std::make_shared<c10::Event>(number.device().type());
  arrived_->record(c10::impl::VirtualGuardImpl(number.device().type()).getStream(number.device()));
}

double PendingNumber::value() const {
  if (!arrived_) return value_;
  while (!arrived_->query()) std::this_thread::sleep_for(std::chrono::microseconds(20));
  return on_host_.item<double>();
}

}  // namespace outsole::learn
