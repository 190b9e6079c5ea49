#include "protocol/cpp/convert.hpp"

#include <gtest/gtest.h>

#include "protocol/cpp/decode.hpp"
#include "protocol/cpp/encode.hpp"
#include "tests/unit/protocol/samples.hpp"

namespace tasker::protocol {
namespace {

TEST(Expand, AnOldResponseBecomesPartialsAndACompletion) {
    Decoder decoder;
    const auto message = decoder.decode_worker_message(
        R"({"message_type":"step_batch_response","batch_id":"0198c5a4-7d1e-7c3a-9f10-2b6d5e4f3a21","results":[)"
        R"({"step_id":41,"status":"completed","output":{"ok":true},"metadata":{"execution_time_ms":12}},)"
        R"({"step_id":42,"status":"failed","error":{"message":"m","error_type":"E","retryable":true},)"
        R"("metadata":{"execution_time_ms":null}},{"step_id":43,"status":"error"},)"
        R"({"step_id":44,"status":"in_progress","metadata":{"execution_time_ms":-3}}]})");
    ASSERT_TRUE(message);
    const ExpandedResponse expanded = expand(std::get<StepBatchResponse>(*message), "old-1", testing::kTime);

    ASSERT_EQ(expanded.partials.size(), 4U);
    for (std::size_t i = 0; i < expanded.partials.size(); ++i) {
        EXPECT_EQ(expanded.partials[i].sequence, static_cast<std::int64_t>(i) + 1);
        EXPECT_EQ(expanded.partials[i].batch_id, testing::kBatch);
        EXPECT_EQ(expanded.partials[i].session, std::nullopt);
        // What the orchestrator makes of it must itself be a good message.
        EXPECT_TRUE(decoder.decode_worker_message(to_json(expanded.partials[i])));
    }
    EXPECT_EQ(expanded.partials[0].output_json, "{\"ok\":true}");
    EXPECT_EQ(expanded.partials[0].execution_time_ms, 12);
    EXPECT_EQ(expanded.partials[1].error->retryable, true);
    EXPECT_EQ(expanded.partials[1].execution_time_ms, 0);
    EXPECT_EQ(expanded.partials[3].execution_time_ms, 0);

    const BatchCompletion& completion = expanded.completion;
    EXPECT_EQ(completion.total_steps, 4);
    EXPECT_EQ(completion.completed_steps, 1);
    EXPECT_EQ(completion.failed_steps, 2);
    EXPECT_EQ(completion.in_progress_steps, 1);
    EXPECT_EQ(completion.sequence, 5);
    EXPECT_EQ(completion.step_summaries[2].final_status, ReportStatus::error);
    EXPECT_TRUE(decoder.decode_worker_message(to_json(completion)));
}

TEST(Expand, AnEmptyResponseIsAnEmptyCompletion) {
    const ExpandedResponse expanded = expand({testing::kBatch, {}}, "old-1", testing::kTime);
    EXPECT_TRUE(expanded.partials.empty());
    EXPECT_EQ(expanded.completion.total_steps, 0);
    EXPECT_EQ(expanded.completion.sequence, 1);
}

}  // namespace
}  // namespace tasker::protocol
