// Our own JSON check against an independent parser, and the promises of the text helpers beside it.
#include <nlohmann/json.hpp>

#include "tests/fuzz/text_property.hpp"

using namespace tasker;
using nlohmann::json;

namespace {

enum class Verdict { valid, malformed, out_of_range };

Verdict independent_verdict(std::string_view text) {
    try {
        [[maybe_unused]] const json parsed = json::parse(text);
        return Verdict::valid;
    } catch (const json::out_of_range&) {
        return Verdict::out_of_range;  // a number beyond a double: it says nothing about the rest
    } catch (const json::exception&) {
        return Verdict::malformed;
    }
}

void check_against_independent_parser(std::string_view text) {
    constexpr std::size_t kDepth = 16;
    const auto error = protocol::check_json(text, kDepth);
    if (error) fuzz::check_sentence(error->message);
    if (error && error->code == protocol::ErrorCode::too_deep) return;
    if (text.find('\0') != std::string_view::npos) {  // for nlohmann the end of the text, for us no JSON
        fuzz::require(error.has_value(), "a NUL byte is no JSON");
        return;
    }
    const bool byte_order_mark = text.substr(0, 3) == "\xEF\xBB\xBF";  // nlohmann skips it, we do not
    switch (independent_verdict(text)) {
        case Verdict::valid:
            fuzz::require(!error || byte_order_mark, "valid JSON is accepted", error ? error->message : "");
            break;
        case Verdict::malformed:
            // Half a surrogate pair is legal by the grammar of JSON but no character.
            fuzz::require(error || protocol::unstorable_reason(text), "malformed JSON is refused", text);
            break;
        case Verdict::out_of_range:
            break;
    }
    if (error) return;
    const bool nul = protocol::contains_nul_escape(text);
    fuzz::require(!nul || protocol::unstorable_reason(text), "a \\u0000 cannot be stored", text);
}

// Any text becomes a JSON string that means exactly this text.
void check_json_string(std::string_view text) {
    std::string quoted = "kept";
    protocol::append_json_string(quoted, text);
    fuzz::require(quoted.substr(0, 4) == "kept", "appending keeps what was there");
    quoted.erase(0, 4);
    if (!fuzz::is_utf8(text)) return;
    fuzz::require(json::parse(quoted).get<std::string>() == text, "a JSON string means its text", quoted);
    const bool nul = text.find('\0') != std::string_view::npos;
    fuzz::require(protocol::contains_nul_escape(quoted) == nul, "U+0000 is found in its escaped form",
                  quoted);
    fuzz::require(protocol::unstorable_reason(quoted).has_value() == nul,
                  "a text can be stored exactly when it has no U+0000", quoted);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = fuzz::as_text(data, size);
    check_against_independent_parser(text);
    // Meant for valid JSON; on anything else the answer means nothing, but it reads within the text.
    [[maybe_unused]] const auto reason = protocol::unstorable_reason(text);
    check_json_string(text);
    return 0;
}
