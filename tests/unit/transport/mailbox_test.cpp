#include "orchestrator/engine/turns/mailbox.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "orchestrator/util/time.hpp"

namespace tasker::engine {
namespace {

using std::chrono::milliseconds;

ports::Inbound report() {
    return ports::Report{protocol::PartialResult{}, "{}"};
}
milliseconds in(int ms) {
    return util::boot_time() + milliseconds{ms};
}

TEST(MailboxTest, ReportsAreBoundedEventsAreNot) {
    Mailbox mailbox(2);
    EXPECT_EQ(mailbox.report_room(), 2U);
    EXPECT_TRUE(mailbox.push_report(report()));
    EXPECT_TRUE(mailbox.push_report(ports::Malformed{}));
    EXPECT_EQ(mailbox.report_room(), 0U);
    EXPECT_FALSE(mailbox.push_report(report()));
    mailbox.push_event(ports::Accepted{"s", "b"});
    std::vector<ports::Inbound> taken;
    EXPECT_TRUE(mailbox.take_all(taken, in(0)));
    EXPECT_EQ(taken.size(), 3U);
    EXPECT_EQ(mailbox.report_room(), 2U);
    EXPECT_TRUE(mailbox.push_report(report()));
}

TEST(MailboxTest, PushAllKeepsTheOrderAndTellsWhatFoundNoRoom) {
    Mailbox mailbox(1);
    std::vector<ports::Inbound> items;
    items.push_back(ports::Accepted{"s", "b1"});
    items.push_back(report());
    items.push_back(report());
    items.push_back(ports::Accepted{"s", "b2"});
    EXPECT_EQ(mailbox.push_all(items), 1U);
    EXPECT_TRUE(items.empty());
    std::vector<ports::Inbound> taken;
    mailbox.take_all(taken, in(0));
    ASSERT_EQ(taken.size(), 3U);
    EXPECT_EQ(std::get<ports::Accepted>(taken[0]).batch_uuid, "b1");
    EXPECT_TRUE(std::holds_alternative<ports::Report>(taken[1]));
    EXPECT_EQ(std::get<ports::Accepted>(taken[2]).batch_uuid, "b2");
}

TEST(MailboxTest, HintsOfOneKindMerge) {
    Mailbox mailbox(1);
    mailbox.push_event(ports::CreditAppeared{});
    mailbox.push_event(ports::Wake{false, false, {1}});
    mailbox.push_event(ports::CreditAppeared{});
    mailbox.push_event(ports::Wake{true, false, {2, 1}});
    mailbox.push_event(ports::Wake{false, true, {}});
    std::vector<ports::Inbound> taken;
    mailbox.take_all(taken, in(0));
    ASSERT_EQ(taken.size(), 2U);
    const auto& wake = std::get<ports::Wake>(taken[1]);
    EXPECT_TRUE(wake.full_scan);
    EXPECT_TRUE(wake.definitions);
    EXPECT_EQ(wake.keys, (std::vector<std::int32_t>{1, 2}));
    mailbox.push_event(ports::Wake{});
    mailbox.push_event(ports::CreditAppeared{});
    taken.clear();
    mailbox.take_all(taken, in(0));
    EXPECT_EQ(taken.size(), 2U) << "after they were taken, new ones count";
}

TEST(MailboxTest, MergedWakesLookFromTheFirstPlaceThatOneOfThemNames) {
    Mailbox mailbox(1);
    const auto wake = [](std::int64_t step_id) {
        ports::Wake it;
        it.keys = {1};
        it.from = core::ReadyPosition::of(0, step_id);
        return it;
    };
    mailbox.push_event(ports::Wake{false, true, {}});  // names no work, so its place counts for nothing
    for (const std::int64_t step_id : {30, 10, 20}) mailbox.push_event(wake(step_id));
    std::vector<ports::Inbound> taken;
    mailbox.take_all(taken, in(0));
    ASSERT_EQ(taken.size(), 1U);
    EXPECT_EQ(std::get<ports::Wake>(taken[0]).from, core::ReadyPosition::of(0, 10));
}

TEST(MailboxTest, TakingWaitsForTheFirstItem) {
    Mailbox mailbox(1);
    std::thread pusher([&] { mailbox.push_report(report()); });
    std::vector<ports::Inbound> taken;
    EXPECT_TRUE(mailbox.take_all(taken, in(10'000)));
    EXPECT_EQ(taken.size(), 1U);
    pusher.join();
}

TEST(MailboxTest, TakingEndsAtItsDeadline) {
    Mailbox mailbox(1);
    std::vector<ports::Inbound> taken;
    const milliseconds deadline = in(30);
    EXPECT_TRUE(mailbox.take_all(taken, deadline));
    EXPECT_GE(util::boot_time(), deadline);
    EXPECT_TRUE(taken.empty());
    EXPECT_TRUE(mailbox.take_all(taken, milliseconds{0}));
}

TEST(MailboxTest, ClosingWakesTheTakerWhoGetsTheRestFirst) {
    Mailbox mailbox(1);
    mailbox.push_event(ports::Accepted{"s", "b"});
    mailbox.close();
    mailbox.push_event(ports::Accepted{"s", "b2"});
    EXPECT_FALSE(mailbox.push_report(report()));
    std::vector<ports::Inbound> taken;
    EXPECT_TRUE(mailbox.take_all(taken, in(10'000)));
    EXPECT_EQ(taken.size(), 1U);
    EXPECT_FALSE(mailbox.take_all(taken, in(10'000)));
    EXPECT_TRUE(mailbox.wait_closed(milliseconds{10'000}));

    Mailbox waited(1);
    std::thread closer([&] { waited.close(); });
    taken.clear();
    EXPECT_FALSE(waited.take_all(taken, milliseconds::max()));
    closer.join();
}

TEST(MailboxTest, NothingIsLostBetweenThreads) {
    constexpr int kThreads = 3;
    constexpr int kEach = 20'000;
    Mailbox mailbox(100);
    std::vector<std::thread> pushers;
    for (int t = 0; t < kThreads; ++t) {
        pushers.emplace_back([&] {
            for (int i = 0; i < kEach;) {
                if (mailbox.push_report(report())) {
                    ++i;
                } else {
                    std::this_thread::yield();
                }
            }
        });
    }
    int count = 0;
    std::vector<ports::Inbound> taken;
    while (count < kThreads * kEach && mailbox.take_all(taken, in(10'000)) && !taken.empty()) {
        EXPECT_LE(taken.size(), 100U);
        count += static_cast<int>(taken.size());
        taken.clear();
    }
    EXPECT_EQ(count, kThreads * kEach);
    for (auto& pusher : pushers) pusher.join();
}

}  // namespace
}  // namespace tasker::engine
