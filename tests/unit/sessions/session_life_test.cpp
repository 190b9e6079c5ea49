// The life of sessions alone: no credit, no batches. What changed is compared as text.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "orchestrator/core/sessions/life.hpp"
#include "tests/unit/sessions/registry_fixture.hpp"
#include "tests/unit/sessions/sanity.hpp"

namespace tasker::core {
namespace {

class SessionLifeTest : public ::testing::Test {
  protected:
    ~SessionLifeTest() override { EXPECT_EQ(sanity_check(life_).value_or("sane"), "sane"); }

    void pass(int ms) { now_ += milliseconds{ms}; }
    std::string probe_of(const std::string& session) {
        for (const auto& probe : life_.advance(now_, now_)) {
            if (probe.session == session) return probe.nonce;
        }
        return "";
    }
    void make_ready(const std::string& session) {
        ASSERT_EQ(life_.on_hello(spec(session), now_), HelloVerdict::accepted);
        life_.on_subscribed(session, now_);
        ASSERT_TRUE(life_.on_ready(session, probe_of(session), now_));
        ASSERT_TRUE(life_.find(session)->takes_work());
    }
    // "from>to by event" of each change since the last call.
    std::string changes() {
        std::string text;
        for (const auto& change : life_.take_changes()) {
            text += (text.empty() ? "" : ", ") + std::string(to_text(change.from)) + ">" +
                    std::string(to_text(change.to)) + " by " + std::string(to_text(change.event));
        }
        return text;
    }

    milliseconds now_{1'000'000};
    SessionLife life_{LifeSettings{.nonce_prefix = "n"}};
};

TEST_F(SessionLifeTest, EachChangeIsReportedOnceAndInOrder) {
    make_ready(kA);
    EXPECT_EQ(changes(), "greeted>greeted by hello, greeted>ready by probe_answered");
    EXPECT_EQ(changes(), "");
    life_.on_heartbeat(kA, now_);
    life_.on_heard(kA, now_);
    EXPECT_EQ(changes(), "") << "a sign of life changes nothing";
    life_.on_unsubscribed(kA, now_);
    pass(2000);
    life_.advance(now_, now_);
    EXPECT_EQ(changes(), "ready>suspect by unsubscribed, suspect>lost by grace_ended");
    life_.on_heartbeat(kA, now_);
    EXPECT_EQ(changes(), "lost>greeted by heard");
    life_.on_drain(kA, now_);
    life_.on_goodbye(kA, now_, true);
    const auto last = life_.take_changes();
    ASSERT_EQ(last.size(), 2U);
    EXPECT_EQ(last[0].to, SessionState::draining);
    EXPECT_EQ(last[1].to, SessionState::left);
    EXPECT_TRUE(last[1].drained);
    EXPECT_EQ(last[1].worker_id, "worker-aa");
}

TEST_F(SessionLifeTest, ASessionThatIsHeardAndNeverShowsWhatItHasIsLost) {
    make_ready(kA);
    make_ready(kB);
    life_.take_changes();
    for (int second = 1; second < 64; ++second) {
        pass(1000);
        life_.on_heard(kA, now_);
        life_.on_heartbeat(kA, now_, /*is_recent=*/false);
        life_.on_hello(spec(kA), now_);
        life_.on_heartbeat(kB, now_, /*is_recent=*/true);
        life_.advance(now_, now_);
        ASSERT_FALSE(life_.is_gone(kA, now_)) << second;
    }
    EXPECT_LE(life_.next_check(), now_ + milliseconds{1000});
    pass(1000);
    life_.on_heard(kA, now_);
    life_.on_heard(kB, now_);
    life_.advance(now_, now_);
    EXPECT_TRUE(life_.is_gone(kA, now_));
    EXPECT_FALSE(life_.is_gone(kB, now_));
    EXPECT_NE(changes().find("greeted>lost by unproven"), std::string::npos);
    pass(1000);
    life_.on_heartbeat(kA, now_, /*is_recent=*/false);
    life_.advance(now_, now_);
    EXPECT_FALSE(life_.is_gone(kA, now_)) << "it is given the same time again";
}

TEST_F(SessionLifeTest, ASessionLostByItsGraceMayReturnUntilItsLeaseEnds) {
    make_ready(kA);
    life_.on_unsubscribed(kA, now_);
    pass(2000);
    life_.advance(now_, now_);
    EXPECT_TRUE(life_.is_gone(kA, now_));
    EXPECT_TRUE(life_.may_return(kA, now_));
    life_.take_changes();
    pass(5999);
    life_.advance(now_, now_);
    EXPECT_TRUE(life_.may_return(kA, now_));
    EXPECT_EQ(changes(), "");
    EXPECT_EQ(life_.next_check(), now_ + milliseconds{1});
    pass(1);
    life_.advance(now_, now_);
    EXPECT_FALSE(life_.may_return(kA, now_));
    EXPECT_EQ(changes(), "lost>lost by lease_ended") << "what waited for it is given up";
    pass(1000);
    life_.advance(now_, now_);
    EXPECT_EQ(changes(), "") << "once";
}

TEST_F(SessionLifeTest, NoOtherLossMayReturn) {
    make_ready(kA);
    make_ready(kB);
    life_.on_goodbye(kA, now_, false);
    EXPECT_FALSE(life_.may_return(kA, now_));
    pass(8000);
    life_.advance(now_, now_);
    EXPECT_TRUE(life_.is_gone(kB, now_));
    EXPECT_FALSE(life_.may_return(kB, now_));
    EXPECT_FALSE(life_.may_return("0000000000000000", now_));
}

TEST_F(SessionLifeTest, APauseOfThisProcessProlongsAReturnToo) {
    make_ready(kA);
    life_.on_unsubscribed(kA, now_);
    pass(2000);
    life_.advance(now_, now_);
    pass(60'000);
    life_.restart_leases(now_);
    EXPECT_TRUE(life_.may_return(kA, now_));
    life_.on_heartbeat(kA, now_);
    EXPECT_FALSE(life_.may_return(kA, now_)) << "it is back";
    EXPECT_FALSE(life_.is_gone(kA, now_));
}

TEST_F(SessionLifeTest, FaultsAreCountedByKind) {
    make_ready(kA);
    EXPECT_EQ(life_.record_fault(kA, SessionFault::too_large), 1);
    EXPECT_EQ(life_.record_fault(kA, SessionFault::too_large), 2);
    EXPECT_EQ(life_.record_fault(kA, SessionFault::broken_promise), 1);
    EXPECT_EQ(life_.record_fault(kB, SessionFault::too_large), 0) << "nobody";
    EXPECT_EQ(life_.find(kA)->faults, (FaultCounts{2, 0, 0, 1}));
}

TEST(InventoryIndexTest, AnswersAsTheInventoryDoes) {
    const Inventory inventory{{{"b1", 1}}, {{"b1", 2}}, {{"b1", 3}, {"b1", 2}, {"b2", 1}}};
    const InventoryIndex index(inventory);
    for (const char* batch : {"b1", "b2", "b3"}) {
        for (std::int64_t step = 0; step < 5; ++step) {
            EXPECT_EQ(index.lists(batch, step), inventory.lists(batch, step)) << batch << step;
            EXPECT_EQ(index.occupies(batch, step), inventory.occupies(batch, step)) << batch << step;
        }
    }
}

TEST_F(SessionLifeTest, ALossThatIsNoGoodbyeIsNotDrained) {
    make_ready(kA);
    pass(8000);
    life_.advance(now_, now_);
    EXPECT_FALSE(life_.take_changes().back().drained);
}

TEST_F(SessionLifeTest, APauseEndsWithTheNextHeartbeatOrProbe) {
    make_ready(kA);
    life_.pause(kA);
    EXPECT_FALSE(life_.find(kA)->takes_work());
    life_.on_heard(kA, now_);
    EXPECT_FALSE(life_.find(kA)->takes_work());
    life_.on_heartbeat(kA, now_);
    EXPECT_TRUE(life_.find(kA)->takes_work());
    life_.pause(kA);
    life_.on_batch_ignored(kA, now_);
    pass(2000);
    ASSERT_TRUE(life_.on_ready(kA, probe_of(kA), now_));
    EXPECT_TRUE(life_.find(kA)->takes_work());
    EXPECT_EQ(changes(),
              "greeted>greeted by hello, greeted>ready by probe_answered, ready>suspect by batch_ignored, "
              "suspect>ready by probe_answered");
}

TEST_F(SessionLifeTest, ARemovedHandlerIsServedAgainAfterTheNextHello) {
    make_ready(kA);
    const KnownSession& session = *life_.find(kA);
    EXPECT_TRUE(session.serves("shop", "Order::Pay"));
    EXPECT_FALSE(session.serves("other", "Order::Pay"));
    EXPECT_TRUE(life_.remove_handler(kA, "Order::Pay"));
    EXPECT_FALSE(life_.remove_handler(kA, "Order::Pay")) << "it is removed already";
    EXPECT_FALSE(life_.remove_handler(kB, "Order::Pay"));
    EXPECT_FALSE(session.serves("shop", "Order::Pay"));
    EXPECT_TRUE(session.serves("shop", "Order::Ship"));
    life_.on_hello(spec(kA), now_);
    EXPECT_TRUE(session.serves("shop", "Order::Pay"));
}

TEST_F(SessionLifeTest, ALostSessionIsForgettableAfterItsTimeAndStaysUntilItIsForgotten) {
    make_ready(kA);
    make_ready(kB);
    life_.on_goodbye(kA, now_, false);
    const auto still_there = [&] {
        life_.on_heartbeat(kB, now_);
        life_.advance(now_, now_);
    };
    pass(599'999);
    still_there();
    EXPECT_TRUE(life_.forgettable(now_).empty());
    pass(1);
    EXPECT_EQ(life_.forgettable(now_), std::vector<std::string>{kA});
    still_there();
    EXPECT_EQ(life_.forgettable(now_), std::vector<std::string>{kA}) << "nobody has forgotten it";
    EXPECT_EQ(life_.next_check(), now_ + milliseconds{50})
        << "the caller looks again soon, and does not spin";
    life_.forget(kA);
    EXPECT_TRUE(life_.forgettable(now_).empty());
    EXPECT_EQ(life_.find(kA), nullptr);
    still_there();
    EXPECT_EQ(life_.next_check(), now_ + milliseconds{3000}) << "only the other session is left";
}

TEST_F(SessionLifeTest, ASessionThatCameBackIsNotForgettable) {
    make_ready(kA);
    pass(8000);
    life_.advance(now_, now_);
    pass(599'000);
    life_.on_heartbeat(kA, now_);
    pass(1000);
    EXPECT_TRUE(life_.forgettable(now_).empty());
}

TEST_F(SessionLifeTest, TheEndOfReturnsComesOnceAndMovesWithAPauseOfThisProcess) {
    life_.open_returns(now_ + milliseconds{8000});
    life_.advance(now_, now_);
    EXPECT_EQ(life_.next_check(), now_ + milliseconds{8000});
    EXPECT_FALSE(life_.is_gone(kA, now_)) << "it may still come back";
    pass(7000);
    life_.restart_leases(now_);
    pass(7999);
    EXPECT_FALSE(life_.take_end_of_returns(now_));
    EXPECT_FALSE(life_.returns_are_over());
    pass(1);
    EXPECT_TRUE(life_.is_gone(kA, now_));
    EXPECT_TRUE(life_.take_end_of_returns(now_));
    EXPECT_FALSE(life_.take_end_of_returns(now_)) << "once";
    EXPECT_TRUE(life_.returns_are_over());
}

TEST_F(SessionLifeTest, UnknownSessionsChangeNothing) {
    life_.on_unsubscribed(kA, now_);
    EXPECT_FALSE(life_.on_ready(kA, "n1", now_));
    EXPECT_FALSE(life_.on_heartbeat(kA, now_));
    life_.on_heard(kA, now_);
    life_.on_goodbye(kA, now_, true);
    life_.on_drain(kA, now_);
    life_.on_batch_ignored(kA, now_);
    life_.on_batch_accepted(kA);
    life_.pause(kA);
    life_.forget(kA);
    EXPECT_TRUE(life_.sessions().empty());
    EXPECT_EQ(changes(), "");
    EXPECT_EQ(life_.next_check(), milliseconds::max());
}

// Random events. `advance` is called exactly when `next_check` asks for it.
class RandomLife {
  public:
    explicit RandomLife(unsigned seed) : random_(seed) {}

    void event() {
        const std::string& session = sessions_[static_cast<std::size_t>(pick(3))];
        switch (pick(8)) {
            case 0:
                life_.on_hello(spec(session), now_);
                break;
            case 1:
                if (subscribed_[session] < 2) ++subscribed_[session], life_.on_subscribed(session, now_);
                break;
            case 2:
                if (subscribed_[session] > 0) --subscribed_[session], life_.on_unsubscribed(session, now_);
                break;
            case 3:
                if (pick(4) == 0) life_.on_goodbye(session, now_, pick(2) == 0);
                break;
            case 4:
                life_.on_ready(session, nonces_[session], now_);
                break;
            case 5:
                if (pick(4) == 0) life_.on_batch_ignored(session, now_);
                break;
            default:
                life_.on_heartbeat(session, now_);
        }
    }

    // Up to 1.5 s pass.
    void pass_time() {
        const milliseconds until = now_ + milliseconds{pick(1500)};
        while (life_.next_check() <= until && !::testing::Test::HasFailure()) {
            now_ = std::max(now_, life_.next_check());
            ++checks_;
            for (const auto& name : life_.forgettable(now_)) life_.forget(name);
            for (const auto& probe : life_.advance(now_, now_)) nonces_[probe.session] = probe.nonce;
            ASSERT_GT(life_.next_check(), now_) << "it would spin";
        }
        now_ = until;
    }

    // No deadline has been missed.
    void check() const {
        for (const auto& [name, known] : life_.sessions()) {
            if (has_ended(known.state)) continue;
            const milliseconds silent = now_ - known.last_heard;
            ASSERT_LT(silent, milliseconds{8000}) << name << " outlived its lease";
            if (known.state == SessionState::ready) {
                ASSERT_LT(silent, milliseconds{3000}) << name << " is silent and ready";
            }
            if (known.unsubscribed_at) {
                ASSERT_LT(now_ - *known.unsubscribed_at, milliseconds{2000}) << name << " outlived its grace";
            }
        }
        ASSERT_EQ(sanity_check(life_).value_or("sane"), "sane");
    }

    int checks() const { return checks_; }

  private:
    int pick(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }

    std::mt19937 random_;
    SessionLife life_{LifeSettings{.lost_kept = milliseconds{20'000}, .nonce_prefix = "n"}};
    milliseconds now_{1'000'000};
    const std::vector<std::string> sessions_ = {kA, kB, "00000000000000cc"};
    std::map<std::string, std::string> nonces_;
    std::map<std::string, int> subscribed_;
    int checks_ = 0;
};

TEST(SessionLifeAtRandom, EveryDeadlineIsMetWithFewChecks) {
    const auto seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomLife random(seed);
    const int events = 20'000;
    for (int i = 0; i < events && !::testing::Test::HasFailure(); ++i) {
        SCOPED_TRACE("event " + std::to_string(i));
        random.event();
        random.pass_time();
        random.check();
    }
    EXPECT_LT(random.checks(), 4 * events);
}

}  // namespace
}  // namespace tasker::core
