#include "orchestrator/cli/init/init_commands.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "orchestrator/cli/dev/own_files.hpp"
#include "orchestrator/cli/init/project/python/files.hpp"
#include "orchestrator/cli/init/project/ruby/files.hpp"

namespace tasker::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kInitFooter =
    "Makes a small project that runs: a workflow of two steps, their handlers, a test, a README, and scripts for\n"
    "a worker and for the tests. Nothing is overwritten: when one of the files exists, none is written.\n"
    "\n"
    "Examples:\n"
    "  tasker init greetings && cd greetings\n"
    "  bin/test                                 # needs no database\n"
    "  tasker dev --reload --worker bin/worker  # all of it, in one terminal\n"
    "  tasker task submit hello/greeting \\\n"
    "    --context '{\"name\": \"Ada\"}' --wait     # in a second terminal";

struct ProjectFile {
    std::string path;
    std::string text;
};

/// The SDK in the checkout that this program was built in; empty when it is installed elsewhere.
std::string sdk_beside_program(const std::string& language) {
    std::error_code problem;
    const fs::path program = fs::read_symlink("/proc/self/exe", problem);
    const fs::path sdk = program.parent_path().parent_path().parent_path() / "workers" / language;
    return !problem && fs::is_directory(sdk, problem) ? sdk.string() : std::string();
}

/// For the shell, inside double quotes or an expansion.
std::string shell_escaped(const std::string& text) {
    std::string escaped;
    for (const char character : text) {
        if (std::string_view("\\\"$`}'").find(character) != std::string_view::npos) escaped += '\\';
        escaped += character;
    }
    return escaped;
}

template <typename Files>
std::vector<ProjectFile> project_of(const Files& files, const std::string& sdk) {
    constexpr std::string_view kPlace = "@SDK@";
    std::vector<ProjectFile> project;
    for (const auto& file : files) {
        ProjectFile made{file.path, file.text};
        if (const auto at = made.text.find(kPlace); at != std::string::npos)
            made.text.replace(at, kPlace.size(), shell_escaped(sdk));
        project.push_back(std::move(made));
    }
    return project;
}

void refuse_what_exists(const fs::path& folder, const std::vector<ProjectFile>& project) {
    std::string existing;
    for (const ProjectFile& file : project) {
        if (status_at(AT_FDCWD, folder / file.path)) existing += "\n  " + (folder / file.path).string();
    }
    if (existing.empty()) return;
    throw CommandError(ExitCode::usage, "these files exist, so nothing was written:" + existing,
                       "name another directory: tasker init DIR");
}

void write_project(const fs::path& folder, const std::vector<ProjectFile>& project) {
    for (const ProjectFile& file : project) {
        const fs::path path = folder / file.path;
        fs::create_directories(path.parent_path());
        const mode_t mode = file.path.starts_with("bin/") ? 0777 : 0666;  // less the umask
        const Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
        if (!fd || !write_all(fd.get(), file.text))
            throw std::system_error(errno, std::generic_category(), "cannot write " + path.string());
    }
}

ExitCode init(const Context& context, const fs::path& folder, const std::string& language) {
    const std::string sdk = sdk_beside_program(language);
    const auto project =
        language == "ruby" ? project_of(project_ruby::kFiles, sdk) : project_of(project_python::kFiles, sdk);
    refuse_what_exists(folder, project);
    write_project(folder, project);
    if (context.json) {
        Json files = Json::array();
        for (const ProjectFile& file : project) files.push_back(file.path);
        context.print_json(
            {{"directory", fs::absolute(folder).string()}, {"language", language}, {"files", files}});
        return ExitCode::ok;
    }
    for (const ProjectFile& file : project) context.print("  " + (folder / file.path).string());
    context.print(
        fmt::format("A project in {}. Next{}:\n"
                    "  bin/test\n"
                    "  tasker dev --reload --worker bin/worker\n"
                    "  tasker task submit hello/greeting --context '{{\"name\": \"Ada\"}}' --wait    # in a "
                    "second terminal\n"
                    "README.md explains them.",
                    language == "ruby" ? "Ruby" : "Python", folder == "." ? "" : ", in " + folder.string()));
    return ExitCode::ok;
}

}  // namespace

void add_init_commands(CLI::App& app, Context& context) {
    auto folder = std::make_shared<fs::path>(".");
    auto ruby = std::make_shared<bool>(false);
    CLI::App* command = app.add_subcommand("init", "make a small project: workflow, handlers, test, README");
    command->add_option("dir", *folder, "where (default: here); created when missing")->type_name("DIR");
    const std::string meaning = "handlers in Python (default)";  // for the overload without a variable
    auto* first = command->add_flag("--python", meaning);
    command->add_flag("--ruby", *ruby, "handlers in Ruby")->excludes(first);
    command->footer(kInitFooter);
    context.on_run(command,
                   [&context, folder, ruby] { return init(context, *folder, *ruby ? "ruby" : "python"); });
}

}  // namespace tasker::cli
