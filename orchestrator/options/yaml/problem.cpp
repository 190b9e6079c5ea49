#include "orchestrator/options/yaml/problem.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <numeric>
#include <tuple>
#include <utility>

#include "orchestrator/options/yaml/node.hpp"

namespace tasker::yaml {

namespace {

constexpr std::size_t kQuotedBytesMax = 80;

// Optimal string alignment distance, given up as soon as it must exceed `limit`.
std::size_t edit_distance(std::string_view left, std::string_view right, std::size_t limit) {
    const std::size_t width = right.size() + 1;
    std::vector<std::size_t> before(width), previous(width), current(width);
    std::iota(previous.begin(), previous.end(), std::size_t{0});
    auto same = [](char a, char b) {
        return std::tolower(static_cast<unsigned char>(a)) == std::tolower(static_cast<unsigned char>(b));
    };
    for (std::size_t row = 1; row <= left.size(); ++row) {
        current[0] = row;
        std::size_t best = row;
        for (std::size_t column = 1; column < width; ++column) {
            const std::size_t change = same(left[row - 1], right[column - 1]) ? 0 : 1;
            std::size_t value =
                std::min({previous[column] + 1, current[column - 1] + 1, previous[column - 1] + change});
            if (row > 1 && column > 1 && same(left[row - 1], right[column - 2]) &&
                same(left[row - 2], right[column - 1])) {
                value = std::min(value, before[column - 2] + 1);
            }
            current[column] = value;
            best = std::min(best, value);
        }
        if (best > limit) return limit + 1;
        std::swap(before, previous);
        std::swap(previous, current);
    }
    return previous[width - 1];
}

// Bytes that would break a line, or that no text column can hold, as \xNN; libraries quote input as they find
// it, half characters included.
std::string one_line(std::string text) {
    const auto is_control = [](char letter) {
        const auto code = static_cast<unsigned char>(letter);
        return code < 0x20 || code == 0x7F;
    };
    std::size_t invalid = find_invalid_utf8(text);
    if (invalid == std::string::npos && std::none_of(text.begin(), text.end(), is_control)) return text;
    std::string result;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (invalid != std::string::npos && at > invalid) {
            const std::size_t next = find_invalid_utf8(std::string_view(text).substr(at));
            invalid = next == std::string::npos ? next : at + next;
        }
        if (is_control(text[at]) || at == invalid) {
            result += fmt::format("\\x{:02x}", static_cast<unsigned>(static_cast<unsigned char>(text[at])));
        } else {
            result += text[at];
        }
    }
    return result;
}

}  // namespace

std::string to_string(const Problem& problem) {
    std::string text = problem.file;
    if (problem.line > 0) text += fmt::format(":{}:{}", problem.line, problem.column);
    text += problem.severity == Severity::error ? ": error: " : ": warning: ";
    if (!problem.field.empty()) text += problem.field + ": ";
    return text + problem.message;
}

void ProblemList::error(int line, int column, std::string field, std::string message) {
    problems_.push_back(
        {file_, line, column, one_line(std::move(field)), one_line(std::move(message)), Severity::error});
    ++errors_;
}

void ProblemList::warning(int line, int column, std::string field, std::string message) {
    problems_.push_back(
        {file_, line, column, one_line(std::move(field)), one_line(std::move(message)), Severity::warning});
}

std::vector<Problem> ProblemList::take_sorted() {
    std::stable_sort(problems_.begin(), problems_.end(), [](const Problem& left, const Problem& right) {
        return std::tie(left.line, left.column) < std::tie(right.line, right.column);
    });
    errors_ = 0;
    return std::exchange(problems_, {});
}

std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& candidates) {
    // A third of the word may be wrong, never more than three letters: beyond that a guess only confuses.
    std::size_t limit = std::clamp<std::size_t>(word.size() / 3, 1, 3);
    const std::string* best = nullptr;
    for (const std::string& candidate : candidates) {
        const std::size_t shorter = std::min(word.size(), candidate.size());
        const std::size_t longer = std::max(word.size(), candidate.size());
        if (longer - shorter > limit) continue;
        const std::size_t distance = edit_distance(word, candidate, limit);
        if (distance > limit || distance >= longer) continue;
        if (distance == 0) return candidate;
        best = &candidate;
        limit = distance - 1;
        if (limit == 0) break;
    }
    if (best == nullptr) return std::nullopt;
    return *best;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates) {
    const std::optional<std::string> found = nearest(word, candidates);
    return found ? fmt::format(" Did you mean '{}'?", *found) : std::string{};
}

std::string in_quotes(std::string_view text) {
    std::string_view shown = text;
    if (shown.size() > kQuotedBytesMax) {
        std::size_t end = kQuotedBytesMax;
        while (end > 0 && (static_cast<unsigned char>(shown[end]) & 0xC0) == 0x80) --end;
        shown = shown.substr(0, end);
    }
    std::string result = "'";
    for (const char letter : shown) {
        const auto code = static_cast<unsigned char>(letter);
        if (code < 0x20 || code == 0x7F) {
            result += fmt::format("\\x{:02x}", static_cast<unsigned>(code));
        } else {
            result += letter;
        }
    }
    return result + (shown.size() < text.size() ? "…'" : "'");
}

std::string child_path(std::string_view parent, std::string_view key) {
    return parent.empty() ? std::string(key) : fmt::format("{}.{}", parent, key);
}

std::string item_path(std::string_view parent, std::size_t index) {
    return fmt::format("{}[{}]", parent, index);
}

}  // namespace tasker::yaml
