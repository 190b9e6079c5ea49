#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "protocol/cpp/decode.hpp"
#include "protocol/cpp/encode.hpp"
#include "tests/unit/protocol/samples.hpp"

namespace tasker::protocol {
namespace {

TEST(Roundtrip, EveryWorkerMessageComesBackEqual) {
    Decoder decoder;
    std::set<std::string_view> types;
    for (const WorkerMessage& message : testing::worker_messages()) {
        types.insert(message_type_of(message));
        const std::string json = to_json(message);
        const auto again = decoder.decode_worker_message(json);
        ASSERT_TRUE(again) << json << "\n" << again.error().field << " " << again.error().message;
        EXPECT_TRUE(*again == message) << json << "\nbecame\n" << to_json(*again);
        EXPECT_EQ(to_json(*again), json);
        EXPECT_EQ(nlohmann::json::parse(json).at("message_type"), message_type_of(message));
    }
    EXPECT_EQ(types.size(), std::variant_size_v<WorkerMessage>);
}

TEST(Roundtrip, EveryOrchestratorMessageComesBackEqual) {
    Decoder decoder;
    std::set<std::string_view> types;
    for (const OrchestratorMessage& message : testing::orchestrator_messages()) {
        types.insert(message_type_of(message));
        const std::string json = to_json(message);
        const auto again = decoder.decode_orchestrator_message(json);
        ASSERT_TRUE(again) << json << "\n" << again.error().field << " " << again.error().message;
        EXPECT_TRUE(*again == message) << json << "\nbecame\n" << to_json(*again);
        EXPECT_EQ(to_json(*again), json);
        const auto parsed = nlohmann::json::parse(json);
        EXPECT_EQ(parsed.at("message_type"), message_type_of(message));
        EXPECT_EQ(parsed.at("orchestrator_id"), "tasker-1");
        EXPECT_EQ(parsed.at("epoch"), 7);
    }
    EXPECT_EQ(types.size(), std::variant_size_v<OrchestratorMessage>);
}

TEST(Roundtrip, RawJsonPassesThroughByteForByte) {
    Decoder decoder;
    const PartialResult report = testing::completed_report();
    const auto decoded = decoder.decode_worker_message(to_json(report));
    ASSERT_TRUE(decoded);
    EXPECT_EQ(std::get<PartialResult>(*decoded).output_json, report.output_json);

    const auto batch = decoder.decode_orchestrator_message(to_json(testing::batch_of_two()));
    ASSERT_TRUE(batch);
    EXPECT_EQ(std::get<StepBatchRequest>(*batch).steps[0].task_context_json, R"({ "order" : "A-17" })");
}

TEST(Roundtrip, ScalarOutputsLoseTheSpaceAroundThem) {
    Decoder decoder;
    PartialResult report = testing::completed_report();
    for (const std::string value : {"0", "-1.5e300", "true", "false", "\"a b\"", "[]", "{}", "[ 1 ]"}) {
        report.output_json = " \n" + value + "\t ";
        const auto decoded = decoder.decode_worker_message(to_json(report));
        ASSERT_TRUE(decoded) << value;
        EXPECT_EQ(std::get<PartialResult>(*decoded).output_json, value);
    }
}

TEST(Roundtrip, ErrorKeepsItsWholeTextAndItsFields) {
    Decoder decoder;
    const PartialResult report = testing::failed_report();
    const auto decoded = decoder.decode_worker_message(to_json(report));
    ASSERT_TRUE(decoded);
    EXPECT_EQ(std::get<PartialResult>(*decoded).error_json, report.error_json);
    EXPECT_EQ(std::get<PartialResult>(*decoded).error, report.error);
}

TEST(Roundtrip, ErrorIsWrittenFromItsFieldsWhenThereIsNoText) {
    Decoder decoder;
    PartialResult report = testing::failed_report();
    report.error_json.clear();
    const auto decoded = decoder.decode_worker_message(to_json(report));
    ASSERT_TRUE(decoded);
    EXPECT_EQ(std::get<PartialResult>(*decoded).error, report.error);
    EXPECT_NE(std::get<PartialResult>(*decoded).error_json, "");
}

TEST(Roundtrip, EmptyRawObjectsOfAStepAreWrittenAsEmptyObjects) {
    Decoder decoder;
    StepBatchRequest batch = testing::batch_of_two();
    batch.steps[0].handler_config_json.clear();
    batch.steps[0].task_context_json.clear();
    batch.steps[0].previous_results_json.clear();
    const auto decoded = decoder.decode_orchestrator_message(to_json(batch));
    ASSERT_TRUE(decoded);
    const StepRequest& step = std::get<StepBatchRequest>(*decoded).steps[0];
    EXPECT_EQ(step.handler_config_json, "{}");
    EXPECT_EQ(step.task_context_json, "{}");
    EXPECT_EQ(step.previous_results_json, "{}");
}

TEST(Roundtrip, NullIsTheSameAsAbsentForOptionalFields) {
    Decoder decoder;
    auto json = nlohmann::json::parse(to_json(testing::failed_report()));
    for (const char* field : {"attempt", "output", "error", "session", "sent_by"}) json[field] = nullptr;
    const auto decoded = decoder.decode_worker_message(json.dump());
    ASSERT_TRUE(decoded);
    PartialResult expected = testing::failed_report();
    expected.attempt.reset();
    expected.session.reset();
    expected.sent_by.reset();
    expected.error.reset();
    expected.error_json.clear();
    EXPECT_EQ(std::get<PartialResult>(*decoded), expected);
}

TEST(Roundtrip, OfAMemberGivenTwiceTheLastCounts) {
    Decoder decoder;
    std::string json = to_json(testing::completed_report());
    json.pop_back();
    const auto later = decoder.decode_worker_message(json + R"(,"step_id":43,"output":null,"attempt":null})");
    ASSERT_TRUE(later);
    EXPECT_EQ(std::get<PartialResult>(*later).step_id, 43);
    EXPECT_EQ(std::get<PartialResult>(*later).output_json, "");
    EXPECT_EQ(std::get<PartialResult>(*later).attempt, std::nullopt);

    const auto other_type =
        decoder.decode_worker_message(json + R"(,"message_type":"goodbye","reason":"r"})");
    ASSERT_TRUE(other_type);
    EXPECT_TRUE(std::holds_alternative<Goodbye>(*other_type));

    const auto mended =
        decoder.decode_worker_message(R"({"worker_id":7,"error":{"message":[1,{"a":2}]},"sequence":0,)" +
                                      json.substr(1) + R"(,"error":null})");
    ASSERT_TRUE(mended) << mended.error().field << " " << mended.error().message;
    EXPECT_EQ(std::get<PartialResult>(*mended), testing::completed_report());

    const auto gone = decoder.decode_worker_message(json + R"(,"worker_id":null})");
    ASSERT_FALSE(gone);
    EXPECT_EQ(gone.error().code, ErrorCode::missing_field);
}

TEST(Roundtrip, MemberNamesMayBeEscaped) {
    Decoder decoder;
    const auto decoded = decoder.decode_worker_message(
        R"({"\u006dessage_type":"Goodbye","session":"00ff12ab34cd56ef","reaso\u006e":"r","\ud800":1})");
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(std::get<Goodbye>(*decoded), (Goodbye{testing::kSession, "r"}));
}

TEST(Roundtrip, VersionIsKeptForTheCallerAndAbsentCountsAsSupported) {
    Decoder decoder;
    ASSERT_TRUE(decoder.decode_worker_message(R"({"message_type":"goodbye","protocol_version":"1.42",)"
                                              R"("session":"00ff12ab34cd56ef","reason":"r"})"));
    EXPECT_EQ(decoder.protocol_version(), "1.42");
    ASSERT_TRUE(decoder.decode_worker_message(
        R"({"message_type":"goodbye","session":"00ff12ab34cd56ef","reason":"r"})"));
    EXPECT_EQ(decoder.protocol_version(), "");
}

TEST(Roundtrip, ReasonsAndStatusesHaveOneSpelling) {
    for (const auto status :
         {ReportStatus::in_progress, ReportStatus::completed, ReportStatus::failed, ReportStatus::error}) {
        EXPECT_EQ(report_status_from_text(to_text(status)), status);
    }
    EXPECT_EQ(report_status_from_text("done"), std::nullopt);
    for (const auto reason : {RejectReason::draining, RejectReason::unknown_handler,
                              RejectReason::over_capacity, RejectReason::too_large, RejectReason::cancelled,
                              RejectReason::start_denied, RejectReason::start_window_missed}) {
        EXPECT_EQ(reject_reason_from_text(to_text(reason)), reason);
    }
    EXPECT_EQ(reject_reason_from_text("no_such_reason"), RejectReason::other);
}

}  // namespace
}  // namespace tasker::protocol
