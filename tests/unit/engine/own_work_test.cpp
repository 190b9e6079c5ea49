// What a lane writes by itself, without a database, a mailbox or a thread.
#include "orchestrator/engine/turns/own_work.hpp"

#include <gtest/gtest.h>

#include <map>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "tests/unit/engine/messages.hpp"

namespace tasker::engine {
namespace {

using std::chrono::milliseconds;

class OwnWorkTest : public ::testing::Test {
  protected:
    OwnWorkTest() {
        for (const auto* uuid : {"late", "gone", "unsent", "silent"}) {
            known[uuid] = batch_of({1, 2}, std::string("of-") + uuid, uuid);
        }
        known["silent"].state = core::BatchState::completed;
    }

    TurnDraft written() {
        DraftContext context;
        context.find_batch = [this](const std::string& uuid) -> const OpenBatch* {
            const auto found = known.find(uuid);
            return found == known.end() ? nullptr : &found->second;
        };
        context.batches_of = [](const std::string& session) {
            return session == "of-gone" ? std::vector<std::string>{"gone"} : std::vector<std::string>{};
        };
        context.random = [] { return 0.5; };
        TurnDraft draft(std::move(context));
        work.put_into(draft);
        draft.close();
        return draft;
    }

    static constexpr milliseconds kNow{1'000'000};
    std::map<std::string, OpenBatch> known;
    OwnWork work;
};

TEST_F(OwnWorkTest, IsEmptyAndNeverDueAtFirst) {
    EXPECT_TRUE(work.is_empty());
    EXPECT_EQ(work.next(), milliseconds::max());
    EXPECT_TRUE(work.may_be_written(kNow));
    EXPECT_FALSE(written().input().writes_anything());
}

TEST_F(OwnWorkTest, EachKindAloneIsDueAtOnce) {
    const std::vector<void (*)(OwnWork&)> kinds = {
        [](OwnWork& it) {
            it.add_unsent({"unsent", 1, "undelivered"});
        },
        [](OwnWork& it) { it.add_grace_over("silent"); },
        [](OwnWork& it) {
            it.add_time_out({"late", 1});
        },
        [](OwnWork& it) { it.add_gone_session("of-gone"); },
    };
    for (const auto add : kinds) {
        OwnWork one;
        add(one);
        EXPECT_FALSE(one.is_empty());
        EXPECT_LE(one.next(), kNow);
        one.forget();
        EXPECT_TRUE(one.is_empty());
    }
}

TEST_F(OwnWorkTest, BecomesHandBacksOrphansAndVerdicts) {
    work.add_unsent({"unsent", 1, "request_too_large"});
    work.add_time_out({"late", 2});
    work.add_gone_session("of-gone");
    work.add_grace_over("silent");
    const auto draft = written();
    const auto& input = draft.input();
    ASSERT_EQ(input.hand_backs.size(), 1U);
    EXPECT_EQ(input.hand_backs[0].step_id, 1);
    EXPECT_EQ(input.hand_backs[0].reason, "request_too_large");
    ASSERT_EQ(input.orphans.size(), 3U);
    EXPECT_EQ(input.orphans[0].step_id, 2);
    EXPECT_EQ(input.orphans[0].reason, "timed_out");
    EXPECT_EQ(input.orphans[1].reason, "session_lost");
    EXPECT_EQ(draft.alerts(), std::vector<std::string>{"silent"}) << "its reports never came";
}

TEST_F(OwnWorkTest, StaysUntilItIsForgotten) {
    work.add_time_out({"late", 1});
    EXPECT_EQ(written().input().orphans.size(), 1U);
    EXPECT_EQ(written().input().orphans.size(), 1U) << "the first turn may have failed";
    work.forget();
    EXPECT_FALSE(written().input().writes_anything());
}

TEST_F(OwnWorkTest, AGoneSessionSurvivesThatTheBatchesAreReadBack) {
    work.add_time_out({"late", 1});
    work.add_gone_session("of-gone");
    work.forget_batches();
    const auto draft = written();
    ASSERT_EQ(draft.input().orphans.size(), 2U);
    for (const auto& orphan : draft.input().orphans) EXPECT_EQ(orphan.reason, "session_lost");
}

// Somebody holds one task in a console: its time-out waits, and no other does.
TEST_F(OwnWorkTest, WhatIsLockedDelaysNothingElse) {
    for (std::int64_t id = 1; id <= 100; ++id) work.add_time_out({"late", id});
    constexpr std::int64_t kLocked = 37;
    std::set<std::int64_t> done;
    auto now = kNow;
    int failed = 0;
    known["late"] = batch_of(
        [] {
            std::vector<std::int64_t> ids(100);
            std::iota(ids.begin(), ids.end(), 1);
            return ids;
        }(),
        "of-late", "late");
    for (int turns = 0; turns < 200 && done.size() < 99; ++turns) {
        if (!work.may_be_written(now)) now = work.next();
        const auto draft = written();
        std::set<std::int64_t> ids;
        for (const auto& orphan : draft.input().orphans) ids.insert(orphan.step_id);
        ASSERT_FALSE(ids.empty());
        if (ids.contains(kLocked)) {
            ++failed;
            work.set_aside(now);
        } else {
            done.insert(ids.begin(), ids.end());
            work.forget();
        }
    }
    EXPECT_EQ(done.size(), 99U);
    EXPECT_LE(now - kNow, 2 * kOwnWorkPause);
    EXPECT_LE(failed, 25);
    EXPECT_FALSE(work.is_empty()) << "the locked one is still to be written";
}

TEST_F(OwnWorkTest, APostponedOneWaitsForItsPause) {
    work.add_time_out({"late", 1});
    work.postpone(kNow);
    EXPECT_FALSE(work.may_be_written(kNow));
    EXPECT_EQ(work.next(), kNow + kOwnWorkPause);
    EXPECT_FALSE(work.may_be_written(kNow + kOwnWorkPause - milliseconds(1)));
    EXPECT_TRUE(work.may_be_written(kNow + kOwnWorkPause));
}

TEST_F(OwnWorkTest, APauseIsNoReasonForATurnByItself) {
    work.postpone(kNow);
    EXPECT_EQ(work.next(), milliseconds::max());
}

}  // namespace
}  // namespace tasker::engine
