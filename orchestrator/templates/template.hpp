// A task template: the steps of a named workflow, as loaded from YAML or as stored in the database.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "orchestrator/options/yaml/problem.hpp"

namespace tasker::templates {

using yaml::Problem;
using yaml::Severity;

/// Limits of one template. Names stand in index rows and topics of logs, so they stay short and plain; the
/// counts bound the size of the transaction that creates a task.
constexpr std::size_t kStepsMax = 10'000;
constexpr std::size_t kEdgesMax = 500'000;
constexpr std::size_t kNameBytesMax = 128;
constexpr std::size_t kVersionBytesMax = 64;
constexpr std::size_t kHandlerClassBytesMax = 255;
constexpr std::size_t kDescriptionBytesMax = 2000;
constexpr std::size_t kHandlerConfigBytesMax = 256UL * 1024;
constexpr std::size_t kSchemaBytesMax = 1024UL * 1024;
constexpr std::int64_t kRetryLimitMin = 1;
constexpr std::int64_t kRetryLimitMax = 1000;
constexpr double kTimeoutSecondsMin = 0.001;
constexpr double kTimeoutSecondsMax = 86'400;
constexpr double kBackoffSecondsMin = 0;
constexpr double kBackoffSecondsMax = 86'400;
constexpr double kBackoffMultiplierMin = 1;
constexpr double kBackoffMultiplierMax = 100;
constexpr double kBackoffJitterMin = 0;
constexpr double kBackoffJitterMax = 1;
constexpr double kMaxRetryAfterSecondsMin = 0;
constexpr double kMaxRetryAfterSecondsMax = 31'536'000;  // a year
constexpr std::int64_t kMaxSnoozesMax = 1'000'000;
constexpr std::int64_t kPriorityMin = -1000;
constexpr std::int64_t kPriorityMax = 1000;

/// The dependent system of steps whose template names none.
constexpr std::string_view kDefaultDependentSystem = "default";

/// How long to wait before the next attempt: base × multiplier^(attempt−1), at most `max_seconds`, spread by
/// ± `jitter` (a fraction). What a worker asks for instead has a cap of its own, max_retry_after_seconds.
struct Backoff {
    double base_seconds = 1;
    double multiplier = 2;
    double max_seconds = 300;
    double jitter = 0.1;

    bool operator==(const Backoff&) const = default;
};

/// What happens to a step whose worker is gone and that may have started (system contract, orphans).
enum class OrphanPolicy { retry, dead_letter };

/// Which submissions count as the same task, beyond an explicit idempotency key.
enum class Identity { always_unique, strict, caller_provided };

std::string_view to_string(OrphanPolicy policy);
std::string_view to_string(Identity identity);
std::optional<OrphanPolicy> orphan_policy_from(std::string_view text);
std::optional<Identity> identity_from(std::string_view text);

/// One step of a template, with the overrides of the environment applied. `retry_limit` counts all attempts,
/// the first included; `retryable: false` means "no second attempt".
struct StepTemplate {
    std::string name;
    std::string description;
    std::string handler_class;
    nlohmann::json handler_config = nlohmann::json::object();
    std::vector<std::string> depends_on;
    std::vector<std::string> results_from;  // ancestors whose results it gets besides its parents'
    bool retryable = true;
    std::int32_t retry_limit = 3;
    Backoff backoff;
    double max_retry_after_seconds = 86'400;
    std::int32_t max_snoozes = 1000;  // how often its handler may ask for a later time
    double timeout_seconds = 30;
    OrphanPolicy on_orphan = OrphanPolicy::retry;
    bool claim_first = false;
    std::string dependent_system;

    /// Attempts that will really be made: 1 when not retryable.
    std::int32_t attempts_allowed() const { return retryable ? retry_limit : 1; }

    bool operator==(const StepTemplate&) const = default;
};

/// A template that passed all checks. `steps` are in topological order: parents first, otherwise as written,
/// so the order is the same on every machine. `schema` is the JSON Schema of the context, null when there is
/// none. `source_file`, `name_line` and `warnings` tell about the loading; they belong neither to the
/// configuration nor to the digest.
struct Template {
    std::string name;
    std::string namespace_name;
    std::string version;
    std::string description;
    std::string task_handler_class;
    nlohmann::json schema;
    std::string default_dependent_system{kDefaultDependentSystem};
    Identity identity = Identity::always_unique;
    std::int32_t priority = 0;
    std::vector<StepTemplate> steps;
    std::string source_file;
    int name_line = 0;
    std::vector<Problem> warnings;

    /// "namespace/name:version", as the command line writes it.
    std::string full_name() const { return namespace_name + "/" + name + ":" + version; }
};

/// The effective configuration as stored in tasker_task_templates.configuration: keys as in YAML and sorted,
/// all defaults spelled out, environment overrides and variables applied.
nlohmann::json to_configuration(const Template& definition);

/// Back from a stored configuration. Keys added by a newer version are ignored, missing optional ones take
/// their default; anything else that is wrong comes back as one sentence naming the key.
tl::expected<Template, std::string> from_configuration(const nlohmann::json& configuration);

/// Hex SHA-256 of the dumped configuration: equal exactly when nothing that matters for a run has changed.
std::string digest(const Template& definition);

}  // namespace tasker::templates
