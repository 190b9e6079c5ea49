#include "orchestrator/util/similar.hpp"

#include <algorithm>
#include <cctype>

namespace tasker::util {
namespace {

constexpr std::size_t kLongestWord = 64;

std::string lower(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return out;
}

}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b) {
    // Three rows of the table of optimal string alignment: the current one, the last, the one before.
    std::vector<std::size_t> before(b.size() + 1);
    std::vector<std::size_t> last(b.size() + 1);
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t changed = last[j - 1] + (a[i - 1] == b[j - 1] ? 0U : 1U);
            row[j] = std::min({changed, last[j] + 1, row[j - 1] + 1});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                row[j] = std::min(row[j], before[j - 2] + 1);
            }
        }
        before.swap(last);
        last.swap(row);
    }
    return last[b.size()];
}

std::optional<std::string> most_similar(std::string_view word, const std::vector<std::string>& candidates) {
    if (word.empty() || word.size() > kLongestWord) return std::nullopt;
    const std::string wanted = lower(word);
    std::optional<std::string> nearest;
    std::size_t nearest_distance = 0;
    for (const auto& candidate : candidates) {
        if (candidate.size() > kLongestWord) continue;
        const std::string known = lower(candidate);
        std::size_t distance = edit_distance(wanted, known);
        if (wanted.size() >= 3 && known.starts_with(wanted)) distance = std::min<std::size_t>(distance, 1);
        const std::size_t allowed = std::max<std::size_t>(1, std::max(wanted.size(), known.size()) / 3);
        // Of one or two letters nothing would be left.
        if (distance > allowed || distance >= std::min(wanted.size(), known.size())) continue;
        if (!nearest || distance < nearest_distance) {
            nearest = candidate;
            nearest_distance = distance;
        }
    }
    return nearest;
}

}  // namespace tasker::util
