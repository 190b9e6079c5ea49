#include "orchestrator/engine/turns/request_builder.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/unit/engine/fakes.hpp"

namespace tasker::engine {
namespace {

class Requests : public ::testing::Test {
  protected:
    Requests() { keys.replace({{1, "shop", "Pay"}}); }

    RequestBuilder builder(std::int64_t batch_bytes_max = 1 << 20) {
        return {protocol::Envelope{"o-1", 3}, "uuid-1", batch_bytes_max};
    }
    static ports::ClaimedStep claim(std::int64_t step_id, std::int64_t batch_id = 1) {
        auto step = FakeDatabase::claim(step_id, 1);
        step.batch_id = batch_id;
        step.batch_uuid = "batch-" + std::to_string(batch_id);
        return step;
    }

    HandlerKeys keys;
    FakeDatabase database;
    FakeStore store{database};
};

TEST_F(Requests, CarryWhatTheStepNeeds) {
    auto step = claim(5);
    step.attempt = 2;
    step.context_json = R"({"order": 17})";
    step.previous_results_json = R"({"before" : {"x": 1.50}})";
    step.claim_first = true;
    const auto built = builder().build(store, {step}, {"s1"}, keys);
    ASSERT_EQ(built.outbound.size(), 1U);
    EXPECT_EQ(built.outbound[0].session, "s1");
    EXPECT_EQ(built.outbound[0].handler_class, "Pay") << "an unknown_handler rejection looks here";
    EXPECT_EQ(built.outbound[0].steps.at(0).attempt, 2);
    const auto message = nlohmann::json::parse(built.outbound[0].message);
    EXPECT_EQ(message["message_type"], "step_batch_request");
    EXPECT_EQ(message["orchestrator_id"], "o-1");
    EXPECT_EQ(message["epoch"], 3);
    EXPECT_EQ(message["batch_id"], "batch-1");
    EXPECT_EQ(message["handler_class"], "Pay");
    const auto& sent = message["steps"][0];
    EXPECT_EQ(sent["step_id"], 5);
    EXPECT_EQ(sent["task_id"], 7);
    EXPECT_EQ(sent["namespace"], "shop");
    EXPECT_EQ(sent["task_name"], "order");
    EXPECT_EQ(sent["task_version"], "1.0.0");
    EXPECT_EQ(sent["step_name"], "pay");
    EXPECT_EQ(sent["handler_config"]["currency"], "EUR");
    EXPECT_EQ(sent["metadata"]["attempt"], 2);
    EXPECT_EQ(sent["metadata"]["idempotency_key"], "uuid-1-5");
    EXPECT_EQ(sent["metadata"]["claim_first"], true);
    EXPECT_EQ(sent["metadata"]["sequence"], 1);
    EXPECT_EQ(sent["metadata"]["total_steps"], 1);
    EXPECT_EQ(sent["metadata"]["created_at"], step.claimed_at);
}

TEST_F(Requests, PassRawJsonThroughUnchanged) {
    auto step = claim(5);
    step.context_json = "{\"spaces\" :  1.50e3, \"escaped\":\"\\u00e4\"}";
    step.previous_results_json = "{ \"p\" : null }";
    const auto built = builder().build(store, {step}, {"s1"}, keys);
    const auto& text = built.outbound.at(0).message;
    EXPECT_NE(text.find(step.context_json), std::string::npos);
    EXPECT_NE(text.find(step.previous_results_json), std::string::npos);
}

TEST_F(Requests, AreOnePerBatchAndNumberedWithin) {
    auto second = claim(7, 2);
    second.session = 1;
    const auto built = builder().build(store, {claim(5), claim(6), second}, {"s1", "s2"}, keys);
    ASSERT_EQ(built.outbound.size(), 2U);
    EXPECT_EQ(built.outbound[1].session, "s2");
    ASSERT_EQ(built.open.size(), 2U);
    EXPECT_EQ(built.open[0].steps.size(), 2U);
    EXPECT_EQ(built.open[1].session, "s2");
    const auto message = nlohmann::json::parse(built.outbound[0].message);
    EXPECT_EQ(message["steps"][1]["metadata"]["sequence"], 2);
    EXPECT_EQ(message["steps"][1]["metadata"]["total_steps"], 2);
    EXPECT_EQ(database.templates_loaded, 1) << "a revision never changes: once is enough";
}

TEST_F(Requests, ThatAreTooLargeAreToldApartFromThoseThatDoNotFitThisBatch) {
    auto huge = claim(5), medium = claim(6), another = claim(7);
    huge.context_json = R"({"x":")" + std::string(30'000, 'x') + "\"}";
    medium.context_json = R"({"x":")" + std::string(6'000, 'x') + "\"}";
    another.context_json = medium.context_json;
    const auto built = builder(20'000).build(store, {huge, medium, another}, {"s1"}, keys);
    ASSERT_EQ(built.outbound.size(), 1U);
    ASSERT_EQ(built.outbound[0].steps.size(), 1U);
    EXPECT_EQ(built.outbound[0].steps[0].step_id, 6);
    EXPECT_LE(built.outbound[0].message.size(), 20'000U);
    const auto message = nlohmann::json::parse(built.outbound[0].message);
    EXPECT_EQ(message["steps"][0]["metadata"]["total_steps"], 1);
    ASSERT_EQ(built.unsent.size(), 2U);
    EXPECT_EQ(built.unsent[0].step_id, 5);
    EXPECT_EQ(built.unsent[0].reason, "request_too_large");
    EXPECT_EQ(built.unsent[1].step_id, 7);
    EXPECT_EQ(built.unsent[1].reason, "undelivered");
    EXPECT_EQ(built.open.at(0).steps.size(), 3U) << "the rows are committed for all three";
}

TEST_F(Requests, NeverExceedTheLimitAndNeverSplitWithoutNeed) {
    for (const std::size_t size : {10UL, 1'000UL, 5'000UL}) {
        std::vector<ports::ClaimedStep> claims;
        for (int i = 1; i <= 10; ++i) {
            claims.push_back(claim(i));
            claims.back().context_json = R"({"x":")" + std::string(size, 'x') + "\"}";
        }
        const auto limited = builder(30'000).build(store, claims, {"s1"}, keys);
        ASSERT_EQ(limited.outbound.size(), 1U);
        EXPECT_LE(limited.outbound[0].message.size(), 30'000U);
        EXPECT_EQ(limited.outbound[0].steps.size() + limited.unsent.size(), 10U);
        EXPECT_TRUE(builder().build(store, claims, {"s1"}, keys).unsent.empty());
    }
}

TEST_F(Requests, BuiltAgainFromTheTablesAreByteIdentical) {
    auto step = claim(5);
    step.context_json = R"({"order": 17})";
    const auto first = builder().build(store, {step}, {"s1"}, keys).outbound.at(0);
    ports::StoredBatch stored;
    stored.batch_id = step.batch_id;
    stored.batch_uuid = step.batch_uuid;
    stored.session = "s1";
    stored.handler_key = 1;
    ports::StoredBatchStep row;
    row.step_id = 5;
    row.task_id = 7;
    row.attempt = step.attempt;
    row.step_name = step.name;
    row.named_task_id = step.named_task_id;
    row.template_revision = step.template_revision;
    row.retry_limit = step.retry_limit;
    row.timeout_ms = step.timeout_ms;
    row.claimed_at = step.claimed_at;
    row.context_json = step.context_json;
    stored.steps = {row};
    std::vector<UnsentStep> unsent;
    const auto again = builder().rebuild(store, stored, keys, unsent);
    EXPECT_EQ(again.message, first.message);
    EXPECT_EQ(again.handler_class, "Pay");
    EXPECT_TRUE(unsent.empty());
    // What was too large for a message then is so now.
    EXPECT_TRUE(builder(1000).rebuild(store, stored, keys, unsent).steps.empty());
    ASSERT_EQ(unsent.size(), 1U);
    EXPECT_EQ(unsent[0].reason, "request_too_large");
    EXPECT_EQ(unsent[0].step_id, 5);
    // Steps that are settled are not sent again; with none left there is nothing to send.
    stored.steps[0].final_status = "completed";
    EXPECT_TRUE(builder().rebuild(store, stored, keys, unsent).steps.empty());
}

}  // namespace
}  // namespace tasker::engine
