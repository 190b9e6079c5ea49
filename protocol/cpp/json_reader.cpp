#include "protocol/cpp/json_reader.hpp"

#include <array>
#include <charconv>

namespace tasker::protocol {
namespace {

using simdjson::ondemand::json_type;

bool has_type(JsonValue& value, json_type wanted) {
    json_type type{};
    return value.type().get(type) == simdjson::SUCCESS && type == wanted;
}

std::string_view trimmed(std::string_view text) {
    const std::size_t last = text.find_last_not_of(" \t\r\n");
    return text.substr(0, last + 1);
}

bool read_view(JsonReader& reader, JsonValue& value, std::string_view& out) {
    if (!has_type(value, json_type::string)) return reader.fail_type("a string");
    if (value.get_string().get(out)) {
        return reader.fail(ErrorCode::kInvalidUtf8,
                           "contains a \\u escape that is no character (half a surrogate pair)");
    }
    return true;
}

bool is_hex(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool is_uuid(std::string_view text) {
    if (text.size() != 36) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-' : !is_hex(text[i])) return false;
    }
    return true;
}

/// The digits text[at, at + count) as a number, or -1.
int digits_at(std::string_view text, std::size_t at, std::size_t count) {
    if (text.size() < at + count) return -1;
    int value = 0;
    for (std::size_t i = at; i < at + count; ++i) {
        if (text[i] < '0' || text[i] > '9') return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

bool is_date(std::string_view text) {
    constexpr std::array<int, 12> kDays = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const int year = digits_at(text, 0, 4);
    const int month = digits_at(text, 5, 2);
    const int day = digits_at(text, 8, 2);
    if (year < 1 || month < 1 || month > 12 || day < 1 || text[4] != '-' || text[7] != '-') return false;
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day <= kDays[static_cast<std::size_t>(month - 1)] + (leap && month == 2 ? 1 : 0);
}

/// `Z`, or an offset such as +02:00.
bool is_zone(std::string_view text) {
    if (text == "Z" || text == "z") return true;
    const int hours = digits_at(text, 1, 2);
    const int minutes = digits_at(text, 4, 2);
    return text.size() == 6 && (text[0] == '+' || text[0] == '-') && text[3] == ':' && hours >= 0 &&
           hours <= 23 && minutes >= 0 && minutes <= 59;
}

/// RFC 3339 with at most nine digits of a second's fraction.
bool is_time(std::string_view text) {
    if (text.size() < 20 || !is_date(text.substr(0, 10)) || (text[10] != 'T' && text[10] != 't'))
        return false;
    const int hour = digits_at(text, 11, 2);
    const int minute = digits_at(text, 14, 2);
    const int second = digits_at(text, 17, 2);
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60) return false;
    if (text[13] != ':' || text[16] != ':') return false;
    std::size_t at = 19;
    if (text[at] == '.') {
        const std::size_t end = text.find_first_not_of("0123456789", ++at);
        if (end == std::string_view::npos || end == at || end - at > 9) return false;
        at = end;
    }
    return is_zone(text.substr(at));
}

constexpr std::array<FieldSpec<StepRef>, 3> kStepRefFields = {
    required<&StepRef::batch_id, read_batch_id>("batch_id"), required<&StepRef::step_id, kReadId>("step_id"),
    required<&StepRef::attempt, kReadAttempt>("attempt")};

/// Only read to be judged: the error's own text keeps it.
constexpr FieldSpec<StepError> kBacktrace = {"backtrace", false,
                                             [](JsonReader& reader, JsonValue& value, StepError&) {
                                                 std::vector<std::string> lines;
                                                 return read_list<read_text, std::string>(reader, value,
                                                                                          lines);
                                             },
                                             [](StepError&) {}};

constexpr std::array<FieldSpec<StepError>, 7> kStepErrorFields = {
    required<&StepError::message, read_text>("message"),
    required<&StepError::error_type, read_text>("error_type"),
    optional<&StepError::error_code, read_text>("error_code"),
    optional<&StepError::retryable, read_bool>("retryable"),
    optional<&StepError::retry_after_seconds, read_seconds>("retry_after_seconds"),
    kBacktrace,
    optional<&StepError::handler_stopped, read_bool>("handler_stopped")};

}  // namespace

bool JsonReader::fail(ErrorCode code, std::string message) {
    error_ = DecodeError{code, "", std::move(message)};
    return false;
}

bool JsonReader::fail(DecodeError error) {
    error_ = std::move(error);
    return false;
}

bool JsonReader::fail_type(std::string_view expected) {
    return fail(ErrorCode::wrong_type, "must be " + std::string(expected));
}

bool JsonReader::fail_simdjson(simdjson::error_code code) {
    return fail(ErrorCode::malformed_json, simdjson::error_message(code));
}

void JsonReader::within(std::string_view member) {
    const bool joined = error_.field.empty() || error_.field.front() == '[';
    error_.field = std::string(member) + (joined ? "" : ".") + error_.field;
}

void JsonReader::within(std::size_t index) {
    const bool joined = error_.field.empty() || error_.field.front() == '[';
    error_.field = "[" + std::to_string(index) + "]" + (joined ? "" : ".") + error_.field;
}

bool read_text(JsonReader& reader, JsonValue& value, std::string& out) {
    std::string_view text;
    if (!read_view(reader, value, text)) return false;
    out = text;
    return true;
}

bool read_name(JsonReader& reader, JsonValue& value, std::string& out) {
    if (!read_text(reader, value, out)) return false;
    if (out.empty()) return reader.fail(ErrorCode::out_of_range, "must not be empty");
    if (out.find('\0') != std::string::npos)
        return reader.fail(ErrorCode::out_of_range, "must not contain \\u0000");
    return true;
}

bool read_batch_id(JsonReader& reader, JsonValue& value, std::string& out) {
    if (!read_text(reader, value, out)) return false;
    return is_uuid(out) || reader.fail(ErrorCode::out_of_range, "must be a UUID");
}

bool read_session_id(JsonReader& reader, JsonValue& value, std::string& out) {
    if (!read_text(reader, value, out)) return false;
    const bool valid = out.size() == 16 && out.find_first_not_of("0123456789abcdef") == std::string::npos;
    return valid || reader.fail(ErrorCode::out_of_range, "must be 16 lower-case hexadecimal digits");
}

bool read_time(JsonReader& reader, JsonValue& value, std::string& out) {
    if (!read_text(reader, value, out)) return false;
    return is_time(out) || reader.fail(ErrorCode::out_of_range, "must be a time as RFC 3339 writes it");
}

bool read_status(JsonReader& reader, JsonValue& value, ReportStatus& out) {
    std::string_view text;
    if (!read_view(reader, value, text)) return false;
    const auto status = report_status_from_text(text);
    if (!status)
        return reader.fail(ErrorCode::out_of_range, "must be in_progress, completed, failed or error");
    out = *status;
    return true;
}

bool read_bool(JsonReader& reader, JsonValue& value, bool& out) {
    return value.get_bool().get(out) == simdjson::SUCCESS || reader.fail_type("true or false");
}

bool read_seconds(JsonReader& reader, JsonValue& value, double& out) {
    if (!has_type(value, json_type::number)) return reader.fail_type("a number");
    // Fails for what is too large for a double; what is too small for one becomes 0, or −0.
    if (value.get_double().get(out) != simdjson::SUCCESS || out < 0) {
        return reader.fail(ErrorCode::out_of_range, "must be a number of seconds that is not negative");
    }
    return true;
}

bool read_raw(JsonReader& reader, JsonValue& value, std::string& out) {
    std::string_view raw;
    if (const auto code = simdjson::to_json_string(value).get(raw)) return reader.fail_simdjson(code);
    out = trimmed(raw);
    return true;
}

bool read_raw_object(JsonReader& reader, JsonValue& value, std::string& out) {
    if (!has_type(value, json_type::object)) return reader.fail_type("an object");
    return read_raw(reader, value, out);
}

bool read_integer(JsonReader& reader, JsonValue& value, std::int64_t minimum, std::int64_t maximum,
                  std::int64_t& out) {
    if (!has_type(value, json_type::number)) return reader.fail_type("a whole number");
    const std::string_view token = trimmed(value.raw_json_token());
    const char* const end = token.data() + token.size();
    const auto parsed = std::from_chars(token.data(), end, out);
    if (parsed.ptr != end) return reader.fail_type("a whole number, written without fraction and exponent");
    if (parsed.ec != std::errc{} || out < minimum || out > maximum) {
        return reader.fail(ErrorCode::out_of_range,
                           "must be from " + std::to_string(minimum) + " to " + std::to_string(maximum));
    }
    return true;
}

bool read_step_ref(JsonReader& reader, JsonValue& value, StepRef& out) {
    return read_struct<kStepRefFields>(reader, value, out);
}

bool read_error(JsonReader& reader, JsonValue& value, std::string& raw, std::optional<StepError>& out) {
    JsonObject object;
    if (value.get_object().get(object)) return reader.fail_type("an object");
    std::string_view text;
    if (const auto code = object.raw_json().get(text)) return reader.fail_simdjson(code);
    raw = trimmed(text);
    bool rewound = false;
    if (const auto code = object.reset().get(rewound)) return reader.fail_simdjson(code);
    return read_fields<StepError>(reader, object, kStepErrorFields, out.emplace());
}

}  // namespace tasker::protocol
