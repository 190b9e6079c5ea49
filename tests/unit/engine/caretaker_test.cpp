// The threads beside the listener: what they pass on and how they go on after a failure.
#include "orchestrator/engine/caretaker.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "orchestrator/ports/database_error.hpp"
#include "orchestrator/ports/store.hpp"
#include "tests/unit/engine/fakes.hpp"

namespace tasker::engine {
namespace {

using ports::DatabaseError;
using ports::DatabaseFault;
using std::chrono::milliseconds;

struct HousekeepingScript {
    EventLog log;
    std::mutex mutex;
    std::deque<std::function<void()>> failures;  // one per call to the database

    void call(const std::string& line) {
        std::function<void()> failure;
        {
            const std::lock_guard lock(mutex);
            if (!failures.empty()) {
                failure = std::move(failures.front());
                failures.pop_front();
            }
        }
        if (failure) failure();
        log.add(line);
    }
    void fail_next(std::function<void()> failure) {
        const std::lock_guard lock(mutex);
        failures.push_back(std::move(failure));
    }
};

class FakeHousekeeping final : public ports::Housekeeping {
  public:
    explicit FakeHousekeeping(HousekeepingScript& script) : script_(script) {}
    void beat() override { script_.call("beat"); }
    void set_state(const std::string& state, const std::string& endpoints) override {
        script_.call("state " + state + " " + endpoints);
    }
    void write_workers(const std::vector<core::SessionView>&,
                       const std::vector<std::string>& known) override {
        script_.call("workers " + std::to_string(known.size()));
    }
    void notify_done(const std::vector<std::int64_t>& ids) override {
        std::string line = "done";
        for (const auto id : ids) line += " " + std::to_string(id);
        script_.call(line);
    }

  private:
    HousekeepingScript& script_;
};

class CaretakerRun : public ::testing::Test {
  protected:
    void start(milliseconds beat_every) {
        Caretaker::Duties duties;
        duties.sessions = [] { return std::vector<core::SessionView>(2); };
        duties.epoch_lost = [this] { script.log.add("epoch lost"); };
        duties.endpoints_json = "{}";
        duties.beat_every = beat_every;
        caretaker = std::make_unique<Caretaker>(
            [this] {
                script.log.add("open");
                return std::make_unique<FakeHousekeeping>(script);
            },
            std::move(duties));
        thread = std::thread([this] { caretaker->run(); });
    }
    void TearDown() override {
        if (!thread.joinable()) return;
        caretaker->stop();
        thread.join();
    }
    bool happens(const std::string& line, std::size_t times = 1) {
        return script.log.wait([&] { return script.log.count(line) >= times; });
    }

    HousekeepingScript script;
    std::unique_ptr<Caretaker> caretaker;
    std::thread thread;
};

TEST_F(CaretakerRun, BeatsWritesTheWorkersAndSaysServingOnce) {
    start(milliseconds(5));
    EXPECT_TRUE(happens("beat", 3));
    EXPECT_TRUE(happens("workers 2", 2));
    EXPECT_EQ(script.log.count("state serving {}"), 1U);
    EXPECT_EQ(script.log.count("open"), 1U);
}

TEST_F(CaretakerRun, AnnouncesEndedTasksAtOnceAndSaysStoppedAtTheEnd) {
    start(std::chrono::hours(1));
    ASSERT_TRUE(happens("workers 2"));
    caretaker->announce({3, 4});
    EXPECT_TRUE(happens("done 3 4"));
    caretaker->announce({5});
    caretaker->stop();
    thread.join();
    EXPECT_EQ(script.log.count("done 5"), 1U) << "what is queued is announced before the end";
    EXPECT_EQ(script.log.lines().back(), "state stopped {}");
    EXPECT_EQ(script.log.count("workers 0"), 1U);
}

TEST_F(CaretakerRun, GoesOnWithANewConnectionAfterALoss) {
    script.fail_next([] {});
    script.fail_next([] { throw DatabaseError(DatabaseFault::connection, "lost"); });
    start(milliseconds(5));
    EXPECT_TRUE(happens("beat", 2));
    EXPECT_EQ(script.log.count("open"), 2U);
    EXPECT_EQ(script.log.count("state serving {}"), 2U)
        << "said again, since another may have overwritten it";
}

TEST_F(CaretakerRun, SaysSoWhenAnotherOrchestratorRules) {
    script.fail_next([] {});
    script.fail_next([] { throw ports::EpochLost{}; });
    start(milliseconds(5));
    EXPECT_TRUE(happens("epoch lost"));
}

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

TEST(WakeListenerRun, PassesNotificationsOnAndAsksForAFullScanAfterEachConnection) {
    EventLog log;
    LaneRouter mailbox(2, 10);
    std::atomic<bool> stopping{false};
    ports::Wake keys;
    keys.keys = {1, 2};
    // Keys, then the connection is lost (an empty answer), then nothing more.
    std::deque<std::vector<ports::Wake>> script = {{keys}, {}};
    int opened = 0;
    WakeListener wake(
        [&]() -> std::unique_ptr<ports::WakeSource> {
            if (++opened == 2) throw DatabaseError(DatabaseFault::connection, "not yet");
            return std::make_unique<FakeWakeSource>(log, script, mailbox);
        },
        mailbox, stopping, -1);
    std::thread thread([&] { wake.run(); });
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
