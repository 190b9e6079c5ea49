// The thread that passes NOTIFY on to the lanes, and how it goes on after a failure.
#include "orchestrator/engine/upkeep/notify_relay.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "orchestrator/ports/database_error.hpp"
#include "tests/unit/engine/fakes.hpp"

namespace tasker::engine {
namespace {

using ports::DatabaseError;
using ports::DatabaseFault;
using std::chrono::milliseconds;

class FakeWakeSource final : public ports::WakeSource {
  public:
    FakeWakeSource(EventLog& log, std::deque<std::vector<ports::Wake>>& script, LaneRouter& mailbox)
        : log_(log), script_(script), mailbox_(mailbox) {}
    std::vector<ports::Wake> wait(int, int) override {
        if (script_.empty()) {
            log_.add("waits");
            mailbox_.wait_closed(milliseconds(20'000));
            return {};
        }
        auto wakes = std::move(script_.front());
        script_.pop_front();
        if (wakes.empty()) throw DatabaseError(DatabaseFault::connection, "lost");
        return wakes;
    }

  private:
    EventLog& log_;
    std::deque<std::vector<ports::Wake>>& script_;
    LaneRouter& mailbox_;
};

TEST(NotifyRelayRun, PassesNotificationsOnAndAsksForAFullScanAfterEachConnection) {
    EventLog log;
    LaneRouter mailbox(2, 10);
    std::atomic<bool> stopping{false};
    ports::Wake keys;
    keys.keys = {1, 2};
    // Keys, then the connection is lost (an empty answer), then nothing more.
    std::deque<std::vector<ports::Wake>> script = {{keys}, {}};
    int opened = 0;
    NotifyRelay relay(
        [&]() -> std::unique_ptr<ports::WakeSource> {
            if (++opened == 2) throw DatabaseError(DatabaseFault::connection, "not yet");
            return std::make_unique<FakeWakeSource>(log, script, mailbox);
        },
        mailbox, stopping, -1);
    std::thread thread([&] { relay.run(); });
    EXPECT_TRUE(log.wait([&] { return log.count("waits") == 1; }));
    std::vector<ports::Inbound> inbound;
    mailbox.mailbox(0).take_all(inbound, milliseconds(0));
    std::vector<ports::Inbound> of_another_lane;
    mailbox.mailbox(1).take_all(of_another_lane, milliseconds(0));
    EXPECT_EQ(of_another_lane.size(), 1U) << "every lane is told";
    stopping = true;
    mailbox.close();
    thread.join();
    EXPECT_EQ(opened, 3);
    ASSERT_EQ(inbound.size(), 1U) << "hints of one kind are one message";
    const auto& merged = std::get<ports::Wake>(inbound[0]);
    EXPECT_TRUE(merged.full_scan);
    EXPECT_EQ(merged.keys, (std::vector<std::int32_t>{1, 2}));
}

}  // namespace
}  // namespace tasker::engine
