// tasker template convert
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>

#include "orchestrator/cli/show/answers.hpp"
#include "orchestrator/cli/template_files.hpp"
#include "orchestrator/cli/template_parts.hpp"
#include "orchestrator/templates/convert.hpp"

namespace tasker::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFooter =
    "Reads the newer form of Tasker's templates (steps, handler.callable, dependencies, retry) and writes the form\n"
    "of this program, to standard output or to a file. A file that exists is replaced with --force only.\n"
    "\n"
    "Each key that has no counterpart is listed on standard error; then the exit code is 1, and the rest is\n"
    "written all the same. `metadata` becomes a comment, other comments are lost.\n"
    "\n"
    "Example:\n"
    "  tasker template convert newer.yaml --output config/tasks/order.yaml\n"
    "  tasker template check config/tasks/order.yaml";

struct Arguments {
    std::string file;
    std::string output;
    bool force = false;
};

[[noreturn]] void fail_to_write(const std::string& path, const std::string& why) {
    throw CommandError(ExitCode::failed, fmt::format("cannot write {}: {}", path, why));
}

// A new file; one that exists is an error of its own.
void write_new(const std::string& path, const std::string& text) {
    const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor < 0 && errno == EEXIST) {
        throw CommandError(ExitCode::usage, fmt::format("{} exists, so nothing was written", path),
                           "name another file with --output, or replace it with --force");
    }
    if (descriptor < 0) fail_to_write(path, std::strerror(errno));
    ::close(descriptor);
    std::ofstream stream(path, std::ios::binary | std::ios::trunc);
    stream << text;
    stream.close();
    if (stream.good()) return;
    std::error_code ignored;
    fs::remove(path, ignored);
    fail_to_write(path, "the file could not be written to its end");
}

// The old file stays whole until the new one is.
void replace(const std::string& path, const std::string& text) {
    const std::string part = path + ".part";
    write_new(part, text);
    std::error_code problem;
    fs::rename(part, path, problem);
    if (!problem) return;
    std::error_code ignored;
    fs::remove(part, ignored);
    fail_to_write(path, problem.message());
}

templates::Conversion converted(const std::string& file) {
    std::error_code ignored;
    if (!fs::exists(file, ignored)) {
        throw CommandError(ExitCode::not_found, fmt::format("there is no file {}", file),
                           "name a YAML file of the newer form");
    }
    auto conversion = templates::convert_template_file(file);
    if (conversion) return std::move(*conversion);
    std::string text = fmt::format("{} cannot be converted:", file);
    for (const auto& problem : conversion.error()) text += "\n  " + to_string(problem);
    throw CommandError(ExitCode::usage, text,
                       fmt::format("`tasker template check {}` tells what is wrong with a template", file));
}

ExitCode convert(const Context& context, const Arguments& arguments) {
    const templates::Conversion conversion = converted(arguments.file);
    const auto left_out = static_cast<std::int64_t>(conversion.left_out.size());
    if (!arguments.output.empty()) {
        const auto write = arguments.force ? replace : write_new;
        write(arguments.output, conversion.text);
    }
    if (context.json) {
        context.print_json({{"ok", left_out == 0},
                            {"output", arguments.output.empty() ? Json() : Json(arguments.output)},
                            {"template", conversion.text},
                            {"left_out", problems_json(conversion.left_out)}});
        return left_out == 0 ? ExitCode::ok : ExitCode::failed;
    }
    print_problems(context, conversion.left_out);
    if (arguments.output.empty()) {
        context.print(conversion.text.substr(0, conversion.text.size() - 1));
    } else {
        context.print(fmt::format("wrote {}", arguments.output));
    }
    if (left_out == 0) return ExitCode::ok;
    context.remark(count_text(left_out, "key has", "keys have") +
                   " no counterpart here; everything else was converted");
    return ExitCode::failed;
}

}  // namespace

void add_template_convert(CLI::App& group, Context& context) {
    auto arguments = std::make_shared<Arguments>();
    CLI::App* command =
        group.add_subcommand("convert", "convert a file of the newer form of Tasker's templates");
    command->add_option("file", arguments->file, "the file to convert")->required()->type_name("FILE");
    command->add_option("--output", arguments->output, "where to write; without it standard output")
        ->type_name("FILE");
    command->add_flag("--force", arguments->force, "replace the file of --output if it exists");
    command->footer(kFooter);
    context.on_run(command, [&context, arguments] { return convert(context, *arguments); });
}

}  // namespace tasker::cli
