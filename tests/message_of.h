#pragma once

#include <gtest/gtest.h>

#include <exception>
#include <string>

namespace outsole::testing {

/// The message of the Kind of error that `work` throws; fails the test when it does not.
template <typename Kind, typename Work>
std::string message_of(Work work) {
  try {
    work();
  } catch (const Kind& error) {
    return error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "another error: " << error.what();
    return "";
  }
  ADD_FAILURE() << "no error";
  return "";
}

}  // namespace outsole::testing
