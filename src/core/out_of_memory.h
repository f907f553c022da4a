#pragma once

#include <exception>
#include <optional>
#include <string>

namespace outsole {

/// When `error` says that memory ran out, on the CPU or on a GPU: "out of memory", and what it tells of it. Else
/// nothing. It is something that a person can mend (EnvironmentError), though what was thrown is no Error: the caller
/// adds how.
std::optional<std::string> out_of_memory(const std::exception& error);

}  // namespace outsole
