#include "../mpi_main.h"

int main(int argc, char** argv) { return outsole::testing::run_tests_on_all_ranks(argc, argv); }
