#include "orchestrator/cli/dev/source_watch.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace tasker::cli {
namespace {

namespace fs = std::filesystem;

// A look at so many takes some 50 ms.
constexpr std::size_t kFilesMax = 20'000;
constexpr std::array kSources = {".py", ".rb",   ".yaml", ".yml", ".json", ".toml", ".erb", ".js",  ".mjs",
                                 ".ts", ".java", ".kt",   ".go",  ".rs",   ".c",    ".cpp", ".h",   ".hpp",
                                 ".ex", ".exs",  ".php",  ".sh",  ".sql",  ".env",  ".ini", ".cfg", ".lua"};
constexpr std::array kNotOurs = {"__pycache__", "node_modules", "tmp", "log", "logs"};

bool is_left_out(const std::string& name) {
    return name.starts_with('.') || std::find(kNotOurs.begin(), kNotOurs.end(), name) != kNotOurs.end();
}

bool is_source(const fs::directory_entry& entry, const fs::file_status& status) {
    const std::string ending = entry.path().extension().string();
    if (std::find(kSources.begin(), kSources.end(), ending) != kSources.end()) return true;
    return (status.permissions() & fs::perms::owner_exec) != fs::perms::none;
}

}  // namespace

SourceWatch::SourceWatch(fs::path folder, fs::path without)
    : folder_(std::move(folder)), without_(std::move(without)), files_(scan()) {}

SourceWatch::Files SourceWatch::scan() {
    Files files;
    std::error_code problem;  // what vanishes while we look is simply not there
    fs::recursive_directory_iterator entry(folder_, fs::directory_options::skip_permission_denied, problem);
    for (std::size_t seen = 0; !problem && entry != fs::recursive_directory_iterator();
         entry.increment(problem)) {
        truncated_ = ++seen > kFilesMax;
        if (truncated_) break;
        std::error_code gone;
        const fs::file_status status = entry->symlink_status(gone);
        const bool is_without = !without_.empty() && entry->path() == without_;
        if (is_without || is_left_out(entry->path().filename())) {
            if (fs::is_directory(status)) entry.disable_recursion_pending();
            continue;
        }
        if (!fs::is_regular_file(status) || !is_source(*entry, status)) continue;
        const Stamp stamp{entry->last_write_time(gone), entry->file_size(gone)};
        if (!gone) files.emplace(entry->path().string(), stamp);
    }
    return files;
}

std::optional<std::string> SourceWatch::look() {
    Files now = scan();
    if (now != files_) {
        const auto [there, here] = std::mismatch(files_.begin(), files_.end(), now.begin(), now.end());
        changed_ = here != now.end() && (there == files_.end() || here->first <= there->first) ? here->first
                                                                                               : there->first;
        files_ = std::move(now);
        return std::nullopt;
    }
    return std::exchange(changed_, std::nullopt);
}

}  // namespace tasker::cli
