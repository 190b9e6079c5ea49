#include "orchestrator/engine/upkeep/worker_rows.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace tasker::engine {
namespace {

std::vector<core::SessionView> views(std::size_t count) {
    std::vector<core::SessionView> all(count);
    for (std::size_t i = 0; i < count; ++i) all[i].spec.session = std::to_string(1000 + i);
    return all;
}

TEST(WorkerRows, OfFewSessionsEachIsWrittenEachTime) {
    WorkerRows rows;
    for (int round = 0; round < 3; ++round) {
        EXPECT_EQ(rows.take_due(views(kRefreshedAtOnce)).size(), kRefreshedAtOnce);
    }
}

TEST(WorkerRows, WhatChangedIsWrittenAtOnceAndTheOthersInTurn) {
    WorkerRows rows;
    auto all = views(1000);
    EXPECT_EQ(rows.take_due(all).size(), 1000U) << "all are new";
    all[900].in_flight = 1;
    all[901].state = core::SessionState::lost;
    all[902].spec.handlers = {"New"};
    all[903].free = 3;
    all[904].heartbeat_age = core::milliseconds(900);
    const auto second = rows.take_due(all);
    ASSERT_EQ(second.size(), 4U + kRefreshedAtOnce);
    for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(second[i].spec.session, all[900 + i].spec.session);
    std::map<std::string, int> written;
    for (const auto& view : second) ++written[view.spec.session];
    for (int round = 0; round < 4; ++round) {
        for (const auto& view : rows.take_due(all)) ++written[view.spec.session];
    }
    EXPECT_EQ(written.size(), 1000U) << "none is forgotten";
    for (const auto& [session, times] : written) EXPECT_LE(times, 2) << session;
}

TEST(WorkerRows, WhoCameBackOrMayNotHaveBeenWrittenIsNew) {
    WorkerRows rows;
    const auto all = views(500);
    rows.take_due(all);
    rows.take_due(views(400));
    const auto back = rows.take_due(all);
    EXPECT_EQ(back.size(), 100U + kRefreshedAtOnce);
    rows.forget();
    EXPECT_EQ(rows.take_due(all).size(), 500U);
}

}  // namespace
}  // namespace tasker::engine
