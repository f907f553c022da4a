#pragma once
// Conversions and products that refuse to overflow. Sizes that come from files go through these before memory is taken.

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <utility>

#include "core/errors.h"

namespace outsole {

/// `value` as another integer type; throws Bug when it does not fit.
template <std::integral To, std::integral From>
constexpr To narrow(From value) {
  ensure(std::in_range<To>(value), "integer does not fit its target type");
  return static_cast<To>(value);
}

/// The product of non-negative `factors`; throws DataError naming `what` when one is negative or it exceeds 2^63 - 1.
std::int64_t checked_product(std::initializer_list<std::int64_t> factors, std::string_view what);

/// ceil(a / b) for a >= 0, b > 0.
constexpr std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

}  // namespace outsole
