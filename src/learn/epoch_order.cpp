#include "learn/epoch_order.h"

#include <numeric>

#include "core/random.h"

namespace outsole::learn {

std::vector<std::int64_t> epoch_order(std::int64_t examples, std::uint64_t seed, std::int64_t epoch) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(examples));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  std::mt19937_64 generator = seeded(seed, static_cast<std::uint64_t>(epoch));
  shuffle(order, generator);
  return order;
}

}  // namespace outsole::learn
