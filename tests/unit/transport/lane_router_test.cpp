// Which lane hears what.
#include "orchestrator/engine/turns/lane_router.hpp"

#include <gtest/gtest.h>

#include "orchestrator/util/time.hpp"

namespace tasker::engine {
namespace {

constexpr const char* kOfLane0 = "0191b5a0-7c1e-7001-8000-00000000002a";
constexpr const char* kOfLane1 = "0191b5a0-7c1e-7001-8100-00000000002b";

std::vector<ports::Inbound> taken(LaneRouter& router, int lane) {
    std::vector<ports::Inbound> items;
    router.mailbox(lane).take_all(items, std::chrono::milliseconds(0));
    return items;
}

template <typename Message = protocol::PartialResult>
ports::Report report(const std::string& uuid) {
    Message message;
    message.batch_id = uuid;
    return {message, "{}"};
}

TEST(LaneRouterTest, WhatNamesABatchGoesToItsLane) {
    LaneRouter router(2, 10);
    for (const auto* uuid : {kOfLane0, kOfLane1}) {
        const int lane = router.lane_of(uuid);
        EXPECT_EQ(router.lane_for(report(uuid)), lane);
        EXPECT_EQ(router.lane_for(report<protocol::BatchCompletion>(uuid)), lane);
        EXPECT_EQ(router.lane_for(report<protocol::BatchRejected>(uuid)), lane);
        EXPECT_EQ(router.lane_for(report<protocol::StepBatchResponse>(uuid)), lane);
        EXPECT_EQ(router.lane_for(ports::Accepted{"s", uuid}), lane);
        EXPECT_EQ(router.lane_for(ports::Undelivered{"s", uuid}), lane);
        EXPECT_EQ(router.lane_for(ports::StepRunning{uuid, 1, 1, 1}), lane);
        EXPECT_EQ(router.lane_for(ports::NotAccepted{"s", uuid}), lane);
        EXPECT_EQ(router.lane_for(ports::StepsAbsent{"s", uuid, {1}}), lane);
        EXPECT_EQ(router.lane_for(ports::HeldTooLong{"s", uuid, 1, false}), lane);
        EXPECT_EQ(router.lane_for(ports::StartRequested{"s", uuid, 1, 1, 1}), lane);
    }
    EXPECT_EQ(router.lane_for(report("not one of ours")), 0);
    EXPECT_EQ(router.lane_for(ports::Malformed{"", "?", "bad_json", "no"}), 0);
    EXPECT_EQ(router.lane_for(ports::SessionLost{}), LaneRouter::kAllLanes);
    EXPECT_EQ(router.lane_for(ports::CreditAppeared{}), LaneRouter::kAllLanes);
    EXPECT_EQ(router.lane_for(ports::Wake{}), LaneRouter::kAllLanes);
}

TEST(LaneRouterTest, WorkOfOneShardWakesItsLaneOnly) {
    LaneRouter router(2, 10);
    ports::Wake wake;
    wake.keys = {1};
    wake.shard = 63;
    EXPECT_EQ(router.lane_for(wake), 1);
    wake.shard = 62;
    EXPECT_EQ(router.lane_for(wake), 0);
}

TEST(LaneRouterTest, WhatConcernsEverybodyIsToldToAll) {
    LaneRouter router(3, 10);
    router.push_event(ports::SessionLost{"s", "w", "goodbye", 0, true});
    router.push_event(ports::Accepted{"s", kOfLane1});
    router.push_event_to(2, ports::CreditShared{});
    router.push_event_to(2, ports::CreditShared{});
    EXPECT_EQ(taken(router, 0).size(), 1U);
    EXPECT_EQ(taken(router, 1).size(), 2U);
    EXPECT_EQ(taken(router, 2).size(), 2U) << "hints of one kind are one message";
}

TEST(LaneRouterTest, ALaneThatIsFullTakesNothingFromTheOthers) {
    LaneRouter router(2, 1);
    EXPECT_TRUE(router.push_report(report(kOfLane1)));
    EXPECT_FALSE(router.push_report(report(kOfLane1)));
    EXPECT_EQ(router.report_room(1), 0U);
    EXPECT_EQ(router.report_room(0), 1U);
    EXPECT_TRUE(router.push_report(report(kOfLane0)));
}

TEST(LaneRouterTest, ClosingClosesAll) {
    LaneRouter router(2, 1);
    router.close();
    EXPECT_TRUE(router.wait_closed(std::chrono::milliseconds(0)));
    std::vector<ports::Inbound> none;
    EXPECT_FALSE(router.mailbox(0).take_all(none, util::boot_time()));
    EXPECT_FALSE(router.mailbox(1).take_all(none, util::boot_time()));
}

}  // namespace
}  // namespace tasker::engine
