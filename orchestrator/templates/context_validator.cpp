#include "orchestrator/templates/context_validator.hpp"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/utils/nlohmann_json_utils.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

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

// What the library must not see: it recurses with the depth of the value and the length of matched text.
class Guard {
  public:
    explicit Guard(bool bound_text) : bound_text_(bound_text) {}

    std::optional<ContextProblem> find(const json& context) {
        walk(context, "$", 1);
        return std::move(found_);
    }

    /// Bytes of the longest text seen.
    std::size_t longest() const { return longest_; }

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
        longest_ = std::max(longest_, text.size());
        if (!bound_text_ || found_ || text.size() <= kMatchedTextBytesMax) return;
        found_ = {path, fmt::format("has {} bytes; the schema matches patterns, so texts may have at most {}",
                                    text.size(), kMatchedTextBytesMax)};
    }

    bool bound_text_;
    std::size_t longest_ = 0;
    std::optional<ContextProblem> found_;
};

// Runs `work` on a thread whose stack is kMatchStackBytes (only what is touched becomes memory). `work` must
// not throw.
void run_with_large_stack(std::function<void()>& work) {
    const auto check = [](int code, const char* what) {
        if (code != 0) throw std::system_error(code, std::generic_category(), what);
    };
    pthread_attr_t attributes;
    check(pthread_attr_init(&attributes), "pthread_attr_init");
    int code = pthread_attr_setstacksize(&attributes, kMatchStackBytes);
    pthread_t thread{};
    if (code == 0) {
        code = pthread_create(
            &thread, &attributes,
            [](void* argument) -> void* {
                (*static_cast<std::function<void()>*>(argument))();
                return nullptr;
            },
            &work);
    }
    pthread_attr_destroy(&attributes);
    check(code, "cannot start a thread to match long texts");
    check(pthread_join(thread, nullptr), "pthread_join");
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

    bool check_long_texts(const json& context, valijson::ValidationResults& results) {
        bool fits = false;
        std::exception_ptr fault;
        std::function<void()> work = [&] {
            try {
                fits = check(context, results);
            } catch (...) {
                fault = std::current_exception();
            }
        };
        run_with_large_stack(work);
        if (fault) std::rethrow_exception(fault);
        return fits;
    }
};

std::string to_string(const ContextProblem& problem) {
    return problem.path + ": " + problem.message;
}

ContextValidator::ContextValidator(const json& schema) : compiled_(std::make_unique<Compiled>()) {
    if (schema.is_null()) return;
    if (!schema.is_object()) throw std::invalid_argument("The schema is no JSON object.");
    compiled_->source = schema;
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
        const bool long_texts = compiled_->bound_text && guard.longest() > kInlineTextBytesMax;
        fits =
            long_texts ? compiled_->check_long_texts(context, results) : compiled_->check(context, results);
    } catch (const std::exception& fault) {  // e.g. a regular expression that needs too much memory
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
