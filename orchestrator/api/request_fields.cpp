#include "orchestrator/api/request_fields.hpp"

#include <fmt/format.h>

#include <utility>

#include "orchestrator/templates/context_validator.hpp"
#include "orchestrator/templates/template.hpp"
#include "orchestrator/templates/text_format.hpp"

namespace tasker::api {
namespace {

RequestProblem invalid(std::string field, std::string message) {
    return {"invalid_field", std::move(message), std::move(field)};
}

/// Reads exactly `digits` decimal digits at `at`; -1 when there are others.
int number_at(std::string_view text, std::size_t at, std::size_t digits) {
    if (at + digits > text.size()) return -1;
    int value = 0;
    for (std::size_t i = at; i < at + digits; ++i) {
        if (text[i] < '0' || text[i] > '9') return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

bool is_offset(std::string_view text) {
    if (text == "Z" || text == "z") return true;
    if (text.size() != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':') return false;
    const int hours = number_at(text, 1, 2);
    const int minutes = number_at(text, 4, 2);
    // PostgreSQL knows no offset of 16 hours or more.
    return hours >= 0 && hours < 16 && minutes >= 0 && minutes < 60;
}

std::optional<RequestProblem> text_problem(const char* field, const std::optional<std::string>& text,
                                           std::size_t characters_max) {
    if (!text) return std::nullopt;
    const auto length = storable_length(*text);
    if (!length) return invalid(field, "must be valid UTF-8 without NUL characters");
    if (*length > characters_max) {
        return invalid(field,
                       fmt::format("has {} characters, at most {} are allowed", *length, characters_max));
    }
    return std::nullopt;
}

std::optional<RequestProblem> time_problem(const char* field, const std::optional<std::string>& text) {
    if (!text || is_rfc3339(*text)) return std::nullopt;
    return invalid(field, "must be a date and time with offset such as 2025-06-30T12:00:00Z");
}

std::optional<RequestProblem> tags_problem(const std::vector<std::string>& tags) {
    if (tags.size() > kTagsMax) {
        return invalid("tags", fmt::format("{} tags, at most {} are allowed", tags.size(), kTagsMax));
    }
    for (const auto& tag : tags) {
        if (tag.empty()) return invalid("tags", "a tag must not be empty");
        if (auto problem = text_problem("tags", tag, kTagCharactersMax)) return problem;
    }
    return std::nullopt;
}

std::optional<RequestProblem> key_problem(const std::optional<std::string>& key) {
    if (!key) return std::nullopt;
    if (key->empty())
        return invalid("idempotency_key", "must not be empty; leave it out for a task of its own");
    if (key->size() > kIdempotencyKeyBytesMax) {
        return invalid("idempotency_key", fmt::format("has {} bytes, at most {} are allowed", key->size(),
                                                      kIdempotencyKeyBytesMax));
    }
    return text_problem("idempotency_key", key, kIdempotencyKeyBytesMax);
}

/// The parser's sentence without the middle of what it quotes, which may be the whole text.
std::string shortened(std::string_view sentence) {
    constexpr std::size_t side = 200;
    // A broken byte order mark is quoted up to the byte that breaks it.
    if (!storable_length(sentence)) sentence = sentence.substr(0, sentence.find("; last read"));
    if (sentence.size() <= 2 * side + 1) return std::string(sentence);
    const auto starts_character = [&](std::size_t at) {
        return (static_cast<unsigned char>(sentence[at]) & 0xC0) != 0x80;
    };
    std::size_t head = side;
    std::size_t tail = sentence.size() - side;
    while (!starts_character(head)) --head;
    while (!starts_character(tail)) ++tail;
    return fmt::format("{} … {}", sentence.substr(0, head), sentence.substr(tail));
}

}  // namespace

std::optional<std::size_t> storable_length(std::string_view text) {
    std::size_t characters = 0;
    for (std::size_t at = 0; at < text.size(); ++characters) {
        const auto lead = static_cast<unsigned char>(text[at]);
        std::size_t length = 1;
        std::uint32_t code = lead;
        if (lead == 0) return std::nullopt;
        if (lead >= 0x80) {
            if (lead >= 0xc2 && lead < 0xe0)
                length = 2, code = lead & 0x1fU;
            else if (lead >= 0xe0 && lead < 0xf0)
                length = 3, code = lead & 0x0fU;
            else if (lead >= 0xf0 && lead < 0xf5)
                length = 4, code = lead & 0x07U;
            else
                return std::nullopt;
        }
        if (at + length > text.size()) return std::nullopt;
        for (std::size_t i = 1; i < length; ++i) {
            const auto next = static_cast<unsigned char>(text[at + i]);
            if ((next & 0xc0U) != 0x80U) return std::nullopt;
            code = (code << 6U) | (next & 0x3fU);
        }
        const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
        if (overlong || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff) return std::nullopt;
        at += length;
    }
    return characters;
}

bool is_rfc3339(std::string_view text) {
    // 0123456789012345678
    // 2025-06-30T12:00:00[.fraction]offset
    if (text.size() < 20 || text[13] != ':' || text[16] != ':') return false;
    if (text[10] != 'T' && text[10] != 't' && text[10] != ' ') return false;
    const int hour = number_at(text, 11, 2);
    const int minute = number_at(text, 14, 2);
    const int second = number_at(text, 17, 2);
    if (!templates::is_date(text.substr(0, 10)) || text.starts_with("0000") || hour < 0 || hour > 23 ||
        minute < 0 || minute > 59 || second < 0 || second > 59)
        return false;
    std::size_t at = 19;
    if (text[at] == '.') {
        const std::size_t fraction = at + 1;
        at = text.find_first_not_of("0123456789", fraction);
        if (at == std::string_view::npos || at == fraction || at - fraction > 9) return false;
    }
    return is_offset(text.substr(at));
}

std::optional<RequestProblem> field_problem(const TaskRequest& request) {
    if (request.namespace_name.empty()) return invalid("namespace", "is missing");
    if (request.name.empty()) return invalid("name", "is missing");
    const auto first = [](auto... problems) {
        std::optional<RequestProblem> result;
        ((result = result ? result : problems), ...);
        return result;
    };
    if (request.priority &&
        (*request.priority < templates::kPriorityMin || *request.priority > templates::kPriorityMax)) {
        return invalid("priority", fmt::format("is {}, must be from {} to {}", *request.priority,
                                               templates::kPriorityMin, templates::kPriorityMax));
    }
    if (request.parent_step_id && !request.parent_task_id) {
        return invalid("parent_step_id", "needs parent_task_id beside it");
    }
    return first(text_problem("namespace", request.namespace_name, templates::kNameBytesMax),
                 text_problem("name", request.name, templates::kNameBytesMax),
                 text_problem("version", request.version, templates::kVersionBytesMax),
                 tags_problem(request.tags),
                 text_problem("initiator", request.initiator, kInitiatorCharactersMax),
                 text_problem("source_system", request.source_system, kInitiatorCharactersMax),
                 text_problem("reason", request.reason, kReasonCharactersMax),
                 text_problem("trace_context", request.trace_context, kReasonCharactersMax),
                 time_problem("requested_at", request.requested_at),
                 time_problem("not_before", request.not_before), key_problem(request.idempotency_key));
}

tl::expected<templates::ExactJson, RequestProblem> parse_context(std::string_view text) {
    const auto refuse = [](const char* code, std::string message) {
        return tl::unexpected(RequestProblem{code, std::move(message), "context"});
    };
    if (text.size() > kContextBytesMax) {
        return refuse("invalid_context",
                      fmt::format("has {} bytes, at most {} are allowed", text.size(), kContextBytesMax));
    }
    // The parser takes a NUL for the end of the text, and quotes what it does not understand byte for byte.
    if (!storable_length(text)) {
        return refuse("invalid_json", "is not JSON: it must be valid UTF-8 without NUL characters");
    }
    auto context = templates::parse_exact_json(text, templates::kContextDepthMax);
    if (!context) {
        const templates::ExactJsonProblem& wrong = context.error();
        if (!wrong.is_json) return refuse("invalid_json", "is not JSON: " + shortened(wrong.message));
        return refuse("invalid_context",
                      wrong.path.empty() ? wrong.message : wrong.path + ": " + wrong.message);
    }
    if (context->object() == nullptr) {
        return refuse("invalid_context",
                      fmt::format("must be a JSON object, is {}", templates::json_type_text(*context)));
    }
    return std::move(*context);
}

}  // namespace tasker::api
