#include "orchestrator/engine/io/hello_check.hpp"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

namespace tasker::engine {
namespace {

bool begins_character(char byte) {
    return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U;
}

/// C0, DEL and C1; U+2028, U+2029, U+202A … U+202E, U+2066 … U+2069. `text` is UTF-8.
bool holds_control(std::string_view text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto byte = [&](std::size_t at) {
            return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U;
        };
        if (byte(i) < 0x20U || byte(i) == 0x7FU) return true;
        if (byte(i) == 0xC2U && byte(i + 1) < 0xA0U) return true;
        if (byte(i) != 0xE2U) continue;
        if (byte(i + 1) == 0x80U && byte(i + 2) >= 0xA8U && byte(i + 2) <= 0xAEU) return true;
        if (byte(i + 1) == 0x81U && byte(i + 2) >= 0xA6U && byte(i + 2) <= 0xA9U) return true;
    }
    return false;
}

std::optional<std::string> fault_of_name(std::string_view field, std::string_view name) {
    if (holds_control(name)) return std::string(field) + " holds a control character";
    const auto characters =
        static_cast<std::size_t>(std::count_if(name.begin(), name.end(), begins_character));
    if (characters <= kNameCharactersMax) return std::nullopt;
    return std::string(field) + " has " + std::to_string(characters) + " characters, at most " +
           std::to_string(kNameCharactersMax) + " are allowed";
}

}  // namespace

std::optional<std::string> fault_of(const protocol::Hello& hello) {
    const std::pair<std::string_view, const std::string*> names[] = {{"worker_id", &hello.worker_id},
                                                                     {"host", &hello.host},
                                                                     {"language", &hello.language},
                                                                     {"sdk_version", &hello.sdk_version}};
    for (const auto& [field, name] : names) {
        if (auto fault = fault_of_name(field, *name)) return fault;
    }
    if (hello.hello_nonce &&
        (hello.hello_nonce->size() > kNonceBytesMax || holds_control(*hello.hello_nonce)))
        return "hello_nonce is no short name";
    std::size_t bytes = 0;
    const std::pair<std::string_view, const std::vector<std::string>*> lists[] = {
        {"namespaces", &hello.namespaces}, {"handlers", &hello.handlers}};
    for (const auto& [field, list] : lists) {
        for (const std::string& name : *list) {
            if (auto fault = fault_of_name(field, name)) return fault;
            bytes += name.size();
        }
    }
    if (bytes <= kNamesBytesMax) return std::nullopt;
    return "namespaces and handlers have " + std::to_string(bytes) + " bytes, at most " +
           std::to_string(kNamesBytesMax) + " are allowed";
}

}  // namespace tasker::engine
