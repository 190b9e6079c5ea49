// Why a frame or a message was refused. Codes are part of the wire's contract: they appear in conformance
// vectors, in tasker_rejected_messages and in logs.
#pragma once

#include <string>
#include <string_view>

namespace tasker::protocol {

/// One spelling per code in every language (`to_text`); never renamed.
enum class ErrorCode {
    bad_frame,       // no topic, an unknown topic, or a message that does not belong on it
    kInvalidUtf8,    // bytes that are not UTF-8, or a \u escape that is no character where text is needed
    malformed_json,  // not one complete JSON value
    unknown_type,    // message_type is none of this direction
    missing_field,   // a required field is absent or null
    wrong_type,      // a field has another JSON type
    unsupported_version,  // protocol_version is not 1.x
    too_deep,             // nested deeper than the limit
    too_large,            // longer than the limit
    out_of_range          // right type, impossible value: number range, enumeration, id or time format
};

/// Wire spelling: bad_frame, invalid_utf8, malformed_json, …
std::string_view to_text(ErrorCode code);

/// `field` is the path inside the message ("steps[2].metadata.attempt"), empty when the fault is the whole
/// message; `message` is a sentence for people.
struct DecodeError {
    ErrorCode code = ErrorCode::malformed_json;
    std::string field;
    std::string message;
};

}  // namespace tasker::protocol
