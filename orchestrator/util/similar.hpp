// "Did you mean …?": which of the words that exist somebody may have meant.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tasker::util {

/// How many letters must be added, left out, changed, or swapped with their neighbour to turn `a` into `b`.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate nearest to `word`, without regard to case, or nothing when none is near: at most a third of
/// the letters may differ. A candidate that begins with `word` (three letters and more) is near too.
std::optional<std::string> most_similar(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace tasker::util
