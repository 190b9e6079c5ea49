#include "orchestrator/templates/context_validator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <mutex>
#include <optional>
#include <stdexcept>

#include "orchestrator/templates/valijson_regex.hpp"  // before valijson
// clang-format off
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/utils/nlohmann_json_utils.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>
// clang-format on

#include "orchestrator/templates/context_message.hpp"

namespace tasker::templates {

namespace {

using nlohmann::json;

// A context with more faults than this is not mended one by one.
constexpr std::size_t kProblemsMax = 100;

bool uses_regular_expressions(const json& schema) {
    if (schema.is_object()) {
        for (const char* keyword : {"pattern", "patternProperties", "format"}) {
            if (schema.contains(keyword)) return true;
        }
    }
    if (!schema.is_structured()) return false;
    for (const json& inner : schema) {
        if (uses_regular_expressions(inner)) return true;
    }
    return false;
}

// What the library must not see: it recurses with the depth of the value, and matching costs time per byte.
class Guard {
  public:
    explicit Guard(bool bound_text) : bound_text_(bound_text) {}

    std::optional<ContextProblem> find(const json& context) {
        walk(context, "$", 1);
        return std::move(found_);
    }

  private:
    void walk(const json& value, const std::string& path, int depth) {
        if (found_) return;
        if (depth > kContextDepthMax) {
            found_ = {path, fmt::format("is nested deeper than {} levels", kContextDepthMax)};
        } else if (value.is_string()) {
            check_text(value.get_ref<const std::string&>(), path);
        } else if (value.is_object()) {
            for (const auto& [key, inner] : value.items()) {
                check_text(key, path);
                walk(inner, fmt::format("{}.{}", path, key), depth + 1);
            }
        } else if (value.is_array()) {
            for (std::size_t index = 0; index < value.size(); ++index) {
                // Only structures and texts need their path; numbers by the thousand should not pay for it.
                if (value[index].is_structured() || value[index].is_string()) {
                    walk(value[index], fmt::format("{}[{}]", path, index), depth + 1);
                }
            }
        }
    }

    void check_text(const std::string& text, const std::string& path) {
        if (!bound_text_ || found_ || text.size() <= kMatchedTextBytesMax) return;
        found_ = {path, fmt::format("has {} bytes; the schema matches patterns, so texts may have at most {}",
                                    text.size(), kMatchedTextBytesMax)};
    }

    bool bound_text_;
    std::optional<ContextProblem> found_;
};

// JSON knows one kind of number, and in draft 7 an `integer` is any number without a fraction: 1.0 is 1. The
// library goes by how nlohmann stores the number, so whole ones are stored as integers for it.
bool has_whole_float(const json& value) {
    if (value.is_number_float()) {
        constexpr double limit = 9.0e18;  // within 64 bits
        const double number = value.get<double>();
        return std::abs(number) < limit && std::trunc(number) == number;
    }
    if (!value.is_structured()) return false;
    return std::any_of(value.begin(), value.end(), has_whole_float);
}

void store_whole_floats_as_integers(json& value) {
    if (value.is_structured()) {
        for (json& inner : value) store_whole_floats_as_integers(inner);
    } else if (has_whole_float(value)) {
        value = static_cast<std::int64_t>(value.get<double>());
    }
}

// The library applies `format` to the spelling of any scalar; draft 7 means texts only.
void limit_format_to_texts(json& schema) {
    const auto format = schema.find("format");
    if (format == schema.end() || !format->is_string()) return;
    json limited{{"if", {{"type", "string"}}}, {"then", {{"format", *format}}}};
    schema.erase(format);
    json& all = schema["allOf"];
    if (all.is_null()) all = json::array();
    if (all.is_array()) all.push_back(std::move(limited));
}

// Makes a schema mean for the library what it means in draft 7. Follows the keywords that hold schemas, so
// that a property may well be called "format" or "const".
void adapt_schema(json& schema) {
    if (schema.is_array()) {
        for (json& one : schema) adapt_schema(one);
    }
    if (!schema.is_object()) return;
    for (auto& [keyword, value] : schema.items()) {
        if (keyword == "const" || keyword == "enum") {
            // What a context is compared with must be stored as the context is.
            store_whole_floats_as_integers(value);
        } else if (keyword == "properties" || keyword == "patternProperties" || keyword == "definitions" ||
                   keyword == "$defs" || keyword == "dependencies") {
            if (!value.is_object()) continue;
            for (json& one : value) adapt_schema(one);
        } else if (keyword != "default" && keyword != "examples") {
            adapt_schema(value);
        }
    }
    limit_format_to_texts(schema);
}

}  // namespace

struct ContextValidator::Compiled {
    json source;
    bool bound_text = false;
    valijson::Schema schema;
    // The validator caches compiled patterns, so it is not safe to share without turns.
    std::mutex mutex;
    valijson::Validator validator;

    // True when the context fits; throws what the library throws.
    bool check(const json& context, valijson::ValidationResults& results) {
        const std::lock_guard lock(mutex);
        return validator.validate(schema, valijson::adapters::NlohmannJsonAdapter(context), &results);
    }
};

std::string to_string(const ContextProblem& problem) {
    return problem.path + ": " + problem.message;
}

ContextValidator::ContextValidator(const json& schema) : compiled_(std::make_unique<Compiled>()) {
    if (schema.is_null()) return;
    if (!schema.is_object()) throw std::invalid_argument("The schema is no JSON object.");
    compiled_->source = schema;
    adapt_schema(compiled_->source);
    compiled_->bound_text = uses_regular_expressions(schema);
    try {
        valijson::SchemaParser parser(valijson::SchemaParser::kDraft7);
        parser.populateSchema(valijson::adapters::NlohmannJsonAdapter(compiled_->source), compiled_->schema);
    } catch (const std::exception& fault) {
        throw std::invalid_argument(fmt::format("The schema cannot be used: {}", fault.what()));
    }
}

ContextValidator::~ContextValidator() = default;
ContextValidator::ContextValidator(ContextValidator&&) noexcept = default;
ContextValidator& ContextValidator::operator=(ContextValidator&&) noexcept = default;

std::vector<ContextProblem> ContextValidator::validate(const json& context) const {
    if (!context.is_object()) {
        return {{"$", fmt::format("must be an object, is {}", json_type_text(context))}};
    }
    Guard guard(compiled_->bound_text);
    if (auto refused = guard.find(context)) return {std::move(*refused)};
    if (compiled_->source.is_null()) return {};

    valijson::ValidationResults results;
    bool fits = false;
    try {
        if (has_whole_float(context)) {
            json adapted = context;
            store_whole_floats_as_integers(adapted);
            fits = compiled_->check(adapted, results);
        } else {
            fits = compiled_->check(context, results);
        }
    } catch (
        const std::exception& fault) {  // e.g. a pattern that was stored before such patterns were refused
        return {{"$", fmt::format("cannot be checked against the schema: {}", fault.what())}};
    }
    if (fits) return {};
    std::vector<ContextProblem> problems;
    std::optional<ContextProblem> summary;
    for (const valijson::ValidationResults::Error& error : results) {
        const Located located = locate(compiled_->source, context, error.context);
        ContextProblem problem{located.path, readable(error.description, located)};
        if (is_summary(error.description)) {
            if (!summary) summary = std::move(problem);
        } else if (problems.size() < kProblemsMax &&
                   std::find(problems.begin(), problems.end(), problem) == problems.end()) {
            problems.push_back(std::move(problem));
        }
    }
    if (problems.empty()) {
        problems.push_back(summary ? std::move(*summary) : ContextProblem{"$", "does not match the schema"});
    }
    return problems;
}

}  // namespace tasker::templates
