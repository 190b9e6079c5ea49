// Internal to the codec: appends JSON members to a string. A comma is due unless the object has just been
// opened, which the last character tells, so nested writers need no state.
#pragma once

#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/cpp/encode.hpp"
#include "protocol/cpp/messages.hpp"

namespace tasker::protocol {

/// Writes one object from construction to `close`. Member names are ours and need no escaping.
class ObjectWriter {
  public:
    explicit ObjectWriter(std::string& out) : out_(out) { out_.push_back('{'); }

    ObjectWriter& text(std::string_view name, std::string_view value) {
        begin(name);
        append_json_string(out_, value);
        return *this;
    }
    ObjectWriter& text(std::string_view name, const std::string& value) {
        return text(name, std::string_view(value));
    }
    ObjectWriter& text(std::string_view name, const std::optional<std::string>& value) {
        return value ? text(name, std::string_view(*value)) : *this;
    }
    ObjectWriter& integer(std::string_view name, std::int64_t value) {
        begin(name);
        append_integer(out_, value);
        return *this;
    }
    template <typename Integer>
    ObjectWriter& integer(std::string_view name, const std::optional<Integer>& value) {
        return value ? integer(name, std::int64_t{*value}) : *this;
    }
    ObjectWriter& boolean(std::string_view name, const std::optional<bool>& value) {
        if (!value) return *this;
        begin(name);
        out_.append(*value ? "true" : "false");
        return *this;
    }
    /// JSON has no infinities: a number that is not finite is left out.
    ObjectWriter& number(std::string_view name, const std::optional<double>& value) {
        if (!value || !std::isfinite(*value)) return *this;
        begin(name);
        char digits[32];
        const auto end = std::to_chars(digits, digits + sizeof digits, *value);
        out_.append(digits, end.ptr);
        return *this;
    }
    /// Raw JSON text; "" is left out.
    ObjectWriter& raw(std::string_view name, std::string_view json) {
        if (json.empty()) return *this;
        begin(name);
        out_.append(json);
        return *this;
    }
    ObjectWriter& raw_object(std::string_view name, std::string_view json) {
        return raw(name, json.empty() ? std::string_view("{}") : json);
    }
    /// A list whose elements `write(out, element)` appends.
    template <typename Element, typename Write>
    ObjectWriter& list(std::string_view name, const std::vector<Element>& elements, Write write) {
        begin(name);
        out_.push_back('[');
        bool first = true;
        for (const auto& element : elements) {
            if (!first) out_.push_back(',');
            first = false;
            write(out_, element);
        }
        out_.push_back(']');
        return *this;
    }
    /// As `list`, but an empty list counts as absent.
    template <typename Element, typename Write>
    ObjectWriter& optional_list(std::string_view name, const std::vector<Element>& elements, Write write) {
        return elements.empty() ? *this : list(name, elements, write);
    }
    template <typename Write>
    ObjectWriter& object(std::string_view name, Write write) {
        begin(name);
        write(out_);
        return *this;
    }
    void close() { out_.push_back('}'); }

    static void append_integer(std::string& out, std::int64_t value) {
        char digits[24];
        const auto end = std::to_chars(digits, digits + sizeof digits, value);
        out.append(digits, end.ptr);
    }

  private:
    void begin(std::string_view name) {
        if (out_.back() != '{') out_.push_back(',');
        out_.push_back('"');
        out_.append(name).append("\":");
    }

    std::string& out_;
};

/// Opens a message with its type and version; the names are those of the wire.
inline ObjectWriter begin_message(std::string& out, std::string_view type) {
    ObjectWriter writer(out);
    writer.text("message_type", type).text("protocol_version", kProtocolVersion);
    return writer;
}

inline void append_id(std::string& out, std::int64_t value) {
    ObjectWriter::append_integer(out, value);
}

void append_step_ref(std::string& out, const StepRef& ref);

}  // namespace tasker::protocol
