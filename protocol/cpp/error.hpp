// Why a frame or a message was refused. Codes are part of the wire's contract: they appear in conformance
// vectors, in tasker_rejected_messages and in logs.
#pragma once

#include <string>
#include <string_view>

namespace tasker::protocol {

/// One spelling per code in every language (`to_text`); never renamed.
enum class ErrorCode {
    kBadFrame,       // no topic, an unknown topic, or a message that does not belong on it
    kInvalidUtf8,    // bytes that are not UTF-8, or a \u escape that is no character where text is needed
    kMalformedJson,  // not one complete JSON value
    kUnknownType,    // message_type is none of this direction
    kMissingField,   // a required field is absent or null
    kWrongType,      // a field has another JSON type
    kUnsupportedVersion,  // protocol_version is not 1.x
    kTooDeep,             // nested deeper than the limit
    kTooLarge,            // longer than the limit
    kOutOfRange           // right type, impossible value: number range, enumeration, id or time format
};

/// Wire spelling: bad_frame, invalid_utf8, malformed_json, …
std::string_view to_text(ErrorCode code);

/// `field` is the path inside the message ("steps[2].metadata.attempt"), empty when the fault is the whole
/// message; `message` is a sentence for people.
struct DecodeError {
    ErrorCode code = ErrorCode::kMalformedJson;
    std::string field;
    std::string message;
};

}  // namespace tasker::protocol
