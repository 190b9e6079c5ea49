#include <gtest/gtest.h>

#include "orchestrator/core/sessions/registry.hpp"
#include "tests/unit/sessions/sanity.hpp"

namespace tasker::core {
namespace {

using std::chrono::milliseconds;

class PlainModeTest : public ::testing::Test {
  protected:
    PlainModeTest() { registry_.open_plain_mode(milliseconds{8000}); }
    ~PlainModeTest() override { EXPECT_EQ(sanity_check(registry_).value_or("sane"), "sane"); }

    std::int32_t offered(milliseconds now) {
        const auto offers = registry_.reserve(now);
        const std::int32_t free = offers.empty() ? 0 : offers.front().free;
        registry_.settle(offers, {});
        return free;
    }
    void open(const std::string& uuid, std::vector<std::int64_t> steps) {
        const auto offers = registry_.reserve(late_);
        ASSERT_EQ(offers.size(), 1U);
        EXPECT_EQ(offers.front().session, "");
        EXPECT_EQ(offers.front().batches_max, 1);
        registry_.settle(offers, {{uuid, "", "H", std::move(steps)}});
    }

    const milliseconds late_{9000};
    SessionRegistry registry_{RegistrySettings{}};
};

TEST_F(PlainModeTest, NothingBeforeTheLeaseAfterBindIsOver) {
    registry_.on_plain_subscribed();
    EXPECT_EQ(offered(milliseconds{7999}), 0);
    EXPECT_EQ(offered(milliseconds{8000}), 10);
}

TEST_F(PlainModeTest, CreditIsAnnouncedWhenTheLeaseIsOver) {
    registry_.on_plain_subscribed();
    registry_.take_credit_appeared();
    EXPECT_EQ(registry_.next_check(), milliseconds{8000});
    registry_.advance(milliseconds{7000}, milliseconds{7000});
    EXPECT_FALSE(registry_.take_credit_appeared());
    registry_.advance(registry_.next_check(), registry_.next_check());
    EXPECT_TRUE(registry_.take_credit_appeared());
    registry_.advance(milliseconds{8500}, milliseconds{8500});
    EXPECT_FALSE(registry_.take_credit_appeared());
}

TEST_F(PlainModeTest, OnlyWithExactlyOneSubscription) {
    EXPECT_EQ(offered(late_), 0);
    EXPECT_EQ(registry_.on_plain_subscribed(), PlainNotice::first_subscriber);
    EXPECT_EQ(offered(late_), 10);
    EXPECT_EQ(registry_.on_plain_subscribed(), PlainNotice::second_subscriber);
    EXPECT_EQ(offered(late_), 0);
    EXPECT_EQ(registry_.on_plain_subscribed(), PlainNotice::none);
    EXPECT_EQ(registry_.on_plain_unsubscribed(), PlainNotice::none);
    EXPECT_EQ(offered(late_), 0);
    EXPECT_EQ(registry_.on_plain_unsubscribed(), PlainNotice::one_left);
    EXPECT_EQ(offered(late_), 10);
    EXPECT_EQ(registry_.on_plain_unsubscribed(), PlainNotice::subscriber_left);
    EXPECT_EQ(offered(late_), 0);
    EXPECT_EQ(registry_.on_plain_unsubscribed(), PlainNotice::none);  // an end without a beginning
    registry_.on_plain_subscribed();
    EXPECT_EQ(offered(late_), 10);
}

TEST_F(PlainModeTest, OneOpenBatchAtATime) {
    registry_.on_plain_subscribed();
    open("b1", {1, 2});
    registry_.take_credit_appeared();
    EXPECT_EQ(offered(late_), 0);
    registry_.give_back("b1", 1);
    EXPECT_EQ(offered(late_), 0);
    EXPECT_FALSE(registry_.take_credit_appeared());
    registry_.give_back("b1", 2);
    EXPECT_TRUE(registry_.take_credit_appeared());
    EXPECT_EQ(offered(late_), 10);
}

TEST_F(PlainModeTest, ACompletionEndsTheOpenBatchWithoutItsPartials) {
    registry_.on_plain_subscribed();
    open("b1", {1, 2});
    registry_.give_back_all("b1");
    EXPECT_EQ(registry_.credit_in_flight(), 0);
    EXPECT_EQ(offered(late_), 10);
}

TEST_F(PlainModeTest, TheEndOfTheSubscriptionHoldsPlainModeUntilTheBatchHasEnded) {
    registry_.on_plain_subscribed();
    open("b1", {1});
    registry_.on_plain_unsubscribed();
    registry_.on_plain_subscribed();
    EXPECT_EQ(offered(late_), 0);
    registry_.forget("b1");
    EXPECT_EQ(offered(late_), 10);
}

TEST_F(PlainModeTest, BatchesOpenBeforeARestartMustAllEnd) {
    registry_.adopt({"b1", "", "H", {1}});
    registry_.adopt({"b2", "", "H", {2}});
    registry_.on_plain_subscribed();
    EXPECT_EQ(offered(late_), 0);
    registry_.give_back("b1", 1);
    EXPECT_EQ(offered(late_), 0);
    registry_.give_back("b2", 2);
    EXPECT_EQ(offered(late_), 10);
}

TEST_F(PlainModeTest, AReservationIsNotGivenTwice) {
    registry_.on_plain_subscribed();
    const auto first = registry_.reserve(late_);
    EXPECT_EQ(first.size(), 1U);
    EXPECT_TRUE(registry_.reserve(late_).empty());
    registry_.settle(first, {});
    EXPECT_EQ(offered(late_), 10);
}

TEST_F(PlainModeTest, ServesOnlyWhatNoSessionHasEverAnnouncedInThisEpoch) {
    EXPECT_TRUE(registry_.serves("", "any", "Order::Pay"));
    SessionSpec spec;
    spec.session = "00000000000000aa";
    spec.namespaces = {"*"};
    spec.handlers = {"Order::*", "Echo"};
    registry_.on_hello(spec, late_);
    EXPECT_TRUE(registry_.take_credit_appeared()) << "who remembers what is served must look again";
    EXPECT_FALSE(registry_.serves("", "any", "Order::Pay"));
    EXPECT_FALSE(registry_.serves("", "any", "Echo"));
    EXPECT_TRUE(registry_.serves("", "any", "Other"));
    registry_.on_goodbye(spec.session, late_);
    EXPECT_FALSE(registry_.serves("", "any", "Echo"));
}

}  // namespace
}  // namespace tasker::core
