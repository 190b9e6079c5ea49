#include "protocol/cpp/encode.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "tests/unit/protocol/samples.hpp"

namespace tasker::protocol {
namespace {

std::string escaped(std::string_view text) {
    std::string out;
    append_json_string(out, text);
    return out;
}

TEST(Encode, StringsAreEscapedWhereTheyMustBeAndOnlyThere) {
    EXPECT_EQ(escaped(""), "\"\"");
    EXPECT_EQ(escaped("plain é 🎉 /"), "\"plain é 🎉 /\"");
    EXPECT_EQ(escaped("\"\\\n\r\t"), R"("\"\\\n\r\t")");
    EXPECT_EQ(escaped(std::string_view("\0\x01\x1f\x7f", 4)), "\"\\u0000\\u0001\\u001f\x7f\"");
}

TEST(Encode, EveryByteBelow128ComesBackThroughAnotherParser) {
    std::string all;
    for (char c = 0; c < 127; ++c) all.push_back(c);
    EXPECT_EQ(nlohmann::json::parse(escaped(all)).get<std::string>(), all);
}

TEST(Encode, AppendsToWhatIsThere) {
    std::string out = "control.00ff12ab34cd56ef ";
    encode(out, Heartbeat{{"tasker-1", 7}, 3, {}});
    EXPECT_EQ(out, R"(control.00ff12ab34cd56ef {"message_type":"heartbeat","protocol_version":"1.0",)"
                   R"("orchestrator_id":"tasker-1","epoch":7,"n":3})");
}

TEST(Encode, AppendingDirectlyAfterABraceKeepsTheObjectWhole) {
    std::string out = "{";  // the writer looks back for a brace; it must be its own
    encode(out, BatchAccepted{testing::kSession, testing::kBatch});
    EXPECT_EQ(nlohmann::json::parse(out.substr(1)).at("batch_id"), testing::kBatch);
}

TEST(Encode, ABatchIsItsStepsAsTheyAreEncodedAlone) {
    const StepBatchRequest batch = testing::batch_of_two();
    const std::string whole = to_json(batch);
    EXPECT_NE(whole.find(to_json(batch.steps[0]) + "," + to_json(batch.steps[1])), std::string::npos);
}

TEST(Encode, NumbersAtTheirLimits) {
    PartialResult report = testing::completed_report();
    report.step_id = std::numeric_limits<std::int64_t>::max();
    report.output_json.clear();
    report.error = StepError{"m", "E", {}, {}, 0.1, {}};
    const auto json = nlohmann::json::parse(to_json(report));
    EXPECT_EQ(json.at("step_id"), std::numeric_limits<std::int64_t>::max());
    EXPECT_EQ(json.at("error").at("retry_after_seconds"), 0.1);
    report.error->retry_after_seconds = std::numeric_limits<double>::infinity();
    EXPECT_FALSE(nlohmann::json::parse(to_json(report)).at("error").contains("retry_after_seconds"));
}

}  // namespace
}  // namespace tasker::protocol
