// Settings from a file: accepted ones are within the limits of their table, refusals name file and key.
#include <sys/mman.h>
#include <unistd.h>

#include "orchestrator/options/load.hpp"
#include "orchestrator/options/settings.hpp"
#include "tests/fuzz/problem_property.hpp"

using namespace tasker;
using options::Options;

namespace {

/// A file that exists in memory only; load_options reads files by their path.
class MemoryFile {
  public:
    explicit MemoryFile(std::string_view text) : descriptor_(::memfd_create("fuzz", MFD_CLOEXEC)) {
        fuzz::require(descriptor_ >= 0, "memfd_create works");
        const auto written = ::write(descriptor_, text.data(), text.size());
        fuzz::require(written == static_cast<ssize_t>(text.size()), "a memory file takes the text");
    }
    ~MemoryFile() { ::close(descriptor_); }
    MemoryFile(const MemoryFile&) = delete;
    MemoryFile& operator=(const MemoryFile&) = delete;

    std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

  private:
    int descriptor_;
};

std::optional<std::string> no_setting(std::string_view name) {
    if (name == "SET") return "tcp://127.0.0.1:7000";
    if (name == "EMPTY") return "";
    return std::nullopt;
}

struct WithinLimits {
    const options::Setting& setting;
    Options& values;

    void check(std::int64_t value) const {
        fuzz::require(value >= setting.min && value <= setting.max, "a number is within its limits",
                      setting.key);
    }
    void operator()(int* (*slot)(Options&)) const { check(*slot(values)); }
    void operator()(std::int64_t* (*slot)(Options&)) const { check(*slot(values)); }
    void operator()(options::milliseconds* (*slot)(Options&)) const { check(slot(values)->count()); }
    void operator()(std::string* (*slot)(Options&)) const { fuzz::check_storable(*slot(values)); }
    void operator()(std::vector<std::string>* (*slot)(Options&)) const {
        fuzz::require(!slot(values)->empty(), "a list of endpoints is not empty", setting.key);
        for (const auto& one : *slot(values)) fuzz::check_storable(one);
    }
    void operator()(bool* (*)(Options&)) const {}
    void operator()(options::LogLevel* (*slot)(Options&)) const {
        fuzz::require(*slot(values) >= options::LogLevel::trace && *slot(values) <= options::LogLevel::error,
                      "a log level is one of the five");
    }
    void operator()(options::LogFormat* (*slot)(Options&)) const {
        fuzz::require(*slot(values) == options::LogFormat::text || *slot(values) == options::LogFormat::json,
                      "a log format is one of the two");
    }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const MemoryFile file(fuzz::as_text(data, size));
    auto loaded = options::load_options(file.path(), no_setting);
    if (!loaded) {
        fuzz::check_problems(loaded.error());
        return 0;
    }
    fuzz::check_warnings(loaded->warnings);
    fuzz::require(loaded->files.size() == 1, "only this file was read");
    for (const auto& setting : options::settings()) {
        std::visit(WithinLimits{setting, loaded->options}, setting.slot);
    }
    const auto& timers = loaded->options.timers;
    fuzz::require(timers.heartbeat < timers.suspect_after && timers.suspect_after < timers.lease,
                  "heartbeat < suspect_after < lease");
    return 0;
}
