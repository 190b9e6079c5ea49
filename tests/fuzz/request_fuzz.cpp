// The fields of a task request as callers send them: an accepted context can be stored, an accepted text is a
// PostgreSQL text, a refusal can be shown.
#include "orchestrator/api/request_fields.hpp"
#include "orchestrator/templates/identity.hpp"
#include "tests/fuzz/text_property.hpp"

using namespace tasker;

namespace {

void check_context(std::string_view text) {
    const auto context = api::parse_context(text);
    if (!context) {
        fuzz::require(context.error().field == "context", "a refused context names its field");
        fuzz::check_sentence(context.error().message);
        return;
    }
    fuzz::require(context->object() != nullptr, "a context is an object");
    const auto reason = protocol::unstorable_reason(context->dump());
    fuzz::require(!reason, "an accepted context can be stored", reason.value_or(""));
    fuzz::require(!templates::context_hash(*context).empty(), "and hashed");
}

void check_texts(std::string_view text) {
    const bool storable = fuzz::is_utf8(text) && text.find('\0') == std::string_view::npos;
    fuzz::require(api::storable_length(text).has_value() == storable, "storable text is UTF-8 without NUL",
                  text);
    fuzz::require(!api::is_rfc3339(text) || storable, "a time is plain text", text);
    api::TaskRequest request;
    request.namespace_name = request.name = "a";
    request.reason = std::string(text);
    const auto problem = api::field_problem(request);
    fuzz::require(
        problem.has_value() != (storable && text.size() <= api::kReasonCharactersMax) || text.size() > 4096,
        "a reason is refused exactly when it cannot be stored", text);
    request.tags = {std::string(text)};
    request.not_before = std::string(text);
    request.idempotency_key = std::string(text);
    if (const auto refused = api::field_problem(request)) {
        fuzz::require(!refused->field.empty() && refused->code == "invalid_field",
                      "a refusal names its field");
        fuzz::check_sentence(refused->message);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = fuzz::as_text(data, size);
    check_context(text);
    check_texts(text);
    return 0;
}
