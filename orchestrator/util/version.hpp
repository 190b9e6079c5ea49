// Which build this is. Its own library (tasker_version), linked by the programs only: a new commit compiles
// one small file and links them anew.
#pragma once

#include <string>
#include <string_view>

namespace tasker::util {

/// The release, from the file VERSION: "0.1.0".
std::string_view version();

/// The commit that was built, shortened, or "unknown" outside of a git checkout.
std::string_view commit();

/// What `--version` prints: "tasker 0.1.0 (41392ea)".
std::string version_text(std::string_view program);

}  // namespace tasker::util
