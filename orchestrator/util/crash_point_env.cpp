#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <string>

#include "orchestrator/util/crash_point.hpp"

namespace tasker::util {
namespace {

struct Chosen {
    std::string name;
    int passes = 1;
};

Chosen chosen_from_environment() {
    const char* text = std::getenv("TASKER_CRASH_POINT");
    Chosen chosen{text ? text : "", 1};
    const auto colon = chosen.name.find(':');
    if (colon != std::string::npos) {
        std::from_chars(chosen.name.data() + colon + 1, chosen.name.data() + chosen.name.size(),
                        chosen.passes);
        chosen.name.resize(colon);
    }
    return chosen;
}

}  // namespace

void crash_point(std::string_view name) {
    static const Chosen chosen = chosen_from_environment();
    static std::atomic<int> passed{0};
    if (name == chosen.name && ++passed == chosen.passes) std::raise(SIGKILL);
}

}  // namespace tasker::util
