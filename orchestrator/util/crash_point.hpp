// Named points at which tests kill the process: nothing in the shipped executable, which is linked with
// crash_point_none.cpp; tasker-orchestrator-crash is linked with crash_point_env.cpp.
#pragma once

#include <string_view>

namespace tasker::util {

/// Dies by SIGKILL here when TASKER_CRASH_POINT names this point (`<name>` or `<name>:<n>` for the nth time
/// it is passed), in test executables only.
void crash_point(std::string_view name);

}  // namespace tasker::util
