// Notices that the sources of a project have changed, by looking at them now and then.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace tasker::cli {

/// Watches the programs and texts below a folder: files with the ending of a source (.py, .rb, .yaml …) and
/// executables. Hidden names (.git, .tasker), caches and links are left out, and so are what workers write, and the
/// folder `without`. A folder that is not there is empty.
class SourceWatch {
  public:
    explicit SourceWatch(std::filesystem::path folder, std::filesystem::path without = {});

    /// Looks again. A changed, new or removed file, once nothing has changed since the look before: an editor
    /// that saves many files, or a checkout, counts as one change.
    std::optional<std::string> look();
    /// Whether the folder holds more than is watched.
    bool truncated() const { return truncated_; }

  private:
    using Stamp = std::pair<std::filesystem::file_time_type, std::uintmax_t>;
    using Files = std::map<std::string, Stamp>;
    Files scan();

    std::filesystem::path folder_;
    std::filesystem::path without_;
    bool truncated_ = false;
    Files files_;
    std::optional<std::string> changed_;
};

}  // namespace tasker::cli
