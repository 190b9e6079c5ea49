// The thread that keeps this orchestrator's own rows: what it writes, and how it goes on after a failure.
#include "orchestrator/engine/upkeep/caretaker.hpp"

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
        Caretaker::Hooks hooks;
        hooks.sessions = [] { return std::vector<core::SessionView>(2); };
        hooks.epoch_lost = [this] { script.log.add("epoch lost"); };
        hooks.endpoints_json = "{}";
        hooks.beat_every = beat_every;
        caretaker = std::make_unique<Caretaker>(
            [this] {
                script.log.add("open");
                return std::make_unique<FakeHousekeeping>(script);
            },
            std::move(hooks));
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

}  // namespace
}  // namespace tasker::engine
