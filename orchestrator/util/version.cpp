#include "orchestrator/util/version.hpp"

#include <tasker_commit.hpp>  // made at build time by cmake/commit.cmake

namespace tasker::util {

std::string_view version() {
    return TASKER_VERSION;
}

std::string_view commit() {
    return TASKER_COMMIT;
}

std::string version_text(std::string_view program) {
    return std::string(program) + " " + TASKER_VERSION + " (" + TASKER_COMMIT + ")";
}

}  // namespace tasker::util
