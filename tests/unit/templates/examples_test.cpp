// The templates and orders that ship: they load without a warning, and the arithmetic in their comments is
// right.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <set>

#include "orchestrator/templates/context_validator.hpp"
#include "tests/unit/templates/support.hpp"

namespace tasker::templates {
namespace {

using nlohmann::json;

std::filesystem::path source_dir() {
    const char* source = std::getenv("TASKER_SOURCE_DIR");
    EXPECT_NE(source, nullptr) << "run through ctest, or set TASKER_SOURCE_DIR to the repository";
    return source == nullptr ? "." : source;
}

std::map<std::string, Template> shipped(std::string_view environment = "") {
    TemplateDirectory loaded =
        load_template_dir(source_dir() / "config" / "tasks", environment, lookup_in({}));
    EXPECT_TRUE(loaded.problems.empty()) << all_text(loaded.problems);
    std::map<std::string, Template> by_name;
    for (Template& one : loaded.templates)
        by_name.emplace(one.namespace_name + "/" + one.name, std::move(one));
    return by_name;
}

// What the arithmetic handlers of the example workers compute, without workers.
json run(const Template& definition, const json& context, const std::string& step_name) {
    std::map<std::string, json> results;
    for (const StepTemplate& step : definition.steps) {
        double sum = 0;
        json values = json::object();
        for (const std::string& parent : step.depends_on) {
            sum += results.at(parent).value("value", 0.0);
            values[parent] = results.at(parent).value("value", 0.0);
        }
        const std::string kind = step.handler_class.substr(step.handler_class.rfind(':') + 1);
        if (kind == "StartHandler") {
            results[step.name] = {{"value", context.at("value")}};
        } else if (kind == "AddHandler") {
            results[step.name] = {{"value", sum + step.handler_config.at("amount").get<double>()}};
        } else if (kind == "MultiplyHandler") {
            results[step.name] = {{"value", sum * step.handler_config.at("factor").get<double>()}};
        } else if (kind == "SumHandler") {
            results[step.name] = {{"value", sum}, {"count", step.depends_on.size()}};
        } else if (kind == "CollectHandler") {
            results[step.name] = {{"values", values}};
        } else {
            ADD_FAILURE() << step.handler_class;
        }
    }
    return results.at(step_name);
}

TEST(ShippedTemplates, AreAllThereAndClean) {
    std::set<std::string> names;
    for (const auto& [name, definition] : shipped()) names.insert(name);
    EXPECT_EQ(names, (std::set<std::string>{"bench/chain4", "bench/single", "fulfillment/order_fulfillment",
                                            "patterns/crash", "patterns/diamond", "patterns/fan_out_fan_in",
                                            "patterns/flaky_retry", "patterns/linear_chain",
                                            "patterns/mixed_dag", "patterns/permanent_failure",
                                            "patterns/slow", "patterns/timeout", "patterns/tree"}));
}

TEST(ShippedTemplates, ArithmeticIsWhatTheirCommentsSay) {
    const std::map<std::string, Template> all = shipped();
    const json six{{"value", 6}};
    EXPECT_EQ(run(all.at("patterns/linear_chain"), six, "minus_four"), (json{{"value", 66}}));
    EXPECT_EQ(run(all.at("patterns/diamond"), six, "join"), (json{{"value", 28}, {"count", 2}}));
    EXPECT_EQ(run(all.at("patterns/fan_out_fan_in"), six, "total"), (json{{"value", 5650}, {"count", 100}}));
    EXPECT_EQ(run(all.at("patterns/tree"), six, "gather"), (json{{"value", 202}, {"count", 4}}));
    EXPECT_EQ(run(all.at("patterns/mixed_dag"), six, "final"), (json{{"value", 107}, {"count", 3}}));
    EXPECT_EQ(run(all.at("patterns/mixed_dag"), six, "side"),
              (json{{"values", {{"first", 6}, {"doubled", 12}}}}));
}

TEST(ShippedTemplates, ArithmeticOnesRefuseAContextWithoutValue) {
    const std::map<std::string, Template> all = shipped();
    for (const std::string name : {"linear_chain", "diamond", "fan_out_fan_in", "tree", "mixed_dag"}) {
        const ContextValidator validator(to_exact_json(all.at("patterns/" + name).schema));
        EXPECT_TRUE(validator.validate(to_exact_json({{"value", 6}})).empty()) << name;
        EXPECT_FALSE(validator.validate(to_exact_json(json::object())).empty()) << name;
    }
}

TEST(ShippedTemplates, FaultsHaveRoomToShow) {
    const std::map<std::string, Template> all = shipped();
    const auto step = [&all](const std::string& name, const std::string& wanted) {
        for (const StepTemplate& one : all.at("patterns/" + name).steps) {
            if (one.name == wanted) return one;
        }
        ADD_FAILURE() << wanted;
        return StepTemplate{};
    };
    const StepTemplate flaky = step("flaky_retry", "flaky");
    EXPECT_GT(flaky.attempts_allowed(), flaky.handler_config.at("failures").get<int>());
    EXPECT_GT(step("permanent_failure", "doomed").attempts_allowed(), 1)
        << "it fails although it might retry";
    const StepTemplate sleepy = step("timeout", "sleepy");
    EXPECT_EQ(sleepy.timeout_seconds, 0.3);
    EXPECT_GT(sleepy.handler_config.at("sleep_ms").get<double>() / 1000, sleepy.timeout_seconds);
    const StepTemplate fragile = step("crash", "fragile");
    EXPECT_GT(fragile.attempts_allowed(), fragile.handler_config.at("crashes").get<int>());
}

TEST(ShippedTemplates, TestEnvironmentLowersTheOrderLimit) {
    EXPECT_EQ(shipped().at("fulfillment/order_fulfillment").steps.at(0).handler_config.at("max_items"), 50);
    EXPECT_EQ(shipped("test").at("fulfillment/order_fulfillment").steps.at(0).handler_config.at("max_items"),
              5);
}

TEST(ShippedOrders, FitTheSchemaAndMixTheCasesOfTheDemo) {
    std::ifstream stream(source_dir() / "examples" / "orders.json");
    const json orders = json::parse(stream);
    const Template definition = shipped().at("fulfillment/order_fulfillment");
    const ContextValidator validator(to_exact_json(definition.schema));
    const std::size_t items_max = definition.steps.at(0).handler_config.at("max_items").get<std::size_t>();
    ASSERT_EQ(orders.size(), 24U);
    int fine = 0;
    int invalid = 0;
    int flaky = 0;
    std::set<std::string> ids;
    for (const json& order : orders) {
        const auto problems = validator.validate(to_exact_json(order));
        EXPECT_TRUE(problems.empty()) << to_string(problems.front()) << order.dump();
        EXPECT_TRUE(ids.insert(order.at("order_id").get<std::string>()).second);
        const bool refused =
            order.at("shipping").at("country") == "XX" || order.at("items").size() > items_max;
        const bool retried = order.at("payment").at("card_token") == "tok_flaky";
        EXPECT_FALSE(refused && retried);
        ++(refused ? invalid : retried ? flaky : fine);
    }
    EXPECT_EQ(fine, 16);
    EXPECT_EQ(invalid, 4);
    EXPECT_EQ(flaky, 4);
}

}  // namespace
}  // namespace tasker::templates
