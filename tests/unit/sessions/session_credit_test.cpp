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
    EXPECT_EQ(registry_.sanity_check().value_or("sane"), "sane");
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
    EXPECT_EQ(registry_.sanity_check().value_or("sane"), "sane");
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
    SessionRegistry registry{RegistrySettings{.nonce_prefix = "n"}};
    const milliseconds now{1};
    registry.on_hello(spec(kA, 1, 1), now);
    registry.settle({}, {{"b1", kA, "Echo", {1, 2}}});
    EXPECT_NE(registry.sanity_check(), std::nullopt);
}

// Random events, all invariants after each; ends with all credit returned.
TEST_F(RegistryTest, CreditSurvivesAnyOrderOfEvents) {
    const auto seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const auto pick = [&](int n) { return std::uniform_int_distribution<int>(0, n - 1)(random); };
    const std::vector<std::string> sessions = {kA, kB, "00000000000000cc"};
    std::vector<std::string> batches;
    std::map<std::string, int> subscribed;
    std::vector<std::vector<CreditOffer>> open;
    int named = 0;
    for (int i = 0; i < 20'000; ++i) {
        const std::string& session = sessions[static_cast<std::size_t>(pick(3))];
        const std::string uuid =
            batches.empty() ? "none"
                            : batches[static_cast<std::size_t>(pick(static_cast<int>(batches.size())))];
        switch (pick(16)) {
            case 0:
                registry_.on_hello(spec(session, 1 + pick(6)), now_);
                break;
            case 1:
                if (subscribed[session] < 2) ++subscribed[session], registry_.on_subscribed(session, now_);
                break;
            case 2:
                if (subscribed[session] > 0) --subscribed[session], registry_.on_unsubscribed(session, now_);
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
            case 6:
                registry_.on_heartbeat(session, {{{uuid, pick(4)}}, {{uuid, pick(4)}}, {}}, now_);
                break;
            case 7:
                pass(pick(4000));
                break;
            case 8:
                open.push_back(registry_.reserve(now_));
                break;
            case 9:
            case 10: {
                if (open.empty()) break;
                std::vector<TakenBatch> taken;
                for (const auto& offer : open.back()) {
                    TakenBatch batch{"b" + std::to_string(++named), std::string(offer.session), "Echo", {}};
                    for (int step = 0; step < std::min(offer.free, pick(5)); ++step)
                        batch.step_ids.push_back(step);
                    if (batch.step_ids.empty()) continue;
                    batches.push_back(batch.batch_uuid);
                    taken.push_back(std::move(batch));
                }
                registry_.settle(open.back(), std::move(taken));
                open.pop_back();
                break;
            }
            case 11:
                batches.push_back("b" + std::to_string(++named));
                if (pick(20) == 0) registry_.adopt({batches.back(), session, "Echo", {0, 1}});
                break;
            case 12:
                registry_.give_back(uuid, pick(4), pick(5) == 0);
                break;
            case 13:
                registry_.forget(uuid);
                break;
            case 14:
                registry_.pause(session);
                break;
            default:
                for (const auto& probe : registry_.advance(now_)) {
                    if (pick(3) == 0) continue;
                    registry_.on_ready(probe.session, probe.nonce, {{{uuid, pick(4)}}, {}, {}}, now_);
                }
        }
        const auto problem = registry_.sanity_check();
        ASSERT_EQ(problem.value_or("sane"), "sane") << "after event " << i;
    }
    for (auto& offers : open) registry_.settle(offers, {});
    for (const auto& uuid : batches) registry_.forget(uuid);
    for (const auto& session : sessions) registry_.on_heartbeat(session, {}, now_);
    for (const auto& session : sessions) registry_.on_goodbye(session, now_);
    EXPECT_EQ(registry_.credit_in_flight(), 0);
    EXPECT_EQ(registry_.flights().size(), 0U);
}

}  // namespace
}  // namespace tasker::core
