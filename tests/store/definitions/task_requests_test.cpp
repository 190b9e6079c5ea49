#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "orchestrator/api/definitions.hpp"
#include "orchestrator/api/submit.hpp"
#include "orchestrator/templates/template.hpp"
#include "tests/support/postgres.hpp"

namespace tasker::api {
namespace {

using nlohmann::json;

templates::Template definition(const std::string& name,
                               templates::Identity identity = templates::Identity::always_unique) {
    templates::Template result;
    result.namespace_name = "shop";
    result.name = name;
    result.version = "1.0.0";
    result.identity = identity;
    result.priority = 5;
    templates::StepTemplate first;
    first.name = "first";
    first.handler_class = "First";
    first.dependent_system = "default";
    templates::StepTemplate second = first;
    second.name = "second";
    second.depends_on = {"first"};
    result.steps = {first, second};
    result.schema = json::parse(R"({"type": "object", "required": ["amount"],
                                    "properties": {"amount": {"type": "number", "minimum": 1}}})");
    return result;
}

TaskRequest request(const std::string& context = R"({"amount": 1})", const std::string& name = "order") {
    TaskRequest result;
    result.namespace_name = "shop";
    result.name = name;
    result.context_json = context;
    return result;
}

class TaskRequests : public testing::Test {
  protected:
    TaskRequests() {
        register_templates(sql, {definition("order"), definition("strict", templates::Identity::strict),
                                 definition("keyed", templates::Identity::caller_provided)});
    }

    RequestOutcome create(const TaskRequest& one) {
        return creator.create_tasks(sql, std::span(&one, 1)).front();
    }
    std::vector<RequestOutcome> create_all(const std::vector<TaskRequest>& requests,
                                           WhenRefused when = WhenRefused::create_nothing) {
        return creator.create_tasks(sql, requests, when);
    }
    /// "code field: message", or "created"/"existing".
    static std::string told(const RequestOutcome& outcome) {
        if (outcome) return outcome->existing ? "existing" : "created";
        return outcome.error().code + " " + outcome.error().field + ": " + outcome.error().message;
    }
    std::int64_t count(const std::string& table) {
        return sql.execute("SELECT count(*) FROM " + table).at(0)[0].as<std::int64_t>();
    }
    std::string one(const std::string& query) { return sql.execute(query).at(0)[0].c_str(); }

    test::TestDatabase database;
    postgres::Connection sql = database.connect();
    TaskCreator creator;
};

TEST_F(TaskRequests, AreMadeWhole) {
    auto full = request();
    full.priority = 9;
    full.tags = {"red", "grün"};
    full.initiator = "ada";
    full.source_system = "web";
    full.reason = "because";
    full.requested_at = "2025-06-30T12:00:00Z";
    full.not_before = "2999-01-01T00:00:00Z";
    full.trace_context = "00-abc";
    const auto made = create(full);
    ASSERT_TRUE(made) << told(made);
    EXPECT_EQ(made->step_count, 2);
    EXPECT_FALSE(made->existing);
    EXPECT_EQ(one("SELECT concat_ws(' ', state, priority, open_steps, movable_steps, initiator, "
                  "source_system, reason,"
                  " requested_at = '2025-06-30T12:00:00Z', not_before = '2999-01-01T00:00:00Z', "
                  "trace_context, tags, context)"
                  " FROM tasker_tasks"),
              "pending 9 2 1 ada web because t t 00-abc [\"red\", \"grün\"] {\"amount\": 1}");
    EXPECT_EQ(count("tasker_workflow_step_edges"), 1);
    EXPECT_EQ(count("tasker_workflow_step_transitions"), 2);
    EXPECT_EQ(one("SELECT count(*) FROM tasker_workflow_steps WHERE ready_key IS NOT NULL"), "0");
}

TEST_F(TaskRequests, TakeThePriorityOfTheTemplateByDefault) {
    ASSERT_TRUE(create(request()));
    EXPECT_EQ(one("SELECT priority FROM tasker_tasks"), "5");
    EXPECT_EQ(one("SELECT string_agg(DISTINCT priority::text, ',') FROM tasker_workflow_steps"), "5");
}

TEST_F(TaskRequests, OfAnUnknownTemplateAreToldWhichOnesThereAre) {
    EXPECT_EQ(told(create(request("{}", "ordr"))),
              "unknown_template name: no template 'shop/ordr' is loaded. Did you mean 'shop/order'?");
    auto versioned = request();
    versioned.version = "2.0.0";
    EXPECT_EQ(told(create(versioned)),
              "unknown_version version: shop/order has no version '2.0.0'; there is 1.0.0");
    EXPECT_EQ(count("tasker_tasks"), 0);
}

TEST_F(TaskRequests, WhoseContextBreaksTheSchemaAreRefusedWithThePath) {
    const auto outcome = create(request(R"({"amount": 0})"));
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, "invalid_context");
    EXPECT_EQ(outcome.error().field, "context");
    EXPECT_TRUE(outcome.error().message.starts_with("$.amount: ")) << outcome.error().message;
    EXPECT_EQ(told(create(request("{}"))).substr(0, 16), "invalid_context ");
    EXPECT_EQ(told(create(request("{\"amount\": 1, \"x\": \"\\u0000\"}"))),
              "invalid_context context: $.x: contains the character \\u0000, which cannot be stored");
    EXPECT_EQ(told(create(request("{"))).substr(0, 13), "invalid_json ");
    EXPECT_EQ(count("tasker_tasks"), 0);
}

// 1e999 takes five bytes on the way in and a thousand in the database.
TEST_F(TaskRequests, WhoseContextGrowsTooLargeInTheDatabaseAreRefusedAlone) {
    std::string numbers = "[0";
    for (int i = 0; i < 9000; ++i) numbers += ",1e300,1e300,1e300,1e300";
    const auto swelling = request(R"({"amount": 1, "more": )" + numbers + "]}");
    const std::string refused =
        "invalid_context context: has more than 8388608 bytes as the database writes it";
    const auto none = create_all({request(), swelling});
    EXPECT_EQ(told(none[0]), "not_created : nothing was created, because 1 of the 2 requests were refused");
    EXPECT_EQ(told(none[1]), refused);
    EXPECT_EQ(count("tasker_tasks"), 0);
    const auto others = create_all({swelling, request()}, WhenRefused::create_the_others);
    EXPECT_EQ(told(others[0]), refused);
    EXPECT_EQ(told(others[1]), "created");
    EXPECT_EQ(told(create(swelling)), refused);
    EXPECT_EQ(count("tasker_tasks"), 1);
}

TEST_F(TaskRequests, WithTheSameKeyGetTheSameTask) {
    auto keyed = request();
    keyed.idempotency_key = "order-17";
    const auto first = create(keyed);
    ASSERT_TRUE(first);
    keyed.context_json = "{ \"amount\" : 1.0 }";
    const auto again = create(keyed);
    ASSERT_TRUE(again) << told(again);
    EXPECT_TRUE(again->existing);
    EXPECT_EQ(again->task_id, first->task_id);
    EXPECT_EQ(again->step_count, 2);
    keyed.context_json = R"({"amount": 2})";
    EXPECT_EQ(told(create(keyed)),
              "idempotency_conflict idempotency_key: was already used with another context by task " +
                  std::to_string(first->task_id));
    // Another named task has keys of its own.
    keyed.name = "strict";
    EXPECT_EQ(told(create(keyed)), "created");
    EXPECT_EQ(count("tasker_tasks"), 2);
}

TEST_F(TaskRequests, WithTheSameKeyInOneCallMustAgree) {
    auto a = request();
    a.idempotency_key = "k";
    auto b = a;
    const auto agreeing = create_all({a, b});
    ASSERT_TRUE(agreeing[0] && agreeing[1]);
    EXPECT_FALSE(agreeing[0]->existing);
    EXPECT_TRUE(agreeing[1]->existing);
    EXPECT_EQ(agreeing[0]->task_id, agreeing[1]->task_id);
    a.idempotency_key = b.idempotency_key = "l";
    b.context_json = R"({"amount": 2})";
    const auto differing = create_all({a, b});
    EXPECT_EQ(told(differing[0]),
              "not_created : nothing was created, because 1 of the 2 requests were refused");
    EXPECT_EQ(told(differing[1]),
              "idempotency_conflict idempotency_key: was already used with another context by request 1 of "
              "this call");
    EXPECT_EQ(count("tasker_tasks"), 1);
}

TEST_F(TaskRequests, OfAStrictTemplateAreTheSameWhenTheContextIs) {
    const auto first = create(request(R"({"amount": 1, "note": "x"})", "strict"));
    const auto same = create(request(R"({"note": "x", "amount": 1.0})", "strict"));
    const auto other = create(request(R"({"amount": 2})", "strict"));
    ASSERT_TRUE(first && same && other);
    EXPECT_EQ(same->task_id, first->task_id);
    EXPECT_TRUE(same->existing);
    EXPECT_NE(other->task_id, first->task_id);
}

TEST_F(TaskRequests, KeepEveryDigitOfTheContext) {
    const auto created = create(request(
        R"({"amount": 12345678901234567890123, "b": [18446744073709551616, 1e-400, 1.10, 1e20, "é\u0001\"\\"]})"));
    ASSERT_TRUE(created) << told(created);
    EXPECT_EQ(one("SELECT context->>'amount' FROM tasker_tasks"), "12345678901234567890123");
    EXPECT_EQ(one("SELECT (context->'b') - 1 FROM tasker_tasks"),
              R"([18446744073709551616, 1.10, 100000000000000000000, "é\u0001\"\\"])");
    EXPECT_EQ(one("SELECT ((context->'b'->1)::numeric = 1e-400)::text FROM tasker_tasks"), "true");
}

TEST_F(TaskRequests, ThatDifferInTheLastDigitAreTwo) {
    const auto first = create(request(R"({"amount": 12345678901234567890123})", "strict"));
    const auto other = create(request(R"({"amount": 12345678901234567890124})", "strict"));
    const auto same = create(request(R"({"amount": 12345678901234567890123.0})", "strict"));
    ASSERT_TRUE(first && other && same);
    EXPECT_NE(other->task_id, first->task_id);
    EXPECT_EQ(same->task_id, first->task_id);
    auto keyed = request(R"({"amount": 12345678901234567890123})");
    keyed.idempotency_key = "k";
    ASSERT_TRUE(create(keyed));
    keyed.context_json = R"({"amount": 12345678901234567890124})";
    EXPECT_EQ(create(keyed).error().code, "idempotency_conflict");
}

TEST_F(TaskRequests, AreCheckedWithEveryDigitOfAStoredSchema) {
    // Somebody else than the command line may have stored limits that no double holds.
    sql.execute("ALTER TABLE tasker_task_templates DISABLE TRIGGER USER");
    sql.execute(
        R"(UPDATE tasker_task_templates SET configuration = jsonb_set(configuration, '{schema,properties,amount}',
        '{"maximum": 12345678901234567890123, "multipleOf": 0.1}'))");
    TaskCreator fresh;
    const auto refused = [&](const std::string& amount) {
        const auto wanted = request(R"({"amount": )" + amount + "}");
        return told(fresh.create_tasks(sql, std::span(&wanted, 1)).front());
    };
    EXPECT_EQ(refused("12345678901234567890123"), "created");
    EXPECT_EQ(refused("12345678901234567890123.1"),
              "invalid_context context: $.amount: must be at most 12345678901234567890123");
    EXPECT_EQ(refused("0.3"), "created");
    EXPECT_EQ(refused("0.35"), "invalid_context context: $.amount: must be a multiple of 0.1");
}

TEST_F(TaskRequests, OfAKeyedTemplateNeedAKey) {
    EXPECT_EQ(told(create(request(R"({"amount": 1})", "keyed"))),
              "idempotency_key_required idempotency_key: shop/keyed:1.0.0 has `identity: caller_provided`, "
              "so each request "
              "must bring one");
    auto keyed = request(R"({"amount": 1})", "keyed");
    keyed.idempotency_key = "k";
    EXPECT_EQ(told(create(keyed)), "created");
}

TEST_F(TaskRequests, CreateNothingWhenOneIsRefusedUnlessAskedTo) {
    const std::vector<TaskRequest> requests = {request(), request("[]"), request()};
    const auto none = create_all(requests);
    EXPECT_FALSE(none[0] || none[1] || none[2]);
    EXPECT_EQ(none[1].error().code, "invalid_context");
    EXPECT_EQ(count("tasker_tasks"), 0);
    const auto others = create_all(requests, WhenRefused::create_the_others);
    EXPECT_TRUE(others[0]);
    EXPECT_FALSE(others[1]);
    EXPECT_TRUE(others[2]);
    EXPECT_EQ(count("tasker_tasks"), 2);
}

TEST_F(TaskRequests, AreTakenBackWhenTheDatabaseFindsAConflict) {
    auto keyed = request();
    keyed.idempotency_key = "k";
    ASSERT_TRUE(create(keyed));
    keyed.context_json = R"({"amount": 2})";
    const auto outcomes = create_all({request(), keyed});
    EXPECT_EQ(outcomes[0].error().code, "not_created");
    EXPECT_EQ(outcomes[1].error().code, "idempotency_conflict");
    EXPECT_EQ(count("tasker_tasks"), 1);
    EXPECT_EQ(count("tasker_workflow_steps"), 2);
}

TEST_F(TaskRequests, UseARevisionThatWasLoadedAMomentAgo) {
    ASSERT_TRUE(create(request()));
    auto changed = definition("order");
    changed.steps.pop_back();
    changed.schema = nullptr;
    register_template(sql, changed);
    const auto outcome = create(request("{}"));
    ASSERT_TRUE(outcome) << told(outcome);
    EXPECT_EQ(outcome->step_count, 1);
    EXPECT_EQ(one("SELECT template_revision FROM tasker_tasks ORDER BY task_id DESC LIMIT 1"), "2");
}

TEST_F(TaskRequests, CountTheStepsOfAnExistingTaskItself) {
    auto keyed = request();
    keyed.idempotency_key = "k";
    ASSERT_TRUE(create(keyed));
    auto changed = definition("order");
    changed.steps.pop_back();
    register_template(sql, changed);
    const auto again = create(keyed);
    ASSERT_TRUE(again && again->existing);
    EXPECT_EQ(again->step_count, 2);
}

TEST_F(TaskRequests, NeedParentsThatExist) {
    const auto parent = create(request());
    ASSERT_TRUE(parent);
    auto child = request();
    child.parent_task_id = 4711;
    EXPECT_EQ(told(create(child)), "unknown_parent parent_task_id: there is no task 4711");
    child.parent_task_id = parent->task_id;
    child.parent_step_id = 4711;
    EXPECT_EQ(told(create(child)),
              "unknown_parent parent_step_id: task " + std::to_string(parent->task_id) + " has no step 4711");
    child.parent_step_id = std::nullopt;
    EXPECT_EQ(told(create(child)), "created");
}

TEST_F(TaskRequests, ThousandsGoInOneCall) {
    const std::vector<TaskRequest> requests(
        5000, request(R"({"amount": 3, "items": [{"sku": "a", "quantity": 2}]})"));
    const auto started = std::chrono::steady_clock::now();
    const auto outcomes = create_all(requests);
    const auto took = std::chrono::steady_clock::now() - started;
    for (std::size_t i = 0; i < outcomes.size(); ++i) ASSERT_TRUE(outcomes[i]) << i << told(outcomes[i]);
    EXPECT_EQ(count("tasker_tasks"), 5000);
    EXPECT_EQ(count("tasker_workflow_steps"), 10'000);
    RecordProperty("milliseconds",
                   static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(took).count()));
    // Quadratic work would take minutes; the limit is generous for slow machines and sanitizers.
    EXPECT_LT(took, std::chrono::seconds(60));
}

}  // namespace
}  // namespace tasker::api
