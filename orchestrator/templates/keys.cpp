#include "orchestrator/templates/keys.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "orchestrator/templates/template.hpp"

namespace tasker::templates {

namespace {

using Json = nlohmann::ordered_json;

// Any scalar may hold ${VAR}, whatever type it has afterwards.
constexpr std::string_view kVariable = R"(\$\{)";
constexpr std::string_view kUseless = "This key of older versions has no effect. Remove it.";
constexpr std::string_view kOneShape =
    "An environment cannot change dependencies: a workflow has one shape everywhere.";

Json spelling(std::string_view letters, std::size_t bytes_max) {
    return {{"type", {"string", "number", "boolean"}},
            {"pattern", fmt::format("^[{}]{{1,{}}}$|{}", letters, bytes_max, kVariable)}};
}

Json name() {
    return spelling("A-Za-z0-9_.-", kNameBytesMax);
}

Json text(std::size_t min, std::size_t max) {
    return {{"type", "string"}, {"minLength", min}, {"maxLength", max}};
}

Json class_name() {
    return {{"type", "string"},
            {"pattern", fmt::format("^[A-Za-z0-9_.:/-]{{1,{}}}$|{}", kHandlerClassBytesMax, kVariable)}};
}

Json truth() {
    return {{"type", {"boolean", "string"}}, {"pattern", kVariable}};
}

// Quoted numbers are numbers too.
template <typename Number>
Json number(const char* type, Number min, Number max) {
    return {{"type", {type, "string"}},
            {"minimum", min},
            {"maximum", max},
            {"pattern", fmt::format(R"(^[+-]?[0-9.]+([eE][+-]?[0-9]+)?$|{})", kVariable)}};
}

Json whole(std::int64_t min, std::int64_t max) {
    return number("integer", min, max);
}

Json seconds(double min, double max) {
    return number("number", min, max);
}

template <typename Enum>
Json choice(std::initializer_list<Enum> values) {
    Json names = Json::array();
    for (const Enum value : values) names.push_back(to_string(value));
    return {{"anyOf", {{{"enum", names}}, {{"type", "string"}, {"pattern", kVariable}}}}};
}

Json part(std::string_view definition) {
    return {{"$ref", fmt::format("#/definitions/{}", definition)}};
}

Json list_of(std::string_view definition) {
    return {{"type", "array"}, {"items", part(definition)}};
}

Key key(std::string key_name, KeyUse use, Json value, std::string_view meaning, Json standard, Json example) {
    value["description"] = meaning;
    if (!standard.is_null()) value["default"] = std::move(standard);
    value["examples"] = Json::array({std::move(example)});
    return {std::move(key_name), use, std::move(value), {}};
}

Key required(std::string key_name, Json value, std::string_view meaning, Json example) {
    return key(std::move(key_name), KeyUse::required, std::move(value), meaning, nullptr, std::move(example));
}

Key optional(std::string key_name, Json value, std::string_view meaning, Json standard, Json example) {
    return key(std::move(key_name), KeyUse::optional, std::move(value), meaning, std::move(standard),
               std::move(example));
}

Key useless(std::string key_name, std::string_view more = {}) {
    Json value{{"description", "A key of older versions. It has no effect."}, {"deprecated", true}};
    return {std::move(key_name), KeyUse::without_effect, std::move(value),
            std::string(kUseless).append(more)};
}

std::vector<Key> root_keys() {
    const Template standard;
    Json steps = list_of("step");
    steps["minItems"] = 1;
    steps["maxItems"] = kStepsMax;
    Json full_name = spelling("A-Za-z0-9_.-", kNameBytesMax);
    full_name["pattern"] =
        fmt::format("^([A-Za-z0-9_.-]+/)?[A-Za-z0-9_.-]{{1,{}}}$|{}", kNameBytesMax, kVariable);
    const Json schema{{"type", "object"}, {"allOf", {{{"$ref", "http://json-schema.org/draft-07/schema#"}}}}};
    const Json environments{{"type", "object"}, {"additionalProperties", part("environment")}};
    return {
        required("name", full_name,
                 "The name of the workflow. The older form namespace/name must agree with `namespace_name`.",
                 "order_fulfillment"),
        required("namespace_name", name(),
                 "The namespace: templates, handlers and workers are grouped by it.", "fulfillment"),
        required("version", spelling("A-Za-z0-9._+-", kVersionBytesMax),
                 "The version. Each version has revisions of its own; without one, callers get the highest.",
                 "1.0.0"),
        optional("description", text(0, kDescriptionBytesMax), "A text for people, shown in lists.", "",
                 "Takes an order from payment to parcel"),
        optional("task_handler_class", text(1, kHandlerClassBytesMax),
                 "The class of older versions that handled the whole task. It is stored and not used.",
                 nullptr, "Orders::TaskHandler"),
        optional("default_dependent_system", name(), "The `dependent_system` of all steps that name none.",
                 standard.default_dependent_system, "warehouse"),
        optional("identity", choice({Identity::always_unique, Identity::strict, Identity::caller_provided}),
                 "Which submissions are the same task: none, those of equal context, or those of equal "
                 "idempotency key, which is required then.",
                 to_string(standard.identity), "strict"),
        optional("priority", whole(kPriorityMin, kPriorityMax),
                 "The priority of tasks that bring none. Steps of a higher one are claimed first.",
                 standard.priority, 10),
        optional("schema", schema,
                 "The JSON Schema (draft 7) of contexts. A submission that does not fit is refused.", nullptr,
                 {{"type", "object"}, {"required", {"order_id"}}}),
        required("step_templates", steps, "The steps. Their order does not matter.",
                 {{{"name", "greet"}, {"handler_class", "Hello::GreetHandler"}}}),
        optional("environments", environments,
                 "Overrides by the name of an environment. `TASKER_ENV` selects one.", nullptr,
                 {{"test", {{"step_overrides", {{"greet", {{"timeout_seconds", 1}}}}}}}}),
        useless("module_namespace", " Write the whole class name in handler_class."),
        useless("named_steps"),
        useless("custom_events"),
        useless("handler_config", " Each step has a handler_config of its own."),
        useless("concurrent", " Steps that do not depend on each other always run side by side."),
    };
}

// What a step has and an environment may override, in both forms.
std::vector<Key> shared_keys() {
    const StepTemplate standard;
    const Json backoff{{"anyOf", {part("backoff"), {{"enum", {"exponential"}}}}}};
    return {
        optional("description", text(0, kDescriptionBytesMax), "A text for people.", "", "Charges the card"),
        optional(
            "handler_config", {{"type", "object"}},
            "A map of your own that the handler gets. It is stored in clear, so `{ $secret: NAME }` stands "
            "for a secret in it.",
            Json::object(), {{"amount", 5}}),
        optional("default_retryable", truth(), "Whether a failure may be tried again.", standard.retryable,
                 false),
        optional(
            "default_retry_limit", whole(0, kRetryLimitMax),
            "Attempts in total, the first included. 0 stands for 1 beside `default_retryable: false`, and "
            "is refused otherwise.",
            standard.retry_limit, 5),
        optional(
            "retry_backoff", backoff,
            "The pause before another attempt, see below. The word `exponential` stands for the defaults.",
            Json::object(), {{"base_seconds", 2}}),
        optional("max_retry_after_seconds", seconds(kMaxRetryAfterSecondsMin, kMaxRetryAfterSecondsMax),
                 "The longest pause that a failure may ask for with `retry_after`.",
                 standard.max_retry_after_seconds, 3600),
        optional(
            "max_snoozes", whole(0, kMaxSnoozesMax),
            "How often the handler may ask to be called again later. The next time ends the step in error.",
            standard.max_snoozes, 48),
        optional("timeout_seconds", seconds(kTimeoutSecondsMin, kTimeoutSecondsMax),
                 "How long one attempt may take.", standard.timeout_seconds, 10),
        optional(
            "on_orphan", choice({OrphanPolicy::retry, OrphanPolicy::dead_letter}),
            "What happens to an attempt that may have started when its worker is lost. `dead_letter` leaves "
            "the decision to a person.",
            to_string(standard.on_orphan), "dead_letter"),
        optional("claim_first", truth(),
                 "Whether the handler starts only after the orchestrator has recorded that it may.",
                 standard.claim_first, true),
        optional("dependent_system", name(),
                 "The outside system that the step needs. Without it `default_dependent_system`.", nullptr,
                 "payments"),
        useless("skippable"),
        useless("custom_events"),
    };
}

std::vector<Key> step_keys() {
    const Json step_name{{"type", "string"}, {"minLength", 1}, {"maxLength", kNameBytesMax}};
    const Json names{{"type", {"array", "string"}}, {"items", step_name}, {"uniqueItems", true}};
    std::vector<Key> keys{
        required("name", name(), "The name of the step, once in the template.", "charge"),
        required("handler_class", class_name(), "The class that runs the step, as the worker registers it.",
                 "Orders::ChargeHandler"),
        optional("depends_on_steps", names, "The steps that must be complete before this one starts.",
                 Json::array(), {"reserve", "validate"}),
        optional("depends_on_step", step_name, "The same for a single step.", nullptr, "validate"),
        optional(
            "results_from", names,
            "Steps further back whose results the handler gets besides those of its direct parents. Each must "
            "be an ancestor: a step that this one depends on through others.",
            Json::array(), {"plan"}),
    };
    for (Key& one : shared_keys()) keys.push_back(std::move(one));
    return keys;
}

std::vector<Key> override_keys(KeyMap map) {
    std::vector<Key> keys;
    if (map == KeyMap::listed_override)
        keys.push_back(required("name", name(), "The step to override.", "charge"));
    keys.push_back(optional("handler_class", class_name(), "Another class for this environment.", nullptr,
                            "Orders::FakeChargeHandler"));
    for (Key& one : shared_keys()) {
        // What is not written stays as the step has it.
        one.value.erase("default");
        keys.push_back(one);
        if (one.name != "default_retryable" && one.name != "default_retry_limit") continue;
        one.name = one.name.substr(std::string_view("default_").size());
        one.value["description"] = fmt::format("The older spelling of `default_{}`.", one.name);
        keys.push_back(std::move(one));
    }
    for (const char* dependency : {"depends_on_steps", "depends_on_step", "results_from"})
        keys.push_back({dependency, KeyUse::refused, {}, std::string(kOneShape)});
    return keys;
}

std::vector<Key> backoff_keys() {
    const Backoff standard;
    return {
        optional("base_seconds", seconds(kBackoffSecondsMin, kBackoffSecondsMax),
                 "The pause before the second attempt.", standard.base_seconds, 2),
        optional("multiplier", seconds(kBackoffMultiplierMin, kBackoffMultiplierMax),
                 "By how much each further pause is longer. 1 keeps them equal.", standard.multiplier, 1.5),
        optional("max_seconds", seconds(kBackoffSecondsMin, kBackoffSecondsMax), "The longest pause.",
                 standard.max_seconds, 60),
        optional("jitter", seconds(kBackoffJitterMin, kBackoffJitterMax),
                 "The fraction by which a pause is spread at random, so that retries do not come together.",
                 standard.jitter, 0.2),
    };
}

std::vector<Key> environment_keys() {
    Json overrides{{"type", "object"}, {"additionalProperties", part("mapped_override")}};
    return {
        optional("step_templates", list_of("listed_override"), "Overrides as a list; each has a `name`.",
                 Json::array(), {{{"name", "charge"}, {"timeout_seconds", 1}}}),
        optional("step_overrides", std::move(overrides), "Overrides as a map, by the name of the step.",
                 Json::object(), {{"charge", {{"timeout_seconds", 1}}}}),
    };
}

std::vector<Key> make_keys(KeyMap map) {
    switch (map) {
        case KeyMap::root:
            return root_keys();
        case KeyMap::step:
            return step_keys();
        case KeyMap::backoff:
            return backoff_keys();
        case KeyMap::environment:
            return environment_keys();
        case KeyMap::listed_override:
        case KeyMap::mapped_override:
            return override_keys(map);
    }
    return {};
}

}  // namespace

const std::vector<Key>& keys_of(KeyMap map) {
    static const std::array all{make_keys(KeyMap::root),
                                make_keys(KeyMap::step),
                                make_keys(KeyMap::backoff),
                                make_keys(KeyMap::environment),
                                make_keys(KeyMap::listed_override),
                                make_keys(KeyMap::mapped_override)};
    return all.at(static_cast<std::size_t>(map));
}

}  // namespace tasker::templates
