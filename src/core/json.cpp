#include "core/json.h"

namespace outsole {

namespace {

constexpr int kMostLevels = 64;

struct TooDeep {};

}  // namespace

nlohmann::json parse_json(std::string_view text) {
  using Event = nlohmann::json::parse_event_t;
  const auto check_depth = [](int depth, Event event, nlohmann::json&) {
    const bool begins_level = event == Event::object_start || event == Event::array_start;
    if (begins_level && depth >= kMostLevels) throw TooDeep();
    return true;
  };
  try {
    return nlohmann::json::parse(text, check_depth, false);
  } catch (const TooDeep&) {
    return nlohmann::json(nlohmann::json::value_t::discarded);
  }
}

}  // namespace outsole
