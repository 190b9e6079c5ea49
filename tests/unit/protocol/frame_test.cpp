#include "protocol/cpp/frame.hpp"

#include <gtest/gtest.h>

#include "tests/unit/protocol/samples.hpp"

namespace tasker::protocol {
namespace {

TEST(Frame, SplitsAtTheFirstSpace) {
    const auto frame = split_frame("results  {\"a b\": 1}");
    ASSERT_TRUE(frame);
    EXPECT_EQ(frame->topic, "results");
    EXPECT_EQ(frame->body, " {\"a b\": 1}");
    EXPECT_EQ(split_frame("results ")->body, "");
}

TEST(Frame, WithoutTopicOrSpaceIsBad) {
    for (const char* bytes : {"", "results", " {}", "{}"}) {
        const auto frame = split_frame(bytes);
        ASSERT_FALSE(frame) << bytes;
        EXPECT_EQ(frame.error().code, ErrorCode::bad_frame);
    }
}

TEST(Frame, MakeAndSplitAreInverse) {
    const std::string bytes = make_frame(steps_topic(testing::kSession), "{\"x\": 1}");
    EXPECT_EQ(bytes, "steps.00ff12ab34cd56ef {\"x\": 1}");
    EXPECT_EQ(split_frame(bytes)->topic, "steps.00ff12ab34cd56ef");
    EXPECT_EQ(split_frame(bytes)->body, "{\"x\": 1}");
}

TEST(Topic, TheFiveFormsAndNothingElse) {
    EXPECT_EQ(parse_topic("steps")->kind, TopicKind::plain_steps);
    EXPECT_EQ(parse_topic("workers")->kind, TopicKind::workers);
    EXPECT_EQ(parse_topic("results")->kind, TopicKind::results);
    EXPECT_EQ(parse_topic("steps.00ff12ab34cd56ef")->kind, TopicKind::session_steps);
    EXPECT_EQ(parse_topic("control.00ff12ab34cd56ef")->kind, TopicKind::session_control);
    EXPECT_EQ(parse_topic("control.00ff12ab34cd56ef")->session, "00ff12ab34cd56ef");
    for (const char* text :
         {"", "step", "stepss", "steps.", "steps.00ff12ab34cd56e", "steps.00ff12ab34cd56ef0",
          "steps.00FF12AB34CD56EF", "control", "control.", "Results", "results.00ff12ab34cd56ef"}) {
        EXPECT_FALSE(parse_topic(text)) << text;
    }
}

TEST(Topic, SubscriptionsEndInASpaceSoThatOneIsNoPrefixOfAnother) {
    EXPECT_EQ(steps_subscription(testing::kSession), "steps.00ff12ab34cd56ef ");
    EXPECT_EQ(control_subscription(testing::kSession), "control.00ff12ab34cd56ef ");
    EXPECT_EQ(control_topic(testing::kSession), "control.00ff12ab34cd56ef");
}

TEST(Topic, EveryMessageBelongsOnItsTopicsOnly) {
    constexpr TopicKind kKinds[] = {TopicKind::plain_steps, TopicKind::session_steps,
                                    TopicKind::session_control, TopicKind::workers, TopicKind::results};
    for (const WorkerMessage& message : testing::worker_messages()) {
        const std::string_view type = message_type_of(message);
        const bool report =
            type == "partial_result" || type == "batch_completion" || type == "step_batch_response";
        for (const TopicKind kind : kKinds) {
            EXPECT_EQ(belongs_on(kind, message), kind == (report ? TopicKind::results : TopicKind::workers))
                << type;
        }
    }
    for (const OrchestratorMessage& message : testing::orchestrator_messages()) {
        const std::string_view type = message_type_of(message);
        for (const TopicKind kind : kKinds) {
            bool expected = kind == TopicKind::session_control;
            if (type == "step_batch_request") {
                expected = kind == TopicKind::plain_steps || kind == TopicKind::session_steps;
            }
            if (type == "probe") expected = kind == TopicKind::session_steps;
            EXPECT_EQ(belongs_on(kind, message), expected) << type;
        }
    }
}

TEST(Topic, SessionIds) {
    EXPECT_TRUE(is_session_id("0123456789abcdef"));
    for (const char* text :
         {"", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF", "0123456789abcde "}) {
        EXPECT_FALSE(is_session_id(text)) << text;
    }
}

}  // namespace
}  // namespace tasker::protocol
