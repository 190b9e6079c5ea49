#include "orchestrator/templates/context_validator.hpp"

#include <fmt/format.h>

#include <optional>
#include <stdexcept>

#include "orchestrator/templates/compiled_schema.hpp"
#include "orchestrator/templates/schema_checker.hpp"

namespace tasker::templates {

namespace {

// What the check must not see: it recurses with the depth of the value, and matching costs time per byte.
class Guard {
  public:
    explicit Guard(bool bound_text) : bound_text_(bound_text) {}

    std::optional<ContextProblem> find(const ExactJson& context) {
        walk(context, "$", 1);
        return std::move(found_);
    }

  private:
    void walk(const ExactJson& value, const std::string& path, int depth) {
        if (found_) return;
        if (depth > kContextDepthMax) {
            found_ = {path, fmt::format("is nested deeper than {} levels", kContextDepthMax)};
        } else if (const std::string* text = value.text()) {
            check_text(*text, path);
        } else if (const ExactJson::Object* members = value.object()) {
            for (const ExactJson::Member& member : *members) {
                check_text(member.key, path);
                if (needs_path(member.value))
                    walk(member.value, fmt::format("{}.{}", path, member.key), depth + 1);
            }
        } else if (const ExactJson::List* items = value.list()) {
            for (std::size_t index = 0; index < items->size(); ++index) {
                const ExactJson& item = (*items)[index];
                if (needs_path(item)) walk(item, fmt::format("{}[{}]", path, index), depth + 1);
            }
        }
    }

    // Numbers by the thousand should not pay for it.
    bool needs_path(const ExactJson& value) const {
        return value.object() != nullptr || value.list() != nullptr ||
               (bound_text_ && value.text() != nullptr);
    }

    void check_text(const std::string& text, const std::string& path) {
        if (!bound_text_ || found_ || text.size() <= kMatchedTextBytesMax) return;
        found_ = {path, fmt::format("has {} bytes; the schema matches patterns, so texts may have at most {}",
                                    text.size(), kMatchedTextBytesMax)};
    }

    bool bound_text_;
    std::optional<ContextProblem> found_;
};

}  // namespace

std::string to_string(const ContextProblem& problem) {
    return problem.path + ": " + problem.message;
}

ContextValidator::ContextValidator(ExactJson schema, std::string name) : name_(std::move(name)) {
    if (schema.is_null()) return;
    if (schema.object() == nullptr) throw std::invalid_argument("The schema is no JSON object.");
    compiled_ = std::make_unique<const CompiledSchema>(std::move(schema));
}

ContextValidator::~ContextValidator() = default;
ContextValidator::ContextValidator(ContextValidator&&) noexcept = default;
ContextValidator& ContextValidator::operator=(ContextValidator&&) noexcept = default;

std::vector<ContextProblem> ContextValidator::validate(const ExactJson& context) const {
    if (context.object() == nullptr) {
        return {{"$", fmt::format("must be an object, is {}", json_type_text(context))}};
    }
    Guard guard(compiled_ != nullptr && compiled_->has_patterns());
    if (auto refused = guard.find(context)) return {std::move(*refused)};
    if (compiled_ == nullptr) return {};
    try {
        return check_against(*compiled_, context);
    } catch (const UncheckableValue& fault) {
        return {{"$", fmt::format("cannot be checked against the schema of {}: {}", name_, fault.what())}};
    }
}

}  // namespace tasker::templates
