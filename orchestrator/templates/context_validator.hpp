// Checks the context of a task request against the schema of its template.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "orchestrator/templates/exact_json.hpp"

namespace tasker::templates {

/// Deepest nesting of a context. A request adds levels to it, and workers read 64. tasker_json_problem() repeats it.
constexpr int kContextDepthMax = 58;

/// Longest text of a context whose schema contains a regular expression. Matching takes linear time (pattern.hpp), this
/// bounds the line.
constexpr std::size_t kMatchedTextBytesMax = 32UL * 1024;

/// Processor time that one context may take: references to references can multiply without a bound.
constexpr double kCheckSecondsMax = 0.5;

/// One thing that is wrong with a context: where ("$.items[0].quantity", "$" for the whole) and what ("must
/// be at least 1").
struct ContextProblem {
    std::string path;
    std::string message;

    bool operator==(const ContextProblem&) const = default;
};

/// "path: message".
std::string to_string(const ContextProblem& problem);

class CompiledSchema;

/// A compiled schema. Threads may share one.
class ContextValidator {
  public:
    /// `schema` is a JSON Schema (draft 7), or null, which accepts every object. Messages about the schema itself call
    /// it `name`.
    /// @throws std::invalid_argument naming the reason when it is no usable schema.
    explicit ContextValidator(ExactJson schema, std::string name = "the template");
    ~ContextValidator();
    ContextValidator(ContextValidator&&) noexcept;
    ContextValidator& operator=(ContextValidator&&) noexcept;

    /// All problems of the context, or an empty list when it fits. A context that is no object never fits.
    std::vector<ContextProblem> validate(const ExactJson& context) const;

  private:
    std::string name_;
    std::unique_ptr<const CompiledSchema> compiled_;  // null accepts every object
};

}  // namespace tasker::templates
