// Payloads of tasker_wake: what is not understood exactly makes the orchestrator look at everything, never at
// too little.
#include <algorithm>
#include <string>

#include "orchestrator/store/wake_payload.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace tasker;

namespace {

std::string joined(const std::vector<std::int32_t>& keys) {
    std::string text;
    for (const auto key : keys) text += (text.empty() ? "keys:" : ",") + std::to_string(key);
    return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string payload(fuzz::as_text(data, size));
    const auto wake = store::parse_wake(payload);
    fuzz::require(wake.full_scan || wake.definitions || !wake.keys.empty(), "every wake has an effect",
                  payload);
    if (wake.definitions)
        fuzz::require(payload == "templates", "only `templates` reloads templates", payload);
    if (!wake.keys.empty() && !wake.full_scan) {
        // Leading zeros apart, which from_chars reads too.
        fuzz::require(store::parse_wake(joined(wake.keys)).keys == wake.keys, "keys are read as written");
        const auto list = payload.substr(0, payload.find(';'));
        const auto commas = std::count(list.begin(), list.end(), ',');
        fuzz::require(static_cast<std::size_t>(commas) + 1 == wake.keys.size(), "no key is left out",
                      payload);
        fuzz::require(list.find_first_not_of("0123456789,", 5) == std::string::npos,
                      "what is no list of keys is a full scan", payload);
    }
    return 0;
}
