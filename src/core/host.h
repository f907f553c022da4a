#pragma once
// When and where, as records say it.

#include <string>

namespace outsole {

/// "2024-05-01T12:00:00Z".
std::string utc_now();

/// The name of this machine, as far as 255 bytes hold it.
std::string host_name();

}  // namespace outsole
