// Checks the context of a task request against the schema of its template.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace tasker::templates {

/// Deepest nesting of a context. A context travels three levels deep inside a message, which may have 64.
constexpr int kContextDepthMax = 60;

/// Longest text of a context whose schema contains a regular expression or a format. Matching takes linear
/// time (pattern.hpp), this bounds the line.
constexpr std::size_t kMatchedTextBytesMax = 32UL * 1024;

/// One thing that is wrong with a context: where ("$.items[0].quantity", "$" for the whole) and what ("must
/// be at least 1").
struct ContextProblem {
    std::string path;
    std::string message;

    bool operator==(const ContextProblem&) const = default;
};

/// "path: message".
std::string to_string(const ContextProblem& problem);

/// A compiled schema. Thread-safe; validate() calls of one object take turns.
class ContextValidator {
  public:
    /// `schema` is a JSON Schema (draft 7), or null, which accepts every object.
    /// @throws std::invalid_argument naming the reason when it is no usable schema.
    explicit ContextValidator(const nlohmann::json& schema);
    ~ContextValidator();
    ContextValidator(ContextValidator&&) noexcept;
    ContextValidator& operator=(ContextValidator&&) noexcept;

    /// All problems of the context, or an empty list when it fits. A context that is no object never fits.
    std::vector<ContextProblem> validate(const nlohmann::json& context) const;

  private:
    struct Compiled;
    std::unique_ptr<Compiled> compiled_;
};

}  // namespace tasker::templates
