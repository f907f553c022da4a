#pragma once

#include <c10/core/Device.h>

namespace outsole::learn {

/// From here on what this process computes on `device` has the same bits every time, or a resumed run would differ from
/// an undisturbed one in the last of them. On CPUs LibTorch always computes alike; on GPUs it takes only convolutions
/// that do, without trying which are fastest, and an operation that cannot is refused.
void require_determinism(const c10::Device& device);

}  // namespace outsole::learn
