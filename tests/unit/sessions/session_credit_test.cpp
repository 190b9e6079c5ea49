// Credit: taken, given back once, and right after any order of events.
#include <map>
#include <random>

#include "tests/unit/sessions/registry_fixture.hpp"

namespace tasker::core {
namespace {

TEST_F(RegistryTest, CreditIsReservedTakenAndGivenBackOnce) {
    make_ready(kA);
    const auto offers = registry_.reserve(now_);
    ASSERT_EQ(offers.size(), 1U);
    EXPECT_EQ(offers[0].free, 10);
    EXPECT_EQ(offers[0].limit, 10);
    EXPECT_EQ(offers[0].capacity, 5);
    EXPECT_EQ(offers[0].batches_max, 0);
    EXPECT_TRUE(registry_.reserve(now_).empty()) << "reserved for one turn only";
    EXPECT_EQ(sanity_check(registry_).value_or("sane"), "sane");
    registry_.settle(offers, {{"b1", kA, "Echo", {1, 2, 3}}, {"b2", kA, "Echo", {4}}});
    EXPECT_EQ(view(kA).in_flight, 4);
    EXPECT_EQ(view(kA).reserved, 0);
    EXPECT_EQ(free_of(kA), 6);
    registry_.give_back("b1", 2);
    registry_.give_back("b1", 2);
    registry_.give_back("b1", 77);
    EXPECT_EQ(free_of(kA), 7);
    registry_.forget("b1");
    EXPECT_EQ(free_of(kA), 9);
    registry_.forget("b2");
    EXPECT_EQ(registry_.credit_in_flight(), 0);
}

TEST_F(RegistryTest, TheViewCountsAsFreeWhatATurnHasReservedAndNothingWhileTheSessionTakesNothing) {
    make_ready(kA);
    take(kA, "b1", {1, 2, 3});
    const auto offers = registry_.reserve(now_);
    EXPECT_EQ(view(kA).free, 7);
    registry_.settle(offers, {});
    EXPECT_EQ(view(kA).free, 7);
    registry_.pause(kA);
    EXPECT_EQ(view(kA).free, 0);
    registry_.on_heartbeat(kA, {}, now_);
    registry_.on_drain(kA, now_);
    EXPECT_EQ(view(kA).free, 0);
}

TEST_F(RegistryTest, TheViewDoesNotListWhatTheSessionHasRefusedAsUnknown) {
    make_ready(kA);
    auto handlers = view(kA).spec.handlers;
    registry_.remove_handler(kA, "Order::Pay");
    handlers.push_back("!Order::Pay");
    EXPECT_EQ(view(kA).spec.handlers, handlers) << "a wildcard covers it";
    registry_.remove_handler(kA, "Echo");
    std::erase(handlers, "Echo");
    auto left = view(kA).spec.handlers;
    std::erase(left, "!Echo");
    EXPECT_EQ(left, handlers);
}

TEST_F(RegistryTest, ARollbackReturnsTheWholeReservation) {
    make_ready(kA);
    registry_.settle(registry_.reserve(now_), {});
    EXPECT_EQ(free_of(kA), 10);
}

TEST_F(RegistryTest, ABatchForASessionLostMeanwhileHoldsNoCredit) {
    make_ready(kA);
    const auto offers = registry_.reserve(now_);
    registry_.on_goodbye(kA, now_);
    registry_.settle(offers, {{"b1", kA, "Echo", {1}}});
    EXPECT_EQ(registry_.credit_in_flight(), 0);
    EXPECT_EQ(view(kA).reserved, 0);
}

TEST_F(RegistryTest, AdoptedBatchesTakeCreditOfSessionsNotYetKnown) {
    std::vector<std::int64_t> steps;
    for (std::int64_t i = 0; i < 12; ++i) steps.push_back(i);
    registry_.adopt({"b1", kA, "Echo", steps});
    EXPECT_EQ(registry_.credit_in_flight(), 12);
    make_ready(kA);
    EXPECT_EQ(view(kA).in_flight, 12) << "more than the limit of 10 was out before";
    EXPECT_EQ(free_of(kA), 0);
    registry_.give_back("b1", 0);
    registry_.give_back("b1", 1);
    EXPECT_EQ(free_of(kA), 0);
    registry_.give_back("b1", 2);
    EXPECT_EQ(free_of(kA), 1);
}

TEST_F(RegistryTest, ALoweredCapacityLeavesWhatIsOut) {
    make_ready(kA, 5);
    take(kA, "b1", {1, 2, 3, 4, 5, 6});
    registry_.on_hello(spec(kA, 2), now_);
    ASSERT_TRUE(registry_.on_ready(kA, probe_of(kA), {}, now_));
    EXPECT_EQ(free_of(kA), 0);
    EXPECT_EQ(sanity_check(registry_).value_or("sane"), "sane");
    registry_.forget("b1");
    EXPECT_EQ(free_of(kA), 4);
}

TEST_F(RegistryTest, AHandlerThatDidNotStopHoldsItsCredit) {
    make_ready(kA);
    take(kA, "b1", {1});
    registry_.give_back("b1", 1, true);
    EXPECT_EQ(free_of(kA), 9);
    registry_.forget("b1");
    EXPECT_EQ(free_of(kA), 9);
    registry_.on_heartbeat(kA, {{}, {{"b1", 1}}, {}}, now_);
    EXPECT_EQ(free_of(kA), 9);
    registry_.take_credit_appeared();
    registry_.on_heartbeat(kA, {}, now_);
    EXPECT_EQ(free_of(kA), 10);
    EXPECT_TRUE(registry_.take_credit_appeared());
}

TEST_F(RegistryTest, OffersComeInTheOrderOfTheSessions) {
    make_ready(kB);
    make_ready(kA);
    const auto offers = registry_.reserve(now_);
    ASSERT_EQ(offers.size(), 2U);
    EXPECT_EQ(offers[0].session, kA);
    registry_.settle(offers, {});
}

// The sanity check itself must be able to fail.
TEST(RegistrySanity, NoticesMoreThanTheLimit) {
    SessionRegistry registry{settings()};
    const milliseconds now{1};
    registry.on_hello(spec(kA, 1, 1), now);
    registry.settle({}, {{"b1", kA, "Echo", {1, 2}}});
    EXPECT_NE(sanity_check(registry), std::nullopt);
}

class RandomRegistryTest : public RegistryTest {
  protected:
    int pick(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }
    std::string any_batch() {
        return batches_.empty() ? "none"
                                : batches_[static_cast<std::size_t>(pick(static_cast<int>(batches_.size())))];
    }

    void session_event(const std::string& session) {
        switch (pick(7)) {
            case 0:
                registry_.on_hello(spec(session, 1 + pick(6)), now_);
                break;
            case 1:
                if (subscribed_[session] < 2) ++subscribed_[session], registry_.on_subscribed(session, now_);
                break;
            case 2:
                if (subscribed_[session] == 0) break;
                --subscribed_[session], registry_.on_unsubscribed(session, now_);
                break;
            case 3:
                registry_.on_goodbye(session, now_);
                break;
            case 4:
                if (pick(10) == 0) registry_.on_drain(session, now_);
                break;
            case 5:
                registry_.on_batch_ignored(session, now_);
                break;
            default:
                registry_.on_heartbeat(session, {{{any_batch(), pick(4)}}, {{any_batch(), pick(4)}}, {}},
                                       now_);
        }
    }

    void credit_event(const std::string& session) {
        switch (pick(9)) {
            case 0:
                pass(pick(4000));
                break;
            case 1:
                open_.push_back(registry_.reserve(now_));
                break;
            case 2:
            case 3:
                settle();
                break;
            case 4:
                batches_.push_back("b" + std::to_string(++named_));
                if (pick(20) == 0) registry_.adopt({batches_.back(), session, "Echo", {0, 1}});
                break;
            case 5:
                registry_.give_back(any_batch(), pick(4), pick(5) == 0);
                break;
            case 6:
                registry_.forget(any_batch());
                break;
            case 7:
                registry_.pause(session);
                break;
            default:
                for (const auto& probe : registry_.advance(now_, now_)) {
                    if (pick(3) == 0) continue;
                    registry_.on_ready(probe.session, probe.nonce, {{{any_batch(), pick(4)}}, {}, {}}, now_);
                }
        }
    }

    void settle() {
        if (open_.empty()) return;
        std::vector<TakenBatch> taken;
        for (const auto& offer : open_.back()) {
            TakenBatch batch{"b" + std::to_string(++named_), std::string(offer.session), "Echo", {}};
            for (int step = 0; step < std::min(offer.free, pick(5)); ++step) batch.step_ids.push_back(step);
            if (batch.step_ids.empty()) continue;
            batches_.push_back(batch.batch_uuid);
            taken.push_back(std::move(batch));
        }
        registry_.settle(open_.back(), std::move(taken));
        open_.pop_back();
    }

    const unsigned seed_ = std::random_device{}();
    std::mt19937 random_{seed_};
    const std::vector<std::string> sessions_ = {kA, kB, "00000000000000cc"};
    std::vector<std::string> batches_;
    std::map<std::string, int> subscribed_;
    std::vector<std::vector<CreditOffer>> open_;
    int named_ = 0;
};

// Random events, all invariants after each; ends with all credit returned.
TEST_F(RandomRegistryTest, CreditSurvivesAnyOrderOfEvents) {
    SCOPED_TRACE("seed " + std::to_string(seed_));
    for (int i = 0; i < 20'000; ++i) {
        const std::string& session = sessions_[static_cast<std::size_t>(pick(3))];
        pick(16) < 7 ? session_event(session) : credit_event(session);
        ASSERT_EQ(sanity_check(registry_).value_or("sane"), "sane") << "after event " << i;
    }
    for (auto& offers : open_) registry_.settle(offers, {});
    for (const auto& uuid : batches_) registry_.forget(uuid);
    for (const auto& session : sessions_) registry_.on_heartbeat(session, {}, now_);
    for (const auto& session : sessions_) registry_.on_goodbye(session, now_);
    EXPECT_EQ(registry_.credit_in_flight(), 0);
    EXPECT_TRUE(registry_.flights().sessions().empty());
}

}  // namespace
}  // namespace tasker::core
