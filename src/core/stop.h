#pragma once
// TERM and INT ask a job to finish its unit of work, save, and leave with exit code 75.

namespace outsole {

/// Makes SIGTERM and SIGINT set a flag instead of ending the process. A second SIGINT ends it at once.
void install_stop_handler();

/// True once a signal has come to this process. Ranks agree on it by Communicator::any_of at the end of a unit.
bool stop_requested();

}  // namespace outsole
