#include "core/stop.h"

#include <csignal>

namespace outsole {

namespace {
volatile std::sig_atomic_t stop_flag = 0;

extern "C" void on_signal(int signal) {
  if (signal == SIGINT && stop_flag != 0) std::signal(SIGINT, SIG_DFL);
  stop_flag = 1;
}
}  // namespace

void install_stop_handler() {
  std::signal(SIGTERM, on_signal);
  std::signal(SIGINT, on_signal);
}

bool stop_requested() { return stop_flag != 0; }

}  // namespace outsole
