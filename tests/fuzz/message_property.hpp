// The properties of both message decoders.
#pragma once

#include <string>
#include <string_view>

#include "protocol/cpp/decode.hpp"
#include "protocol/cpp/encode.hpp"
#include "protocol/cpp/json_text.hpp"
#include "tests/fuzz/text_property.hpp"

namespace tasker::fuzz {

/// A refusal is recorded in PostgreSQL and read by people: a code, a path where there is one, a sentence.
inline void check_error(const protocol::DecodeError& error) {
    using protocol::ErrorCode;
    require(!protocol::to_text(error.code).empty(), "an error has a code");
    check_sentence(error.message);
    check_storable(error.field);
    const bool of_a_field = error.code == ErrorCode::unknown_type || error.code == ErrorCode::missing_field ||
                            error.code == ErrorCode::out_of_range ||
                            error.code == ErrorCode::unsupported_version;
    require(!of_a_field || !error.field.empty(), "an error of a field names it", error.message);
}

/// decode(encode(decode(x))) == decode(x), and what was accepted is within the limits when written again.
/// `decode` takes JSON text.
template <typename Decode>
void check_message(std::string_view json, const protocol::DecodeLimits& limits, Decode decode) {
    const auto first = decode(json);
    if (!first) return check_error(first.error());
    require(json.size() <= limits.message_bytes, "a message over the limit is refused");
    const std::string text = protocol::to_json(*first);
    const auto invalid = protocol::check_json(text, limits.depth);
    require(!invalid, "an accepted message is written as valid JSON within the depth limit",
            invalid ? invalid->message : "");
    const auto second = decode(text);
    require(second.has_value(), "an accepted message is accepted again after encoding",
            second ? "" : second.error().field + ": " + second.error().message + "\n" + text);
    require(*second == *first, "encoding and decoding give the same message", text);
    require(protocol::to_json(*second) == text, "encoding is stable", text);
}

}  // namespace tasker::fuzz
