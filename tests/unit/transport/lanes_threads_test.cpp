// Lanes and the io thread as real threads on the shared registry: all work ends, so no wake-up was lost. With
// the thread sanitizer also: nothing is touched without its lock.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "orchestrator/engine/io/registry.hpp"
#include "tests/unit/sessions/registry_fixture.hpp"
#include "tests/unit/sessions/sanity.hpp"

namespace tasker::engine {
namespace {

using std::chrono::milliseconds;

constexpr int kLanes = 3;
constexpr int kWork = 3000;  // steps per lane
constexpr milliseconds kLimit{60'000};

class LanesAsThreads : public ::testing::TestWithParam<int> {
  protected:
    LanesAsThreads() {
        registry_.with([](core::SessionRegistry& registry) {
            const auto now = util::boot_time();
            registry.on_hello(core::spec(core::kA, GetParam(), 1), now);
            registry.on_subscribed(core::kA, now);
            for (const auto& probe : registry.advance(now, now))
                registry.on_ready(probe.session, probe.nonce, {}, now);
        });
    }

    // A listener without a database: it has `kWork` steps waiting from the begin.
    void run_lane(int lane) {
        int left = kWork;
        int reported = 0;
        bool again = true;
        std::vector<ports::Inbound> inbound;
        while (reported < kWork) {
            inbound.clear();
            const auto deadline = again ? milliseconds(0) : util::boot_time() + kLimit;
            if (!router_.mailbox(lane).take_all(inbound, deadline)) return;
            if (!again && inbound.empty()) return;  // asleep for too long: the test says so
            for (const auto& item : inbound) reported += std::holds_alternative<ports::Report>(item);
            auto offers = registry_.reserve(lane);
            std::vector<core::TakenBatch> taken;
            for (auto& offer : offers) {
                for (int i = 0; i < offer.free && left > 0; ++i, --left)
                    taken.push_back({uuid(lane, left), std::string(offer.session), "Echo", {1}});
                offer.wanted = left > 0;
            }
            std::vector<ports::Inbound> sent;
            for (const auto& batch : taken)
                sent.emplace_back(ports::Accepted{batch.session, batch.batch_uuid});
            again = registry_.settle(lane, offers, std::move(taken));
            worker_.push_all(sent);
        }
        ended_ += 1;
    }

    // The io thread and the worker in one: what was sent is reported at once.
    void run_worker() {
        std::vector<ports::Inbound> sent;
        while (worker_.take_all(sent, util::boot_time() + kLimit)) {
            for (const auto& item : std::exchange(sent, {})) {
                const auto& batch = std::get<ports::Accepted>(item).batch_uuid;
                registry_.with([&](auto& registry) { registry.give_back(batch, 1); });
                const auto waiting =
                    registry_.with([](auto& registry) { return registry.take_lanes_to_wake(); });
                for (int lane = 0; lane < kLanes; ++lane) {
                    if ((waiting >> lane & 1U) != 0) router_.push_event_to(lane, ports::CreditShared{});
                }
                protocol::PartialResult report;
                report.batch_id = batch;
                EXPECT_TRUE(router_.push_report(ports::Report{report, "{}"}));
                registry_.with([&](auto& registry) { registry.forget(batch); });
            }
        }
    }

    static std::string uuid(int lane, int number) {
        return "00000000-0000-7000-8" + std::to_string(lane) + "00-" + std::to_string(number);
    }

    LaneRouter router_{kLanes, kWork};
    Mailbox worker_{1};
    SharedRegistry registry_{core::settings(kLanes), &router_};
    std::atomic<int> ended_{0};
};

TEST_P(LanesAsThreads, AllWorkEnds) {
    std::thread worker([this] { run_worker(); });
    std::vector<std::thread> lanes;
    for (int lane = 0; lane < kLanes; ++lane) lanes.emplace_back([this, lane] { run_lane(lane); });
    for (auto& lane : lanes) lane.join();
    worker_.close();
    worker.join();
    EXPECT_EQ(ended_, kLanes) << "a lane was not woken";
    EXPECT_EQ(registry_.with([](auto& registry) { return registry.credit_in_flight(); }), 0);
    EXPECT_EQ(registry_.with([](auto& registry) { return core::sanity_check(registry); }).value_or("sane"),
              "sane");
}

INSTANTIATE_TEST_SUITE_P(Capacities, LanesAsThreads, ::testing::Values(1, 2, 3, 50));

}  // namespace
}  // namespace tasker::engine
