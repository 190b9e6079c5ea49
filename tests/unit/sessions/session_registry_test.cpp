// Handshake, subscriptions, silence, and batches that are not taken.
#include "tests/unit/sessions/registry_fixture.hpp"

namespace tasker::core {
namespace {

// ---------------------------------------------------------------- handshake

TEST_F(RegistryTest, ReadyOnlyByAnsweringTheProbe) {
    registry_.on_hello(spec(kA), now_);
    EXPECT_EQ(probe_of(kA), "") << "nobody hears its steps topic yet";
    registry_.on_subscribed(kA, now_);
    const std::string nonce = probe_of(kA);
    EXPECT_NE(nonce, "");
    EXPECT_EQ(state(kA), SessionState::greeted);
    EXPECT_EQ(free_of(kA), 0);
    EXPECT_FALSE(registry_.on_ready(kA, "another", {}, now_));
    EXPECT_FALSE(registry_.on_ready(kB, nonce, {}, now_));
    EXPECT_TRUE(registry_.on_ready(kA, nonce, {}, now_));
    EXPECT_EQ(state(kA), SessionState::ready);
    EXPECT_TRUE(registry_.take_credit_appeared());
    EXPECT_EQ(free_of(kA), 10);
    EXPECT_FALSE(registry_.on_ready(kA, nonce, {}, now_)) << "a nonce counts once";
}

TEST_F(RegistryTest, TheSubscriptionMayComeBeforeTheHello) {
    registry_.on_subscribed(kA, now_);
    registry_.on_hello(spec(kA), now_);
    EXPECT_NE(probe_of(kA), "");
}

TEST_F(RegistryTest, AnUnansweredProbeIsRepeatedWithItsNonce) {
    registry_.on_subscribed(kA, now_);
    registry_.on_hello(spec(kA), now_);
    const std::string nonce = probe_of(kA);
    EXPECT_EQ(registry_.next_check(), now_ + milliseconds{1000});
    pass(999);
    EXPECT_EQ(probe_of(kA), "");
    pass(1);
    EXPECT_EQ(probe_of(kA), nonce);
}

TEST_F(RegistryTest, AHelloOfAReadySessionMustBeProvenAgain) {
    make_ready(kA);
    registry_.on_hello(spec(kA), now_);
    EXPECT_EQ(state(kA), SessionState::greeted);
    EXPECT_EQ(free_of(kA), 0);
    EXPECT_TRUE(registry_.on_ready(kA, probe_of(kA), {}, now_));
    EXPECT_EQ(free_of(kA), 10);
}

TEST_F(RegistryTest, AnotherProcessWithTheSameSessionIsRefused) {
    make_ready(kA);
    SessionSpec other = spec(kA);
    other.pid = 8;
    EXPECT_EQ(registry_.on_hello(other, now_), HelloVerdict::duplicate_session);
    other = spec(kA);
    other.host = "elsewhere";
    EXPECT_EQ(registry_.on_hello(other, now_), HelloVerdict::duplicate_session);
    EXPECT_EQ(state(kA), SessionState::ready);
    EXPECT_EQ(view(kA).spec.pid, 7);
    pass(8000);
    registry_.advance(now_, now_);
    EXPECT_EQ(state(kA), SessionState::lost);
    EXPECT_EQ(registry_.on_hello(other, now_), HelloVerdict::duplicate_session)
        << "lost, but not free for others";
    EXPECT_EQ(registry_.on_hello(spec(kA), now_), HelloVerdict::accepted);
    EXPECT_EQ(state(kA), SessionState::greeted);
}

// ---------------------------------------------------------------- subscriptions

TEST_F(RegistryTest, UnsubscribingStopsDispatchAtOnceAndEndsInLoss) {
    make_ready(kA);
    take(kA, "b1", {1, 2});
    registry_.on_unsubscribed(kA, now_);
    EXPECT_EQ(state(kA), SessionState::suspect);
    EXPECT_EQ(free_of(kA), 0);
    pass(1999);
    registry_.on_heartbeat(kA, {}, now_);
    registry_.advance(now_, now_);
    EXPECT_EQ(state(kA), SessionState::suspect) << "heartbeats do not prove the steps topic";
    pass(1);
    registry_.advance(now_, now_);
    EXPECT_EQ(state(kA), SessionState::lost);
    const auto changes = registry_.take_changes();
    EXPECT_EQ(changes.back().event, SessionEvent::grace_ended);
    EXPECT_EQ(changes.back().credit_released, 2);
    EXPECT_EQ(registry_.credit_in_flight(), 0);
}

TEST_F(RegistryTest, ResubscribingWithinTheGraceNeedsANewProbe) {
    make_ready(kA);
    registry_.on_unsubscribed(kA, now_);
    pass(500);
    registry_.on_subscribed(kA, now_);
    EXPECT_EQ(state(kA), SessionState::suspect);
    pass(1600);
    const std::string nonce = probe_of(kA);
    EXPECT_EQ(state(kA), SessionState::suspect) << "the grace ended with the new subscription";
    EXPECT_TRUE(registry_.on_ready(kA, nonce, {}, now_));
    EXPECT_EQ(state(kA), SessionState::ready);
}

TEST_F(RegistryTest, AReconnectWhoseOldConnectionEndsLaterStaysSubscribed) {
    make_ready(kA);
    registry_.on_subscribed(kA, now_);
    EXPECT_EQ(state(kA), SessionState::greeted);
    registry_.on_unsubscribed(kA, now_);
    EXPECT_TRUE(registry_.on_ready(kA, probe_of(kA), {}, now_));
    pass(2500);
    registry_.advance(now_, now_);
    EXPECT_EQ(state(kA), SessionState::ready);
}

TEST_F(RegistryTest, AnAnswerToAProbeFromBeforeTheReconnectProvesNothing) {
    registry_.on_hello(spec(kA), now_);
    registry_.on_subscribed(kA, now_);
    const std::string old_nonce = probe_of(kA);
    registry_.on_unsubscribed(kA, now_);
    registry_.on_subscribed(kA, now_);
    EXPECT_FALSE(registry_.on_ready(kA, old_nonce, {}, now_));
    const std::string nonce = probe_of(kA);
    EXPECT_NE(nonce, old_nonce);
    EXPECT_TRUE(registry_.on_ready(kA, nonce, {}, now_));
}

TEST_F(RegistryTest, UnknownSessionsChangeNothing) {
    registry_.on_unsubscribed(kB, now_);
    EXPECT_FALSE(registry_.on_heartbeat(kB, {}, now_));
    registry_.on_heard(kB, now_);
    registry_.on_goodbye(kB, now_);
    registry_.on_drain(kB, now_);
    registry_.on_batch_ignored(kB, now_);
    registry_.on_batch_accepted(kB);
    registry_.remove_handler(kB, "x");
    registry_.pause(kB);
    registry_.give_back("b", 1);
    registry_.give_back_all("b");
    registry_.forget("b");
    EXPECT_TRUE(registry_.snapshot(now_).empty());
    EXPECT_TRUE(registry_.take_changes().empty());
    EXPECT_FALSE(registry_.serves(kB, "shop", "Echo"));
}

// ---------------------------------------------------------------- silence

TEST_F(RegistryTest, SilenceMakesSuspectThenLost) {
    make_ready(kA);
    take(kA, "b1", {1, 2, 3});
    registry_.advance(now_, now_);
    EXPECT_EQ(registry_.next_check(), now_ + milliseconds{3000});
    pass(2999);
    registry_.advance(now_, now_);
    EXPECT_EQ(state(kA), SessionState::ready);
    pass(1);
    registry_.advance(now_, now_);
    EXPECT_EQ(state(kA), SessionState::suspect);
    EXPECT_EQ(free_of(kA), 0);
    EXPECT_EQ(registry_.credit_in_flight(), 3) << "its work may well be running";
    EXPECT_EQ(registry_.next_check(), now_ + milliseconds{5000});
    pass(5000);
    registry_.advance(now_, now_);
    EXPECT_EQ(state(kA), SessionState::lost);
    EXPECT_EQ(registry_.credit_in_flight(), 0);
}

TEST_F(RegistryTest, ASilentSessionIsNotProbedBeforeItIsHeardAgain) {
    make_ready(kA);
    pass(3000);
    EXPECT_EQ(probe_of(kA), "");
    pass(1000);
    EXPECT_EQ(probe_of(kA), "");
    EXPECT_TRUE(registry_.on_heartbeat(kA, {}, now_));
    EXPECT_EQ(state(kA), SessionState::suspect) << "a heartbeat alone does not make ready";
    EXPECT_LE(registry_.next_check(), now_);
    const std::string nonce = probe_of(kA);
    EXPECT_NE(nonce, "");
    EXPECT_TRUE(registry_.on_ready(kA, nonce, {}, now_));
    EXPECT_EQ(state(kA), SessionState::ready);
}

TEST_F(RegistryTest, UnreadMessagesDoNotCountAsSilence) {
    make_ready(kA);
    const milliseconds read_until = now_ + milliseconds{2000};
    pass(9000);
    registry_.advance(now_, read_until);
    EXPECT_EQ(state(kA), SessionState::ready);
    EXPECT_GT(registry_.next_check(), now_) << "must not spin";
    registry_.advance(now_, now_);
    EXPECT_EQ(state(kA), SessionState::lost);
}

TEST_F(RegistryTest, AfterAPauseOfOurOwnAllLeasesBeginAnew) {
    make_ready(kA);
    make_ready(kB);
    registry_.on_unsubscribed(kB, now_);
    pass(30'000);
    registry_.restart_leases(now_);
    registry_.advance(now_, now_);
    EXPECT_EQ(state(kA), SessionState::ready);
    EXPECT_EQ(state(kB), SessionState::suspect);
    pass(2000);
    registry_.advance(now_, now_);
    EXPECT_EQ(state(kB), SessionState::lost);
    EXPECT_EQ(state(kA), SessionState::ready);
}

TEST_F(RegistryTest, ALostSessionThatBeatsIsGreetedAndProbed) {
    make_ready(kA);
    take(kA, "b1", {1, 2, 3});
    pass(8000);
    registry_.advance(now_, now_);
    ASSERT_EQ(state(kA), SessionState::lost);
    EXPECT_TRUE(registry_.on_heartbeat(kA, {}, now_));
    EXPECT_EQ(state(kA), SessionState::greeted);
    const std::string nonce = probe_of(kA);
    // It held on to two of its steps: they take credit again.
    EXPECT_TRUE(registry_.on_ready(kA, nonce, {{{"b1", 1}}, {{"b1", 2}}, {{"b1", 3}}}, now_));
    EXPECT_EQ(view(kA).in_flight, 2);
    EXPECT_EQ(free_of(kA), 8);
    registry_.give_back("b1", 1);
    registry_.give_back("b1", 2);
    EXPECT_EQ(registry_.credit_in_flight(), 0);
}

TEST_F(RegistryTest, GoodbyeIsFinalUntilTheNextHello) {
    make_ready(kA);
    take(kA, "b1", {1});
    registry_.on_goodbye(kA, now_);
    EXPECT_EQ(state(kA), SessionState::left);
    EXPECT_FALSE(registry_.on_heartbeat(kA, {}, now_));
    EXPECT_EQ(state(kA), SessionState::left);
    EXPECT_EQ(registry_.credit_in_flight(), 0);
    registry_.on_hello(spec(kA), now_);
    EXPECT_EQ(state(kA), SessionState::greeted);
}

TEST_F(RegistryTest, LostSessionsLeaveTheListInTheEnd) {
    make_ready(kA);
    registry_.on_goodbye(kA, now_);
    pass(599'999);
    registry_.advance(now_, now_);
    EXPECT_EQ(registry_.snapshot(now_).size(), 1U);
    pass(1);
    registry_.advance(now_, now_);
    EXPECT_TRUE(registry_.snapshot(now_).empty());
    EXPECT_EQ(registry_.next_check(), milliseconds::max());
}

TEST_F(RegistryTest, ALostSessionThatIsReservedStaysUntilItIsSettled) {
    make_ready(kA);
    const auto offers = registry_.reserve(now_);
    registry_.on_goodbye(kA, now_);
    pass(700'000);
    registry_.advance(now_, now_);
    EXPECT_EQ(registry_.snapshot(now_).size(), 1U);
    registry_.settle(offers, {});
    pass(100);
    registry_.advance(now_, now_);
    EXPECT_TRUE(registry_.snapshot(now_).empty());
}

// ---------------------------------------------------------------- batches that are not taken

TEST_F(RegistryTest, AnIgnoredBatchDelaysTheProbeLongerEachTime) {
    make_ready(kA);
    for (const int delay : {2000, 4000, 8000, 16'000, 32'000, 60'000, 60'000}) {
        registry_.on_batch_ignored(kA, now_);
        EXPECT_EQ(state(kA), SessionState::suspect);
        for (int waited = 0; waited < delay; waited += 500) {
            EXPECT_EQ(probe_of(kA), "") << waited << " of " << delay;
            pass(500);
            registry_.on_heartbeat(kA, {}, now_);
        }
        ASSERT_TRUE(registry_.on_ready(kA, probe_of(kA), {}, now_)) << delay;
    }
    registry_.on_batch_accepted(kA);
    registry_.on_batch_ignored(kA, now_);
    pass(2000);
    registry_.on_heartbeat(kA, {}, now_);
    EXPECT_NE(probe_of(kA), "") << "an accepted batch makes good";
}

TEST_F(RegistryTest, AHelloDoesNotShortenTheDelayOfTheProbe) {
    make_ready(kA);
    registry_.on_batch_ignored(kA, now_);
    registry_.on_hello(spec(kA), now_);
    EXPECT_EQ(probe_of(kA), "");
    pass(2000);
    EXPECT_NE(probe_of(kA), "");
}

TEST_F(RegistryTest, OverCapacityPausesUntilTheNextHeartbeat) {
    make_ready(kA);
    registry_.take_credit_appeared();
    registry_.pause(kA);
    EXPECT_EQ(free_of(kA), 0);
    registry_.on_heard(kA, now_);
    EXPECT_EQ(free_of(kA), 0);
    registry_.on_heartbeat(kA, {}, now_);
    EXPECT_EQ(free_of(kA), 10);
    EXPECT_TRUE(registry_.take_credit_appeared());
}

TEST_F(RegistryTest, AnUnknownHandlerIsNoLongerServed) {
    make_ready(kA);
    EXPECT_TRUE(registry_.serves(kA, "shop", "Order::Pay"));
    EXPECT_TRUE(registry_.serves(kA, "shop", "Echo"));
    EXPECT_FALSE(registry_.serves(kA, "other", "Echo"));
    EXPECT_FALSE(registry_.serves(kA, "shop", "Other"));
    registry_.take_credit_appeared();
    registry_.remove_handler(kA, "Order::Pay");
    EXPECT_TRUE(registry_.take_credit_appeared()) << "who remembers what is served must look again";
    EXPECT_FALSE(registry_.serves(kA, "shop", "Order::Pay")) << "also when a wildcard covers it";
    EXPECT_TRUE(registry_.serves(kA, "shop", "Order::Ship"));
    registry_.on_hello(spec(kA), now_);
    EXPECT_TRUE(registry_.serves(kA, "shop", "Order::Pay")) << "announced anew";
}

TEST_F(RegistryTest, DrainingTakesNothingNewAndKeepsItsCreditUntilTheEnd) {
    make_ready(kA);
    take(kA, "b1", {1, 2});
    registry_.on_drain(kA, now_);
    EXPECT_EQ(state(kA), SessionState::draining);
    EXPECT_EQ(free_of(kA), 0);
    EXPECT_EQ(probe_of(kA), "");
    registry_.on_hello(spec(kA), now_);
    EXPECT_EQ(state(kA), SessionState::draining);
    registry_.give_back("b1", 1);
    EXPECT_EQ(registry_.credit_in_flight(), 1);
    registry_.on_goodbye(kA, now_);
    EXPECT_EQ(registry_.credit_in_flight(), 0);
}

}  // namespace
}  // namespace tasker::core
