#include "core/checked.h"

#include <string>

namespace outsole {

std::int64_t checked_product(std::initializer_list<std::int64_t> factors, std::string_view what) {
  std::int64_t product = 1;
  for (const std::int64_t factor : factors) {
    if (factor < 0 || __builtin_mul_overflow(product, factor, &product)) {
      throw DataError(std::string(what) + ": impossible size");
    }
  }
  return product;
}

}  // namespace outsole
