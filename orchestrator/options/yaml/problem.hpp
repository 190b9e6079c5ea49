// What is wrong in a file a person wrote, and where: shared by templates and settings.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tasker::yaml {

enum class Severity { error, warning };

/// One finding in a YAML file (or in an environment variable; then `file` is "environment" and `line` is 0).
/// `line` and `column` count from 1; `field` is a dotted path such as step_templates[2].depends_on_steps[0],
/// empty when the whole file is meant. `message` is one sentence that names the value and, where known, the
/// cure.
struct Problem {
    std::string file;
    int line = 0;
    int column = 0;
    std::string field;
    std::string message;
    Severity severity = Severity::error;

    bool operator==(const Problem&) const = default;
};

/// "file:line:column: error: field: message", the form editors and CI systems make clickable.
std::string to_string(const Problem& problem);

/// Collects the problems of one file. Not thread-safe.
class ProblemList {
  public:
    explicit ProblemList(std::string file) : file_(std::move(file)) {}

    void error(int line, int column, std::string field, std::string message);
    void warning(int line, int column, std::string field, std::string message);

    bool has_errors() const { return errors_ > 0; }
    std::size_t size() const { return problems_.size(); }
    const std::string& file() const { return file_; }

    /// Everything found, by line and column; the list is empty afterwards.
    std::vector<Problem> take_sorted();

  private:
    std::string file_;
    std::vector<Problem> problems_;
    std::size_t errors_ = 0;
};

/// The candidate most like `word` (edit distance, letter case ignored), or nothing when none is near enough
/// to be a likely typo. Swapped neighbours count as one edit.
std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& candidates);

/// " Did you mean 'x'?" for the nearest candidate, else an empty string.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates);

/// `text` in single quotes, cut after 80 bytes (never inside a UTF-8 sequence) and with control characters
/// made visible, so that a message stays one readable line whatever the file holds.
std::string in_quotes(std::string_view text);

/// "parent.key" and "parent[index]"; the first without a dot when the parent is the document itself.
std::string child_path(std::string_view parent, std::string_view key);
std::string item_path(std::string_view parent, std::size_t index);

}  // namespace tasker::yaml
