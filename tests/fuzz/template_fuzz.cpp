// Templates from YAML text: what is accepted can be stored, read back unchanged and used on a context; what
// is refused says where and why.
#include <algorithm>

#include "orchestrator/templates/context_validator.hpp"
#include "orchestrator/templates/identity.hpp"
#include "orchestrator/templates/load.hpp"
#include "tests/fuzz/problem_property.hpp"

using namespace tasker;
using templates::Template;

namespace {

std::optional<std::string> variable(std::string_view name) {
    if (name == "SET") return "value";
    if (name == "EMPTY") return "";
    return std::nullopt;
}

auto load(std::string_view text) {
    return templates::load_template_text(text, "t.yaml", "test", variable);
}

void check_steps(const Template& definition) {
    fuzz::require(!definition.steps.empty() && definition.steps.size() <= templates::kStepsMax,
                  "a template has 1 to kStepsMax steps");
    std::vector<std::string> seen;
    for (const auto& step : definition.steps) {
        fuzz::require(!step.name.empty() && step.name.size() <= templates::kNameBytesMax,
                      "a step has a name");
        fuzz::require(!step.handler_class.empty(), "a step has a handler class");
        fuzz::require(step.handler_config.is_object(), "a handler_config is an object");
        fuzz::require(step.retry_limit >= templates::kRetryLimitMin, "a step has an attempt");
        fuzz::require(step.timeout_seconds >= templates::kTimeoutSecondsMin &&
                          step.timeout_seconds <= templates::kTimeoutSecondsMax,
                      "a time-out is within its limits");
        for (const std::string& parent : step.depends_on) {
            fuzz::require(std::find(seen.begin(), seen.end(), parent) != seen.end(),
                          "parents stand before their children", step.name);
        }
        fuzz::require(std::find(seen.begin(), seen.end(), step.name) == seen.end(), "step names are unique");
        seen.push_back(step.name);
    }
}

void check_stored_form(const Template& definition) {
    const nlohmann::json configuration = templates::to_configuration(definition);
    const std::string text = configuration.dump();
    const auto unstorable = protocol::unstorable_reason(text);
    fuzz::require(!unstorable, "an accepted template can be stored", unstorable.value_or(""));
    const auto back = templates::from_configuration(nlohmann::json::parse(text));
    fuzz::require(back.has_value(), "a stored template can be read", back ? "" : back.error());
    fuzz::require(templates::digest(*back) == templates::digest(definition), "and is the same", text);
    fuzz::require(back->steps == definition.steps, "with the same steps", text);
}

// libFuzzer's own time limit finds what takes too long.
void check_schema_in_use(const Template& definition) {
    const templates::ContextValidator validator(templates::to_exact_json(definition.schema));
    const std::string many(200, 'a');
    for (const auto& context :
         {nlohmann::json::object(), nlohmann::json{{"a", many + "!"}, {many, "b"}},
          nlohmann::json{{"order_id", many + "!"}, {"value", 1.0}, {"items", {1, "x"}}}}) {
        for (const auto& problem : validator.validate(templates::to_exact_json(context))) {
            fuzz::check_storable(problem.path);
            fuzz::require(!problem.message.empty(), "a problem says what is wrong");
            fuzz::check_storable(problem.message);
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = fuzz::as_text(data, size);
    const auto loaded = load(text);
    if (!loaded) {
        fuzz::check_problems(loaded.error());
        return 0;
    }
    fuzz::require(fuzz::is_utf8(text), "a template is UTF-8");
    fuzz::check_warnings(loaded->warnings);
    check_steps(*loaded);
    check_stored_form(*loaded);
    check_schema_in_use(*loaded);
    return 0;
}
