// The `tasker` command line: reads the arguments, runs the chosen command, ends with its exit code.
#include "orchestrator/cli/command_line.hpp"

int main(int argc, char** argv) {
    return tasker::cli::run_command_line({argv + 1, argv + argc});
}
