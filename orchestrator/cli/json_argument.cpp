#include "orchestrator/cli/json_argument.hpp"

#include <fmt/format.h>

#include <fstream>
#include <iostream>
#include <iterator>

#include "orchestrator/cli/exit_code.hpp"

namespace tasker::cli {
namespace {

std::string read_stream(std::istream& stream, const std::string& name) {
    std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
    if (stream.bad()) throw CommandError(ExitCode::usage, fmt::format("cannot read {}", name));
    return text;
}

}  // namespace

std::string read_json_argument(const std::string& argument, const char* option) {
    if (argument == "-") return read_stream(std::cin, "standard input");
    if (!argument.starts_with('@')) return argument;
    const std::string file = argument.substr(1);
    std::ifstream stream(file, std::ios::binary);
    if (!stream) {
        throw CommandError(ExitCode::not_found, fmt::format("{}: cannot open the file \"{}\"", option, file),
                           "after @ stands the path of a file that holds JSON");
    }
    return read_stream(stream, file);
}

}  // namespace tasker::cli
