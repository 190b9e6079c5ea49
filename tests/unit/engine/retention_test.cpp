// The thread beside the database: when it looks, what it does after a failure, and how it ends.
#include "orchestrator/engine/upkeep/retention.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "orchestrator/ports/database_error.hpp"
#include "orchestrator/ports/store.hpp"
#include "tests/support/wait_until.hpp"

namespace tasker::engine {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// What happened to all stores of a test, whichever thread did it.
struct Seen {
    std::atomic<int> opened{0};
    std::atomic<int> passes{0};
    std::atomic<int> cancelled{0};
    std::atomic<int> losses{0};
};

class FakeRetention : public ports::Retention {
  public:
    using Pass = std::function<void(const ports::RetentionWatch&)>;
    FakeRetention(Seen& seen, Pass pass) : seen_(seen), pass_(std::move(pass)) { ++seen_.opened; }
    void run_pass(const ports::RetentionSettings&, const ports::RetentionWatch& watch) override {
        ++seen_.passes;
        pass_(watch);
    }
    void cancel() override { ++seen_.cancelled; }

  private:
    Seen& seen_;
    Pass pass_;
};

Retention retention(Seen& seen, milliseconds interval, FakeRetention::Pass pass) {
    Retention::Hooks hooks;
    hooks.settings.check_interval = interval;
    hooks.epoch_lost = [&seen] { ++seen.losses; };
    return {[&seen, pass] { return std::make_unique<FakeRetention>(seen, pass); }, hooks};
}

TEST(RetentionThread, EndsByItselfWhenTheEpochIsOver) {
    Seen seen;
    auto thread = retention(seen, milliseconds(1), [](const auto&) { throw ports::EpochLost{}; });
    thread.run();
    EXPECT_EQ(seen.passes, 1);
    EXPECT_EQ(seen.losses, 1);
    thread.stop();  // as the shutdown does afterwards
}

TEST(RetentionThread, OpensAnewAfterAFailureAndLooksAgain) {
    Seen seen;
    auto thread = retention(seen, milliseconds(1), [&seen](const auto&) {
        if (seen.passes < 3) throw ports::DatabaseError(ports::DatabaseFault::connection, "gone");
        if (seen.passes == 5) throw ports::EpochLost{};
    });
    thread.run();
    EXPECT_EQ(seen.passes, 5);
    EXPECT_EQ(seen.opened, 3) << "one for each failure, one for the rest";
}

TEST(RetentionThread, StopsWhileItWaitsForTheNextLook) {
    Seen seen;
    auto retained = retention(seen, milliseconds(3'600'000), [](const auto&) {});
    std::thread thread([&] { retained.run(); });
    EXPECT_TRUE(test::wait_until([&] { return seen.passes == 1; }, seconds(30)));
    retained.stop();
    thread.join();
    EXPECT_EQ(seen.passes, 1);
}

TEST(RetentionThread, StopsAPassThatAsksAndCancelsOneThatHangs) {
    Seen seen;
    auto retained = retention(seen, milliseconds(1), [&seen](const ports::RetentionWatch& watch) {
        EXPECT_FALSE(watch.pause(milliseconds(3'600'000)));
        // As a statement that only its cancellation ends.
        EXPECT_TRUE(test::wait_until([&] { return seen.cancelled > 0; }, seconds(30)));
    });
    std::thread thread([&] { retained.run(); });
    EXPECT_TRUE(test::wait_until([&] { return seen.passes == 1; }, seconds(30)));
    retained.stop();
    thread.join();
    EXPECT_EQ(seen.passes, 1);
}

}  // namespace
}  // namespace tasker::engine
