#include "protocol/cpp/decode.hpp"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "protocol/cpp/encode.hpp"
#include "protocol/cpp/json_reader.hpp"
#include "protocol/cpp/json_text.hpp"

namespace tasker::protocol {
namespace {

/// "PartialResult" → "partial_result"; text that is snake_case already stays as it is.
std::string snake_case(std::string_view type) {
    std::string snake;
    snake.reserve(type.size() + 4);
    for (std::size_t i = 0; i < type.size(); ++i) {
        const char c = type[i];
        const bool upper = c >= 'A' && c <= 'Z';
        if (upper && i > 0) snake.push_back('_');
        snake.push_back(upper ? static_cast<char>(c - 'A' + 'a') : c);
    }
    return snake;
}

/// PascalCase has no underscore and begins with a capital: "Partial_result" and "PARTIAL" are neither
/// spelling.
bool is_pascal_case(std::string_view type) {
    return !type.empty() && type.front() >= 'A' && type.front() <= 'Z' &&
           type.find('_') == std::string_view::npos;
}

/// `text`, which is UTF-8, as an error may quote it: in one line and short, and such that PostgreSQL can
/// store it (no U+0000, and no character cut in two).
std::string in_quotes(std::string_view text) {
    constexpr std::size_t kBytesMax = 64;
    if (text.size() > kBytesMax) {
        std::size_t end = kBytesMax;
        while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
        text = text.substr(0, end);
    }
    std::string quoted;
    append_json_string(quoted, text);
    return quoted;
}

bool is_supported_version(std::string_view version) {
    return version.size() > 2 && version.substr(0, 2) == "1." &&
           std::all_of(version.begin() + 2, version.end(), [](char c) { return c >= '0' && c <= '9'; });
}

template <typename Variant>
const MessageSpec<Variant>* find_type(std::span<const MessageSpec<Variant>> specs, std::string_view type) {
    const auto found =
        std::find_if(specs.begin(), specs.end(), [&](const auto& spec) { return spec.type == type; });
    return found == specs.end() ? nullptr : &*found;
}

struct Header {
    std::string message_type;
    std::optional<std::string> protocol_version;
};

constexpr std::array<FieldSpec<Header>, 2> kHeaderFields = {
    required<&Header::message_type, read_text>("message_type"),
    optional<&Header::protocol_version, read_text>("protocol_version")};
constexpr std::array<FieldSpec<Header>, 1> kVersionField = {
    optional<&Header::protocol_version, read_text>("protocol_version")};

}  // namespace

class Decoder::Impl {
  public:
    explicit Impl(DecodeLimits limits) : limits_(limits) {}

    template <typename Variant>
    tl::expected<Variant, DecodeError> decode(
        std::string_view json, std::initializer_list<std::span<const MessageSpec<Variant>>> tables) {
        if (auto error = check(json)) return tl::unexpected(std::move(*error));
        simdjson::ondemand::document document;
        JsonObject object;
        JsonReader reader;
        header_ = Header{};
        if (!open(json, document, object, reader) || !read_header(document, object, reader)) {
            return tl::unexpected(reader.take_error());
        }
        const std::string type =
            is_pascal_case(header_.message_type) ? snake_case(header_.message_type) : header_.message_type;
        const MessageSpec<Variant>* spec = nullptr;
        for (const auto table : tables) {
            if (spec == nullptr) spec = find_type(table, type);
        }
        if (spec == nullptr) {
            return tl::unexpected(
                DecodeError{ErrorCode::unknown_type, "message_type",
                            in_quotes(header_.message_type) + " is no message of this direction"});
        }
        Variant message;
        if (!spec->read(reader, object, message)) return tl::unexpected(reader.take_error());
        return message;
    }

    std::string_view protocol_version() const {
        return header_.protocol_version ? std::string_view(*header_.protocol_version) : std::string_view();
    }

  private:
    std::optional<DecodeError> check(std::string_view json) const {
        if (json.size() > limits_.message_bytes) {
            return DecodeError{ErrorCode::too_large, "",
                               "the message has " + std::to_string(json.size()) + " bytes, the limit is " +
                                   std::to_string(limits_.message_bytes)};
        }
        if (auto error = check_json(json, limits_.depth)) return error;
        if (json[json.find_first_not_of(" \t\r\n")] != '{') {
            return DecodeError{ErrorCode::wrong_type, "", "a message must be a JSON object"};
        }
        return std::nullopt;
    }

    /// simdjson wants readable bytes behind the text, which message memory does not have: hence the copy.
    bool open(std::string_view json, simdjson::ondemand::document& document, JsonObject& object,
              JsonReader& reader) {
        if (buffer_.size() < json.size() + simdjson::SIMDJSON_PADDING) {
            buffer_.resize(json.size() + json.size() / 2 + simdjson::SIMDJSON_PADDING);
        }
        std::memcpy(buffer_.data(), json.data(), json.size());
        if (const auto code = parser_.iterate(buffer_.data(), json.size(), buffer_.size()).get(document)) {
            return reader.fail_simdjson(code);
        }
        const auto code = document.get_object().get(object);
        return code == simdjson::SUCCESS || reader.fail_simdjson(code);
    }

    /// Reads version and type in a pass of their own, since they may stand anywhere, and goes back to the
    /// start. The version is judged first: a later version may well have other types.
    bool read_header(simdjson::ondemand::document& document, JsonObject& object, JsonReader& reader) {
        const bool complete = read_fields<Header>(reader, object, kHeaderFields, header_);
        if (!complete) {
            DecodeError first = reader.take_error();
            if (!rewind(document, object, reader)) return false;
            if (!read_fields<Header>(reader, object, kVersionField, header_)) return false;
            if (!check_version(reader)) return false;
            return reader.fail(std::move(first));
        }
        return check_version(reader) && rewind(document, object, reader);
    }

    bool check_version(JsonReader& reader) const {
        if (!header_.protocol_version || is_supported_version(*header_.protocol_version)) return true;
        reader.fail(ErrorCode::unsupported_version, in_quotes(*header_.protocol_version) + " is not 1.x");
        reader.within("protocol_version");
        return false;
    }

    static bool rewind(simdjson::ondemand::document& document, JsonObject& object, JsonReader& reader) {
        document.rewind();
        const auto code = document.get_object().get(object);
        return code == simdjson::SUCCESS || reader.fail_simdjson(code);
    }

    DecodeLimits limits_;
    std::vector<char> buffer_;
    simdjson::ondemand::parser parser_;
    Header header_;
};

Decoder::Decoder(DecodeLimits limits) : impl_(std::make_unique<Impl>(limits)) {}
Decoder::~Decoder() = default;
Decoder::Decoder(Decoder&&) noexcept = default;
Decoder& Decoder::operator=(Decoder&&) noexcept = default;

tl::expected<WorkerMessage, DecodeError> Decoder::decode_worker_message(std::string_view json) {
    return impl_->decode<WorkerMessage>(json, {report_message_specs(), session_message_specs()});
}

tl::expected<OrchestratorMessage, DecodeError> Decoder::decode_orchestrator_message(std::string_view json) {
    return impl_->decode<OrchestratorMessage>(json, {orchestrator_message_specs()});
}

std::string_view Decoder::protocol_version() const {
    return impl_->protocol_version();
}

}  // namespace tasker::protocol
