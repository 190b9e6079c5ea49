// tasker_create_tasks(): whole tasks, and one task per identity whatever comes together.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "orchestrator/templates/context_validator.hpp"
#include "tests/store/turn/scene.hpp"

namespace tasker::store {
namespace {

class CreateTasks : public ::testing::Test {
  protected:
    void SetUp() override { template_id = scene.draw("chain", "a\nb <- a\n"); }
    void TearDown() override { EXPECT_EQ(scene.violations(), std::vector<std::string>{}); }

    std::string request(const std::string& hash, const std::string& context_hash,
                        const std::string& more = "") const {
        return R"({"task_template_id":)" + std::to_string(template_id) +
               R"(,"scope":"shop/chain","identity_hash":")" + hash + R"(","context_hash":")" + context_hash +
               "\"" + more + "}";
    }
    // task_id|existing|step_count|problem of each request.
    template <typename Session>
    static std::string create(Session& session, const std::string& requests) {
        std::string text;
        for (const auto& row : session.query(
                 "SELECT coalesce(task_id::text, '-') || '|' || existing || '|' || step_count || '|' || "
                 "coalesce(problem, '-') FROM tasker_create_tasks($1::jsonb)",
                 requests)) {
            text += (text.empty() ? "" : " ") + row[0].template as<std::string>();
        }
        return text;
    }
    std::string create(const std::string& requests) { return create(scene.sql(), requests); }
    // The server's sentence; "created" when it took them.
    std::string refusal(const std::string& requests) {
        try {
            create(requests);
            return "created";
        } catch (const postgres::DatabaseError& error) {
            EXPECT_EQ(error.sqlstate(), "22023") << error.what();
            const std::string text = error.what();
            const auto begin = text.find("request ");
            return begin == std::string::npos ? text : text.substr(begin, text.find('\n') - begin);
        }
    }
    // Of the second of two requests; the first is without fault.
    std::string refusal_of(const std::string& members) {
        const std::string good = R"({"task_template_id":)" + std::to_string(template_id);
        return refusal("[" + good + "}," + good + (members.empty() ? "" : ",") + members + "}]");
    }

    Scene scene;
    int template_id = 0;
};

TEST_F(CreateTasks, MakesTaskStepsEdgesCountersAndTransitionsAtOnce) {
    const auto task =
        scene.submit(scene.draw("diamond", "a\nb <- a\nc <- a\nd <- b c\n"),
                     R"({"context":{"x":1},"tags":["t"],"priority":3,"initiator":"me","reason":"why"})");
    EXPECT_EQ(
        scene.one(
            "SELECT state || ' ' || open_steps || ' ' || movable_steps || ' ' || priority || ' ' || context "
            "|| ' ' || tags || ' ' || initiator FROM tasker_tasks"),
        R"(pending 4 1 3 {"x": 1} ["t"] me)");
    EXPECT_EQ(
        scene.list(
            "SELECT name || ':' || remaining_parents || ':' || (ready_key IS NOT NULL) || ':' || priority "
            "FROM tasker_workflow_steps ORDER BY workflow_step_id"),
        "a:0:true:3 b:1:false:3 c:1:false:3 d:2:false:3");
    EXPECT_EQ(scene.list(
                  "SELECT p.name || c.name FROM tasker_workflow_step_edges e JOIN tasker_workflow_steps p ON "
                  "p.workflow_step_id = e.from_step_id JOIN tasker_workflow_steps c ON c.workflow_step_id = "
                  "e.to_step_id WHERE e.task_id = " +
                  std::to_string(task) + " ORDER BY 1"),
              "ab ac bd cd");
}

TEST_F(CreateTasks, AnswersInTheOrderOfTheRequestsAndLeavesOutOnlyTheFaultyOnes) {
    const std::string good = R"({"task_template_id":)" + std::to_string(template_id) + "}";
    const auto answer = create("[" + good + R"(,{"namespace":"shop","name":"typo"},)" +
                               R"({"namespace":"shop","name":"chain","version":"9.9"},)" +
                               R"({"namespace":"shop","name":"chain"}])");
    EXPECT_EQ(answer, "1|false|2|- -|false|0|unknown_template -|false|0|unknown_template 2|false|2|-");
    EXPECT_EQ(scene.number("SELECT count(*) FROM tasker_tasks"), 2);
    EXPECT_EQ(create("[]"), "");
}

TEST_F(CreateTasks, RepeatedIdentityReturnsTheTaskThatExists) {
    EXPECT_EQ(create("[" + request("k", "c") + "]"), "1|false|2|-");
    EXPECT_EQ(create("[" + request("k", "c") + "]"), "1|true|2|-");
    EXPECT_EQ(create("[" + request("k", "other") + "]"), "1|true|0|idempotency_conflict");
    EXPECT_EQ(scene.number("SELECT count(*) FROM tasker_tasks"), 1);
    EXPECT_EQ(scene.number("SELECT count(*) FROM tasker_workflow_steps"), 2);
}

TEST_F(CreateTasks, RepeatedIdentityWithinOneCallCountsOnce) {
    EXPECT_EQ(create("[" + request("k", "c") + "," + request("k", "c") + "," + request("k", "d") + "]"),
              "1|false|2|- 1|true|2|- 1|true|0|idempotency_conflict");
    EXPECT_EQ(scene.number("SELECT count(*) FROM tasker_tasks"), 1);
}

TEST_F(CreateTasks, AnIdentityCountsWithinItsScopeOnly) {
    auto other = request("k", "c");
    other.replace(other.find("shop/chain"), 10, "shop/other");
    EXPECT_EQ(create("[" + request("k", "c") + "," + other + "]"), "1|false|2|- 2|false|2|-");
}

TEST_F(CreateTasks, AnExpiredIdentityIsFree) {
    EXPECT_EQ(create("[" + request("k", "c", R"(,"identity_expires_at":"2020-01-01T00:00:00Z")") + "]"),
              "1|false|2|-");
    EXPECT_EQ(create("[" + request("k", "other", R"(,"identity_expires_at":"2999-01-01T00:00:00Z")") + "]"),
              "2|false|2|-");
    EXPECT_EQ(create("[" + request("k", "other") + "]"), "2|true|2|-");
}

TEST_F(CreateTasks, ARequestThatMakesNoTaskDrawsNoId) {
    create("[" + request("k", "c") + "]");
    const auto drawn = [this] { return scene.number("SELECT last_value FROM tasker_tasks_task_id_seq"); };
    const auto before = drawn();
    create("[" + request("k", "c") + "," + request("k", "other") + R"(,{"task_template_id":987654}])");
    EXPECT_EQ(drawn(), before);
}

TEST_F(CreateTasks, AnUnknownTemplateIdMakesNoTask) {
    EXPECT_EQ(create(R"([{"task_template_id":987654}])"), "-|false|0|unknown_template");
    EXPECT_EQ(scene.number("SELECT count(*) FROM tasker_tasks"), 0);
}

TEST_F(CreateTasks, ABadRequestIsRefusedByNameAndNothingIsMade) {
    const std::pair<std::string, std::string> cases[] = {
        {R"("context":[1])", "context: must be a JSON object, not array"},
        {R"("context":null)", "context: must be a JSON object, not null"},
        {R"("context":"{}")", "context: must be a JSON object, not string"},
        {R"("contxt":{})", "contxt: is no field of a request"},
        {R"("idempotency_key":"k")", "idempotency_key: is no field of a request"},
        {R"("priority":1001)", "priority: must be a whole number from -1000 to 1000"},
        {R"("priority":1e400)", "priority: must be a whole number from -1000 to 1000"},
        {R"("priority":"high")", "priority: must be a whole number, not string"},
        {R"("tags":"red")", "tags: must be a list of text, not string"},
        {R"("tags":["a",""])", "tags: a tag has 0 characters, allowed are 1 to 128"},
        {R"("tags":["a",1])", "tags: a tag must be text, not number"},
        {R"("tags":[")" + std::string(129, 'x') + R"("])",
         "tags: a tag has 129 characters, allowed are 1 to 128"},
        {R"("initiator":")" + std::string(129, 'x') + '"',
         "initiator: has 129 characters, allowed are 0 to 128"},
        {R"("reason":7)", "reason: must be text, not number"},
        {R"("not_before":"infinity")",
         "not_before: must be a date and time with offset such as 2025-06-30T12:00:00Z"},
        {R"("not_before":"-infinity")",
         "not_before: must be a date and time with offset such as 2025-06-30T12:00:00Z"},
        {R"("not_before":"99999-01-01T00:00:00Z")",
         "not_before: must be a date and time with offset such as 2025-06-30T12:00:00Z"},
        {R"("not_before":"2025-02-30T00:00:00Z")",
         "not_before: must be a date and time with offset such as 2025-06-30T12:00:00Z"},
        {R"("not_before":"2025-06-30T12:00:00")",
         "not_before: must be a date and time with offset such as 2025-06-30T12:00:00Z"},
        {R"("requested_at":"tomorrow")",
         "requested_at: must be a date and time with offset such as 2025-06-30T12:00:00Z"},
        {R"("parent_task_id":77)", "parent_task_id: there is no task 77"},
        {R"("parent_step_id":1)", "parent_step_id: needs parent_task_id beside it"},
        {R"("identity_hash":"k")", "scope: is missing beside identity_hash"},
        {R"("scope":"s")", "identity_hash: is missing beside scope, context_hash or identity_expires_at"},
    };
    for (const auto& [members, message] : cases) {
        EXPECT_EQ(refusal_of(members), "request 2: " + message) << members;
    }
    EXPECT_EQ(refusal(R"([{"name":"chain"}])"), "request 1: namespace: is missing");
    EXPECT_EQ(refusal("[1]"), "request 1: must be a JSON object, not number");
    EXPECT_NE(refusal("{}").find("must be a JSON list of requests, not object"), std::string::npos);
    EXPECT_EQ(scene.number("SELECT count(*) FROM tasker_tasks"), 0);
}

TEST_F(CreateTasks, TakesWhatIsAtTheLimits) {
    const std::string deep = "[" + std::string(templates::kContextDepthMax - 2, '[') +
                             std::string(templates::kContextDepthMax - 2, ']') + "]";
    const std::string digits = "1" + std::string(999, '0');
    const std::string cases[] = {
        R"("context":{"a":)" + deep + "}",
        R"("context":{"a":)" + digits + R"(,"b":-1e999,"c":1e-999})",
        R"("not_before":"9999-12-31 23:59:59.123456789-15:59")",
        R"("tags":null,"priority":-1000,"version":null,"initiator":"")",
    };
    for (const auto& members : cases) EXPECT_EQ(refusal_of(members), "created") << members.substr(0, 80);
}

TEST_F(CreateTasks, APlainRequestNeedsNoFurtherCheck) {
    const auto is_plain = [&](const std::string& request) {
        return scene.one("SELECT coalesce(tasker_is_plain_request('" + request + "'), false)::text") ==
               "true";
    };
    const std::string names = R"("namespace":"shop","name":"chain","version":"1")";
    EXPECT_TRUE(is_plain("{" + names + R"(,"context":{}})"));
    EXPECT_TRUE(is_plain("{" + names + R"(,"context":{"order":4711,"lines":["a",{"b":1.50}]}})"));
    // Each of these is another kind of fault, or one that has to be looked at.
    const std::string deep = std::string(59, '[') + std::string(59, ']');
    const std::vector<std::string> odd_ones{
        "1",
        "null",
        "[]",
        R"([{)" + names + R"(,"context":{}}])",
        "{" + names + "}",
        "{" + names + R"(,"context":[]})",
        "{" + names + R"(,"context":null})",
        "{" + names + R"(,"context":[{}]})",
        "{" + names + R"(,"context":{},"contxet":{}})",
        "{" + names + R"(,"context":{},"priority":5000})",
        "{" + names + R"(,"context":{"a":)" + deep + "}}",
        "{" + names + R"(,"context":{"a":1e131000}})",
        R"({"name":"a","version":"1","context":{}})",
        R"({"namespace":"","name":"a","version":"1","context":{}})",
        R"({"namespace":["x"],"name":"a","version":"1","context":{}})",
        R"({"namespace":7,"name":"a","version":"1","context":{}})",
        R"({"namespace":"a","name":")" + std::string(129, 'n') + R"(","version":"1","context":{}})",
        R"({"namespace":"a","name":"a","version":")" + std::string(65, '1') + R"(","context":{}})"};
    for (const auto& odd : odd_ones) {
        EXPECT_FALSE(is_plain(odd)) << odd;
    }
    // The first of a longer list does not answer for the others.
    const std::string good = R"({"namespace":"shop","name":"chain","version":"1.0.0","context":{}})";
    EXPECT_EQ(refusal("[" + good + R"(,{"namespace":"shop","name":"chain","context":[]}])"),
              "request 2: context: must be a JSON object, not array");
}

TEST_F(CreateTasks, AContextThatNoRequestCanCarryIsRefused) {
    const auto levels = static_cast<std::size_t>(templates::kContextDepthMax);
    EXPECT_EQ(refusal_of(R"("context":{"a":)" + std::string(levels, '[') + std::string(levels, ']') + "}"),
              "request 2: context: is nested deeper than " + std::to_string(levels) + " levels");
    const std::string many = "request 2: context: holds a number of more than 1000 digits";
    std::string flood;
    for (int i = 0; i < 9000; ++i) flood += ",1e131071";
    for (const std::string& value :
         {"[" + flood.substr(1) + "]", std::string("-1e1000"), std::string("1e-1000"),
          std::string("0e-16383"), "1." + std::string(1000, '0'),
          "1" + std::string(500, '0') + "." + std::string(500, '3')}) {
        EXPECT_EQ(refusal_of(R"("context":{"a":)" + value + "}"), many) << value.substr(0, 40);
    }
    std::string swelling = "[1e999";
    for (int i = 0; i < 20'000; ++i) swelling += ",1e999";
    const std::string large = "request 2: context: has more than 8388608 bytes as the database writes it";
    EXPECT_EQ(refusal_of(R"("context":{"a":)" + swelling + "]}"), large);
    EXPECT_EQ(refusal_of(R"("context":{"a":")" + std::string(8'388'608, 'x') + "\"}"), large);
}

TEST_F(CreateTasks, ATemplateThatAsksForAnIdentityGetsNoTaskWithoutOne) {
    scene.execute(
        "SELECT tasker_register_template('shop', 'keyed', '1', NULL, jsonb_build_object('identity', "
        "'caller_provided', 'step_templates', '[{\"name\": \"a\"}]'::jsonb), repeat('0', 64), s.steps) FROM "
        "(SELECT '[{\"position\": 1, \"name\": \"a\", \"handler_class\": \"A\", \"dependent_system\": "
        "\"default\", \"retryable\": true, \"retry_limit\": 1, \"timeout_ms\": 1, \"on_orphan\": \"retry\", "
        "\"claim_first\": false, \"parents\": []}]'::jsonb AS steps) s");
    EXPECT_EQ(refusal(R"([{"namespace":"shop","name":"keyed"}])"),
              "request 1: identity_hash: is missing, but the template has `identity: caller_provided`");
    EXPECT_EQ(create(R"([{"namespace":"shop","name":"keyed","scope":"s","identity_hash":"h"}])"),
              "1|false|1|-");
}

// The second submission waits for the first one's transaction and then sees its task, or makes its own.
TEST_F(CreateTasks, TwoConnectionsAtOnceMakeOneTask) {
    for (const bool first_commits : {true, false}) {
        const std::string key = first_commits ? "committed" : "rolled back";
        postgres::Connection first(scene.url());
        auto transaction = first.begin();
        const auto mine = create(transaction, "[" + request(key, "c") + "]");
        std::string theirs;
        std::thread second([&] {
            postgres::ConnectionSettings settings;
            settings.application_name = "second submitter";
            postgres::Connection connection(scene.url(), settings);
            theirs = create(connection, "[" + request(key, "c") + "]");
        });
        const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
        int waiting = 0;
        while (waiting == 0 && std::chrono::steady_clock::now() < limit) {
            waiting = static_cast<int>(scene.number(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'second submitter' AND "
                "datname = current_database() AND wait_event_type = 'Lock'"));
        }
        EXPECT_EQ(waiting, 1);
        first_commits ? transaction.commit() : transaction.roll_back();
        second.join();
        const auto id = mine.substr(0, mine.find('|'));
        EXPECT_EQ(mine, id + "|false|2|-");
        if (first_commits) {
            EXPECT_EQ(theirs, id + "|true|2|-");
        } else {
            EXPECT_NE(theirs.find("|false|2|-"), std::string::npos) << theirs;
        }
    }
    EXPECT_EQ(scene.number("SELECT count(*) FROM tasker_tasks"), 2);
}

TEST_F(CreateTasks, WakesTheOrchestratorWithTheKeysOfTheRoots) {
    postgres::Connection listener(scene.url());
    listener.listen("tasker_wake");
    const auto pair = scene.draw("pair", "a @A\nb @B <- a\n");
    scene.submit(pair);
    scene.submit(pair, R"({"not_before":"2999-01-01T00:00:00Z"})");
    std::vector<std::string> payloads;
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (payloads.size() < 3 && std::chrono::steady_clock::now() < limit) {
        for (const auto& notification : listener.take_notifications())
            payloads.push_back(notification.payload);
    }
    const auto shard = scene.one("SELECT shard FROM tasker_tasks ORDER BY task_id LIMIT 1");
    // A held task asks for a scan, because only that sets the timer of the next due step anew.
    EXPECT_EQ(
        payloads,
        (std::vector<std::string>{
            "templates", "keys:" + std::to_string(scene.key_of("A")) + ";from:0:1;shard:" + shard, "scan"}));
}

TEST_F(CreateTasks, ChangedContentBecomesTheNextRevisionAndOldTasksKeepTheirs) {
    const auto before = scene.submit(template_id);
    EXPECT_EQ(scene.draw("chain", "a\nb <- a\n"), template_id) << "unchanged content is left alone";
    const auto changed = scene.draw("chain", "a\nb <- a\nc <- b\n");
    EXPECT_NE(changed, template_id);
    const auto after = scene.submit(changed);
    EXPECT_EQ(scene.list("SELECT template_revision || ':' || open_steps FROM tasker_tasks ORDER BY task_id"),
              "1:2 2:3");
    EXPECT_NE(before, after);
    EXPECT_EQ(create(R"([{"namespace":"shop","name":"chain"}])"), "3|false|3|-")
        << "the newest revision counts";
}

TEST_F(CreateTasks, ADefinitionThatIsThereDrawsNoId) {
    const auto drawn = [this] {
        return scene.list(
            "SELECT sequencename || '=' || coalesce(last_value, 0) FROM pg_sequences WHERE sequencename ~ "
            "'^tasker_(task_namespaces|named_|dependent_systems|handler_keys)' ORDER BY 1");
    };
    const auto before = drawn();
    EXPECT_NE(scene.draw("chain", "a limit=7\nb <- a\n"), template_id) << "a new revision, of the same steps";
    EXPECT_EQ(drawn(), before);
    EXPECT_EQ(scene.list("SELECT default_retry_limit FROM tasker_named_tasks_named_steps ORDER BY id"),
              "7 3");
    scene.draw("chain", "a limit=7\nb <- a\nc <- b\n");
    EXPECT_EQ(scene.list("SELECT named_step_id FROM tasker_named_steps ORDER BY 1"), "1 2 3")
        << "no number is left out";
}

}  // namespace
}  // namespace tasker::store
