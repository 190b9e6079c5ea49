#include "orchestrator/templates/step_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "orchestrator/templates/keys.hpp"
#include "orchestrator/templates/secrets.hpp"

namespace tasker::templates {

namespace {

using nlohmann::json;
using yaml::in_quotes;
using yaml::Located;
using yaml::MapReader;
using yaml::NumericText;
using yaml::ProblemList;
using yaml::YamlNode;

Place place_of(const Located& value) {
    return {value.node.line, value.node.column, value.path};
}

bool only(std::string_view text, std::string_view extra) {
    return std::all_of(text.begin(), text.end(), [extra](unsigned char c) {
        return (c < 0x80 && std::isalnum(c) != 0) ||
               extra.find(static_cast<char>(c)) != std::string_view::npos;
    });
}

std::optional<std::string> read_handler_class(const Located& value, ProblemList& problems) {
    auto text = yaml::read_text(value, 1, kHandlerClassBytesMax, problems);
    if (text && !only(*text, "_.:/-")) {
        problems.error(
            value.node.line, value.node.column, value.path,
            fmt::format("{} is no class name: allowed are letters, digits and _ . : / -, for example "
                        "Orders::StepHandlers::ShipHandler or orders.handlers.ShipHandler.",
                        in_quotes(*text)));
        return std::nullopt;
    }
    return text;
}

// Maps are merged key by key, everything else is replaced.
void merge_into(json& target, const json& source) {
    for (const auto& [key, value] : source.items()) {
        const auto found = target.find(key);
        if (found != target.end() && found->is_object() && value.is_object()) {
            merge_into(*found, value);
        } else {
            target[key] = value;
        }
    }
}

void read_handler_config(const Located& value, StepTemplate& step, ProblemList& problems) {
    if (value.node.kind != YamlNode::Kind::map) {
        problems.error(value.node.line, value.node.column, value.path,
                       fmt::format("Expected a map, found {}.", yaml::describe(value.node)));
        return;
    }
    warn_of_secrets(value, problems);
    merge_into(step.handler_config, yaml::to_json(value, problems));
    const std::size_t bytes = step.handler_config.dump().size();
    if (bytes > kHandlerConfigBytesMax) {
        problems.error(value.node.line, value.node.column, value.path,
                       fmt::format("The configuration has {} bytes as JSON, the limit is {}.", bytes,
                                   kHandlerConfigBytesMax));
    }
}

void read_backoff(const Located& value, Backoff& backoff, ProblemList& problems) {
    // The oldest templates name the only strategy there was.
    if (value.node.kind == YamlNode::Kind::scalar && value.node.text == "exponential") return;
    MapReader map(value, problems);
    auto number = [&](std::string_view key, yaml::NumberRange range, std::string_view unit, double& target) {
        if (const YamlNode* node = map.get(key)) {
            if (const auto read =
                    yaml::read_number(map.at(key, *node), range, NumericText::accept, unit, problems)) {
                target = *read;
            }
        }
    };
    number("base_seconds", {kBackoffSecondsMin, kBackoffSecondsMax}, "seconds", backoff.base_seconds);
    number("multiplier", {kBackoffMultiplierMin, kBackoffMultiplierMax}, "", backoff.multiplier);
    number("max_seconds", {kBackoffSecondsMin, kBackoffSecondsMax}, "seconds", backoff.max_seconds);
    number("jitter", {kBackoffJitterMin, kBackoffJitterMax}, "(a fraction)", backoff.jitter);
    report_keys(map, KeyMap::backoff, problems);
}

void add_name(const Located& value, std::vector<Dependency>& target, ProblemList& problems) {
    const auto name = yaml::read_text(value, 1, kNameBytesMax, problems);
    if (!name) return;
    for (const Dependency& known : target) {
        if (known.name != *name) continue;
        problems.error(
            value.node.line, value.node.column, value.path,
            fmt::format("{} is listed twice, first in line {}.", in_quotes(*name), known.place.line));
        return;
    }
    target.push_back({*name, place_of(value)});
}

void read_names(MapReader& map, const char* key, std::vector<Dependency>& target, ProblemList& problems) {
    const YamlNode* list = map.get(key);
    if (list == nullptr) return;
    const Located value = map.at(key, *list);
    if (list->kind != YamlNode::Kind::sequence) {
        if (list->kind == YamlNode::Kind::map) {
            problems.error(list->line, list->column, value.path,
                           "Expected a list of step names, found a map.");
        } else {
            add_name(value, target, problems);
        }
        return;
    }
    for (std::size_t index = 0; index < list->items.size(); ++index) {
        add_name({list->items[index], yaml::item_path(value.path, index)}, target, problems);
    }
}

void read_dependencies(MapReader& map, StepSource& target, ProblemList& problems) {
    if (const YamlNode* one = map.get("depends_on_step"))
        add_name(map.at("depends_on_step", *one), target.dependencies, problems);
    read_names(map, "depends_on_steps", target.dependencies, problems);
    read_names(map, "results_from", target.results_from, problems);
}

// The fields that a step and an override share; only those that are written change `target`.
void read_attempts(MapReader& map, StepSource& target, bool with_aliases, ProblemList& problems) {
    StepTemplate& step = target.step;
    std::vector<std::string> limits{"default_retry_limit"};
    std::vector<std::string> flags{"default_retryable"};
    if (with_aliases) {
        limits.emplace_back("retry_limit");
        flags.emplace_back("retryable");
    }
    for (const std::string& key : flags) {
        if (const YamlNode* node = map.get(key)) {
            target.retryable = place_of(map.at(key, *node));
            step.retryable = yaml::read_bool(map.at(key, *node), problems).value_or(step.retryable);
        }
    }
    for (const std::string& key : limits) {
        const YamlNode* node = map.get(key);
        if (node == nullptr) continue;
        const Located value = map.at(key, *node);
        target.retry_limit = place_of(value);
        // No second attempt is wanted: older files then write 0 for what counts as one attempt here.
        const std::int64_t min = step.retryable ? kRetryLimitMin : 0;
        const auto limit = yaml::read_integer(value, {min, kRetryLimitMax}, NumericText::accept,
                                              "attempts, the first included", problems);
        if (limit) step.retry_limit = static_cast<std::int32_t>(std::max(*limit, kRetryLimitMin));
    }
    if (const YamlNode* node = map.get("retry_backoff")) {
        target.backoff = place_of(map.at("retry_backoff", *node));
        read_backoff(map.at("retry_backoff", *node), step.backoff, problems);
    }
    if (const YamlNode* node = map.get("max_retry_after_seconds")) {
        const auto seconds = yaml::read_number(map.at("max_retry_after_seconds", *node),
                                               {kMaxRetryAfterSecondsMin, kMaxRetryAfterSecondsMax},
                                               NumericText::accept, "seconds", problems);
        step.max_retry_after_seconds = seconds.value_or(step.max_retry_after_seconds);
    }
    if (const YamlNode* node = map.get("max_snoozes")) {
        const auto times = yaml::read_integer(map.at("max_snoozes", *node), {0, kMaxSnoozesMax},
                                              NumericText::accept, "times", problems);
        if (times) step.max_snoozes = static_cast<std::int32_t>(*times);
    }
}

void read_shared_fields(MapReader& map, StepSource& target, ProblemList& problems) {
    StepTemplate& step = target.step;
    if (const YamlNode* node = map.get("description")) {
        if (auto text = yaml::read_text(map.at("description", *node), 0, kDescriptionBytesMax, problems)) {
            step.description = *text;
        }
    }
    if (const YamlNode* node = map.get("handler_config")) {
        read_handler_config(map.at("handler_config", *node), step, problems);
    }
    if (const YamlNode* node = map.get("timeout_seconds")) {
        const auto seconds =
            yaml::read_number(map.at("timeout_seconds", *node), {kTimeoutSecondsMin, kTimeoutSecondsMax},
                              NumericText::accept, "seconds", problems);
        step.timeout_seconds = seconds.value_or(step.timeout_seconds);
    }
    if (const YamlNode* node = map.get("on_orphan")) {
        target.on_orphan = place_of(map.at("on_orphan", *node));
        const auto choice = yaml::read_choice(
            map.at("on_orphan", *node),
            {std::string(to_string(OrphanPolicy::retry)), std::string(to_string(OrphanPolicy::dead_letter))},
            problems);
        if (choice) step.on_orphan = static_cast<OrphanPolicy>(*choice);
    }
    if (const YamlNode* node = map.get("claim_first")) {
        step.claim_first = yaml::read_bool(map.at("claim_first", *node), problems).value_or(step.claim_first);
    }
    if (const YamlNode* node = map.get("dependent_system")) {
        if (auto name = read_name(map.at("dependent_system", *node), problems)) step.dependent_system = *name;
    }
}

}  // namespace

std::optional<std::string> read_name(const Located& value, ProblemList& problems) {
    auto name = yaml::read_spelling(value, kNameBytesMax, problems);
    if (name && (name->empty() || !only(*name, "_.-"))) {
        problems.error(value.node.line, value.node.column, value.path,
                       fmt::format("{} is no name: allowed are 1 to {} letters, digits, _ . and -.",
                                   in_quotes(*name), kNameBytesMax));
        return std::nullopt;
    }
    return name;
}

StepSource read_step(const Located& value, ProblemList& problems) {
    StepSource source;
    source.place = place_of(value);
    source.name_place = source.place;
    MapReader map(value, problems);
    if (const YamlNode* node = map.require("name")) {
        source.name_place = place_of(map.at("name", *node));
        source.step.name = read_name(map.at("name", *node), problems).value_or("");
    }
    if (const YamlNode* node = map.require("handler_class")) {
        source.step.handler_class = read_handler_class(map.at("handler_class", *node), problems).value_or("");
    }
    read_dependencies(map, source, problems);
    read_attempts(map, source, false, problems);
    read_shared_fields(map, source, problems);
    report_keys(map, KeyMap::step, problems);
    return source;
}

void apply_override(const Located& value, OverrideForm form, StepSource& target, ProblemList& problems) {
    MapReader map(value, problems);
    if (const YamlNode* node = map.get("handler_class")) {
        if (auto text = read_handler_class(map.at("handler_class", *node), problems)) {
            target.step.handler_class = *text;
        }
    }
    read_attempts(map, target, true, problems);
    read_shared_fields(map, target, problems);
    report_keys(map, form == OverrideForm::list ? KeyMap::listed_override : KeyMap::mapped_override,
                problems);
}

void check_step(const StepSource& source, ProblemList& problems) {
    const StepTemplate& step = source.step;
    auto warn = [&problems](const Place& place, std::string message) {
        problems.warning(place.line, place.column, place.path, std::move(message));
    };
    if (!step.retryable && step.retry_limit > 1 && source.retry_limit) {
        warn(*source.retry_limit,
             fmt::format("The step gets one attempt, not {}: default_retryable is false.", step.retry_limit));
    }
    if (step.attempts_allowed() == 1 && source.backoff) {
        warn(*source.backoff, "The step gets one attempt only, so there is never a pause between two.");
    }
    if (step.attempts_allowed() == 1 && source.on_orphan && step.on_orphan == OrphanPolicy::retry) {
        warn(*source.on_orphan,
             "The step gets one attempt only, so after the loss of its worker it ends in error instead of a "
             "retry.");
    }
    if (source.backoff && step.backoff.base_seconds > step.backoff.max_seconds) {
        warn(*source.backoff,
             fmt::format("base_seconds ({}) is above max_seconds ({}), so every pause is {} seconds.",
                         step.backoff.base_seconds, step.backoff.max_seconds, step.backoff.max_seconds));
    }
}

}  // namespace tasker::templates
