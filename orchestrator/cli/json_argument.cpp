#include "orchestrator/cli/json_argument.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

#include "orchestrator/cli/exit_code.hpp"
#include "orchestrator/cli/show/table.hpp"
#include "orchestrator/options/yaml/node.hpp"

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
    const auto refuse = [&](ExitCode code, const std::string& reason) {
        return CommandError(
            code, fmt::format("{}: cannot read the file \"{}\": {}", option, printable(file), reason),
            "after @ stands the path of a file that holds JSON");
    };
    // A stream opens a directory and fails only when it reads.
    std::error_code ignored;
    if (std::filesystem::is_directory(file, ignored)) throw refuse(ExitCode::usage, "it is a directory");
    errno = 0;
    std::ifstream stream(file, std::ios::binary);
    if (!stream) throw refuse(errno == ENOENT ? ExitCode::not_found : ExitCode::usage, std::strerror(errno));
    return read_stream(stream, file);
}

templates::ExactJson parse_json_argument(const std::string& text, const char* option, const char* advice) {
    // Whoever takes the value has a limit of its own, and says so better.
    constexpr int depth_max = 10'000;
    if (yaml::find_invalid_utf8(text) != std::string::npos || text.find('\0') != std::string::npos) {
        throw CommandError(ExitCode::usage,
                           fmt::format("{}: this is no JSON: it must be valid UTF-8", option), advice);
    }
    auto value = templates::parse_exact_json(text, depth_max);
    if (value) return std::move(*value);
    const templates::ExactJsonProblem& wrong = value.error();
    throw CommandError(ExitCode::usage,
                       fmt::format("{}: {}{}{}", option, wrong.is_json ? wrong.path : "this is no JSON",
                                   wrong.is_json && wrong.path.empty() ? "" : ": ", printable(wrong.message)),
                       advice);
}

}  // namespace tasker::cli
