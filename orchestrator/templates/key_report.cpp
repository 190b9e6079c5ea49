#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "orchestrator/templates/keys.hpp"
#include "orchestrator/util/similar.hpp"

namespace tasker::templates {

namespace {

// Beyond this many problems a file is not a typo any more, and guessing for each would only take time.
constexpr std::size_t kSuggestionsMax = 100;

struct Synonym {
    std::string_view word;
    std::string_view key;
};

// Words that mean a key without looking like it. The first whose key the map has is suggested.
constexpr std::array kSynonyms{
    Synonym{"after", "depends_on_steps"},
    Synonym{"attempts", "default_retry_limit"},
    Synonym{"backoff", "retry_backoff"},
    Synonym{"backoff_base_ms", "base_seconds"},
    Synonym{"callable", "handler_class"},
    Synonym{"class", "handler_class"},
    Synonym{"config", "handler_config"},
    Synonym{"context_schema", "schema"},
    Synonym{"dependencies", "depends_on_steps"},
    Synonym{"depends_on", "depends_on_steps"},
    Synonym{"depends_on_step_name", "depends_on_step"},
    Synonym{"factor", "multiplier"},
    Synonym{"handler", "handler_class"},
    Synonym{"handler", "task_handler_class"},
    Synonym{"identity_strategy", "identity"},
    Synonym{"initialization", "handler_config"},
    Synonym{"initial_seconds", "base_seconds"},
    Synonym{"input_schema", "schema"},
    Synonym{"max_attempts", "default_retry_limit"},
    Synonym{"max_backoff_ms", "max_seconds"},
    Synonym{"max_retries", "default_retry_limit"},
    Synonym{"namespace", "namespace_name"},
    Synonym{"needs", "depends_on_steps"},
    Synonym{"orphan_policy", "on_orphan"},
    Synonym{"retries", "default_retry_limit"},
    Synonym{"retry", "default_retry_limit"},
    Synonym{"retry_after", "max_retry_after_seconds"},
    Synonym{"retry_limit", "default_retry_limit"},
    Synonym{"retryable", "default_retryable"},
    Synonym{"steps", "step_templates"},
    Synonym{"system", "dependent_system"},
    Synonym{"system_dependency", "dependent_system"},
    Synonym{"task_handler", "task_handler_class"},
    Synonym{"tasks", "step_templates"},
    Synonym{"timeout", "timeout_seconds"},
    Synonym{"timeout_ms", "timeout_seconds"},
};

std::vector<std::string> usable_names(KeyMap map) {
    std::vector<std::string> names;
    for (const Key& key : keys_of(map)) {
        if (key.use == KeyUse::required || key.use == KeyUse::optional) names.push_back(key.name);
    }
    return names;
}

std::string hint(const std::string& word, KeyMap map) {
    const std::vector<std::string> names = usable_names(map);
    const auto known = [&names](std::string_view name) {
        return std::find(names.begin(), names.end(), name) != names.end();
    };
    for (const Synonym& one : kSynonyms) {
        if (one.word == word && known(one.key)) return fmt::format(" Did you mean '{}'?", one.key);
    }
    if (const auto similar = util::most_similar(word, names))
        return fmt::format(" Did you mean '{}'?", *similar);
    constexpr std::array places{std::pair(KeyMap::root, "the file itself"), std::pair(KeyMap::step, "a step"),
                                std::pair(KeyMap::backoff, "retry_backoff")};
    for (const auto& [other, place] : places) {
        const std::vector<std::string> elsewhere = usable_names(other);
        if (std::find(elsewhere.begin(), elsewhere.end(), word) != elsewhere.end())
            return fmt::format(" It is a key of {}.", place);
    }
    return {};
}

}  // namespace

void report_keys(const yaml::MapReader& map, KeyMap which, yaml::ProblemList& problems) {
    const std::vector<Key>& keys = keys_of(which);
    for (const yaml::Entry& entry : map.node().entries) {
        const auto found = std::find_if(keys.begin(), keys.end(),
                                        [&entry](const Key& key) { return key.name == entry.key; });
        const std::string path = yaml::child_path(map.path(), entry.key);
        if (found == keys.end()) {
            problems.error(entry.line, entry.column, path,
                           fmt::format("Unknown key {}.{}", yaml::in_quotes(entry.key),
                                       problems.size() < kSuggestionsMax ? hint(entry.key, which) : ""));
        } else if (found->use == KeyUse::refused) {
            problems.error(entry.line, entry.column, path, found->advice);
        } else if (found->use == KeyUse::without_effect) {
            problems.warning(entry.line, entry.column, path, found->advice);
        }
    }
}

}  // namespace tasker::templates
