#include <fmt/format.h>

#include <array>
#include <limits>
#include <stdexcept>

#include "orchestrator/templates/identity.hpp"
#include "orchestrator/templates/template.hpp"

namespace tasker::templates {

namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 2> kOrphanPolicies{"retry", "dead_letter"};
constexpr std::array<std::string_view, 3> kIdentities{"always_unique", "strict", "caller_provided"};

template <typename Enum, std::size_t Size>
std::optional<Enum> enum_from(std::string_view text, const std::array<std::string_view, Size>& names) {
    for (std::size_t index = 0; index < Size; ++index) {
        if (names[index] == text) return static_cast<Enum>(index);
    }
    return std::nullopt;
}

json step_configuration(const StepTemplate& step) {
    return {
        {"name", step.name},
        {"description", step.description},
        {"handler_class", step.handler_class},
        {"handler_config", step.handler_config},
        {"depends_on_steps", step.depends_on},
        {"results_from", step.results_from},
        {"default_retryable", step.retryable},
        {"default_retry_limit", step.retry_limit},
        {"retry_backoff",
         {{"base_seconds", step.backoff.base_seconds},
          {"multiplier", step.backoff.multiplier},
          {"max_seconds", step.backoff.max_seconds},
          {"jitter", step.backoff.jitter}}},
        {"max_retry_after_seconds", step.max_retry_after_seconds},
        {"max_snoozes", step.max_snoozes},
        {"timeout_seconds", step.timeout_seconds},
        {"on_orphan", to_string(step.on_orphan)},
        {"claim_first", step.claim_first},
        {"dependent_system", step.dependent_system},
    };
}

// Thrown and caught inside this file only; the message names the key.
struct Wrong : std::runtime_error {
    using std::runtime_error::runtime_error;
};

template <typename Value>
Value read(const json& map, const std::string& path, const char* key, std::optional<Value> fallback) {
    const auto found = map.find(key);
    if (found == map.end()) {
        if (fallback) return *std::move(fallback);
        throw Wrong(fmt::format("{}{} is missing", path, key));
    }
    try {
        return found->get<Value>();
    } catch (const json::exception&) {
        throw Wrong(fmt::format("{}{} has the wrong type ({})", path, key, found->type_name()));
    }
}

// nlohmann would convert 2.7 or 1e12 to an int32 without a word.
std::int32_t read_int(const json& map, const std::string& path, const char* key, std::int32_t fallback) {
    const auto found = map.find(key);
    if (found == map.end()) return fallback;
    if (!found->is_number_integer()) throw Wrong(fmt::format("{}{} is no whole number", path, key));
    const auto value = found->get<std::int64_t>();
    if (value < std::numeric_limits<std::int32_t>::min() ||
        value > std::numeric_limits<std::int32_t>::max()) {
        throw Wrong(fmt::format("{}{} is out of range", path, key));
    }
    return static_cast<std::int32_t>(value);
}

StepTemplate step_from(const json& map, const std::string& path) {
    if (!map.is_object()) throw Wrong(path + " is no object");
    const std::string at = path + ".";
    StepTemplate step;
    step.name = read<std::string>(map, at, "name", std::nullopt);
    step.handler_class = read<std::string>(map, at, "handler_class", std::nullopt);
    step.description = read<std::string>(map, at, "description", "");
    step.handler_config = read<json>(map, at, "handler_config", json::object());
    step.depends_on = read<std::vector<std::string>>(map, at, "depends_on_steps", std::vector<std::string>{});
    step.results_from = read<std::vector<std::string>>(map, at, "results_from", std::vector<std::string>{});
    step.retryable = read<bool>(map, at, "default_retryable", step.retryable);
    step.retry_limit = read_int(map, at, "default_retry_limit", step.retry_limit);
    const json backoff = read<json>(map, at, "retry_backoff", json::object());
    if (!backoff.is_object()) throw Wrong(at + "retry_backoff is no object");
    step.backoff.base_seconds = read<double>(backoff, at, "base_seconds", step.backoff.base_seconds);
    step.backoff.multiplier = read<double>(backoff, at, "multiplier", step.backoff.multiplier);
    step.backoff.max_seconds = read<double>(backoff, at, "max_seconds", step.backoff.max_seconds);
    step.backoff.jitter = read<double>(backoff, at, "jitter", step.backoff.jitter);
    step.max_retry_after_seconds =
        read<double>(map, at, "max_retry_after_seconds", step.max_retry_after_seconds);
    step.max_snoozes = read_int(map, at, "max_snoozes", step.max_snoozes);
    step.timeout_seconds = read<double>(map, at, "timeout_seconds", step.timeout_seconds);
    const auto policy = read<std::string>(map, at, "on_orphan", std::string(to_string(step.on_orphan)));
    const auto known = orphan_policy_from(policy);
    if (!known) throw Wrong(fmt::format("{}on_orphan has the unknown value '{}'", at, policy));
    step.on_orphan = *known;
    step.claim_first = read<bool>(map, at, "claim_first", step.claim_first);
    step.dependent_system =
        read<std::string>(map, at, "dependent_system", std::string(kDefaultDependentSystem));
    return step;
}

Template template_from(const json& map) {
    if (!map.is_object()) throw Wrong("the configuration is no object");
    Template result;
    result.name = read<std::string>(map, "", "name", std::nullopt);
    result.namespace_name = read<std::string>(map, "", "namespace_name", std::nullopt);
    result.version = read<std::string>(map, "", "version", std::nullopt);
    result.description = read<std::string>(map, "", "description", "");
    result.task_handler_class = read<std::string>(map, "", "task_handler_class", "");
    result.schema = read<json>(map, "", "schema", json());
    result.default_dependent_system =
        read<std::string>(map, "", "default_dependent_system", result.default_dependent_system);
    const auto identity = read<std::string>(map, "", "identity", std::string(to_string(result.identity)));
    const auto known = identity_from(identity);
    if (!known) throw Wrong(fmt::format("identity has the unknown value '{}'", identity));
    result.identity = *known;
    result.priority = read_int(map, "", "priority", result.priority);
    const json steps = read<json>(map, "", "step_templates", std::nullopt);
    if (!steps.is_array()) throw Wrong("step_templates is no list");
    result.steps.reserve(steps.size());
    for (std::size_t index = 0; index < steps.size(); ++index) {
        result.steps.push_back(step_from(steps[index], fmt::format("step_templates[{}]", index)));
    }
    return result;
}

}  // namespace

std::string_view to_string(OrphanPolicy policy) {
    return kOrphanPolicies[static_cast<std::size_t>(policy)];
}
std::string_view to_string(Identity identity) {
    return kIdentities[static_cast<std::size_t>(identity)];
}

std::optional<OrphanPolicy> orphan_policy_from(std::string_view text) {
    return enum_from<OrphanPolicy>(text, kOrphanPolicies);
}
std::optional<Identity> identity_from(std::string_view text) {
    return enum_from<Identity>(text, kIdentities);
}

json to_configuration(const Template& definition) {
    json steps = json::array();
    for (const StepTemplate& step : definition.steps) steps.push_back(step_configuration(step));
    return {
        {"name", definition.name},
        {"namespace_name", definition.namespace_name},
        {"version", definition.version},
        {"description", definition.description},
        {"task_handler_class", definition.task_handler_class},
        {"schema", definition.schema},
        {"default_dependent_system", definition.default_dependent_system},
        {"identity", to_string(definition.identity)},
        {"priority", definition.priority},
        {"step_templates", std::move(steps)},
    };
}

tl::expected<Template, std::string> from_configuration(const json& configuration) {
    try {
        return template_from(configuration);
    } catch (const Wrong& wrong) {
        return tl::unexpected(std::string(wrong.what()));
    }
}

std::string digest(const Template& definition) {
    return sha256_hex(to_configuration(definition).dump());
}

}  // namespace tasker::templates
