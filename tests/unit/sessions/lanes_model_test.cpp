// Lanes, io thread and workers as a model with one event at a time, in any order: no lane sleeps while there
// is credit for what it has waiting, none starves, none spins, and everything ends.
#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "tests/unit/sessions/registry_fixture.hpp"

namespace tasker::core {
namespace {

constexpr int kKeys = 3;
constexpr milliseconds kNow{1'000'000};

struct Worker {
    std::string session;  // "" is the plain worker
    std::int32_t capacity = 1;
    std::int32_t prefetch = 1;
    std::set<int> keys;
};

class Model {
  public:
    Model(unsigned seed, int lanes, std::vector<Worker> workers)
        : random_(seed),
          registry_(settings(lanes, 3)),
          workers_(std::move(workers)),
          lanes_(static_cast<std::size_t>(lanes)) {
        registry_.open_plain_mode(milliseconds{0});
        for (const auto& worker : workers_) {
            if (worker.session.empty()) {
                registry_.on_plain_subscribed();
                continue;
            }
            registry_.on_hello(spec(worker.session, worker.capacity, worker.prefetch), kNow);
            registry_.on_subscribed(worker.session, kNow);
            for (const auto& probe : registry_.advance(kNow, kNow))
                registry_.on_ready(probe.session, probe.nonce, {}, kNow);
        }
        flush();
    }

    /// `length` steps, one after the other.
    void submit(int lane, int key, int length) {
        auto& it = at(lane);
        it.ready[key].push_back(length);
        it.wakes.insert(key);
        submitted_ += length;
        ++submissions_;
    }
    /// One event, chosen by chance; false when nothing can happen any more.
    bool step() {
        std::vector<std::pair<int, int>> possible;
        for (int lane = 0; lane < lanes(); ++lane) {
            if (at(lane).in_turn) {
                possible.emplace_back(0, lane);
            } else if (at(lane).is_awake()) {
                possible.emplace_back(1, lane);
            }
        }
        if (!out_.empty()) possible.emplace_back(2, 0);
        if (!heard_.empty()) possible.emplace_back(3, 0);
        if (possible.empty()) return false;
        const auto [event, lane] = possible[pick(possible.size())];
        switch (event) {
            case 0:
                end_turn(lane);
                break;
            case 1:
                begin_turn(lane);
                break;
            case 2:
                report(pick(out_.size()));
                break;
            default:
                flush();
        }
        check_nobody_sleeps_beside_credit();
        return !::testing::Test::HasFailure();
    }
    void check_ended() {
        EXPECT_EQ(done_, submitted_) << "steps were left waiting for ever";
        EXPECT_EQ(registry_.credit_in_flight(), 0);
        // Each is caused by something: a submission that others took, credit that somebody was quicker to
        // use.
        EXPECT_LE(fruitless_, 2 * (submitted_ + submissions_ * lanes())) << "lanes spin";
    }
    int claimed(int lane) { return at(lane).claimed; }
    std::int64_t done() const { return done_; }
    std::size_t pick(std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_); }

  private:
    struct Out {
        std::string uuid;
        std::int64_t step = 0;
        int lane = 0;
        int key = 0;
        int length = 0;  // of what follows it
    };
    struct Lane {
        std::map<int, std::vector<int>> ready;  // the database: lengths, by key
        std::set<int> marks;                    // keys that may have work
        std::set<int> wakes;                    // notified, not heard yet
        std::vector<Out> mailbox;
        bool woken = false;
        bool in_turn = false;
        std::vector<Out> reports;  // of the turn
        std::vector<CreditOffer> offers;
        int claimed = 0;
        int plain_turn = 0;
        bool is_awake() const { return woken || !wakes.empty() || !mailbox.empty(); }
    };

    Lane& at(int lane) { return lanes_[static_cast<std::size_t>(lane)]; }
    int lanes() const { return static_cast<int>(lanes_.size()); }
    const std::set<int>& keys_of(std::string_view session) const {
        return std::find_if(workers_.begin(), workers_.end(),
                            [&](const auto& w) { return w.session == session; })
            ->keys;
    }

    void begin_turn(int number) {
        auto& lane = at(number);
        lane.woken = false;
        lane.marks.merge(lane.wakes);
        lane.wakes.clear();
        lane.reports = std::exchange(lane.mailbox, {});
        lane.offers = registry_.reserve(kNow, number);
        const bool scans = std::any_of(lane.offers.begin(), lane.offers.end(), [&](const auto& offer) {
            const auto& keys = keys_of(offer.session);
            return offer.free > 0 &&
                   std::any_of(keys.begin(), keys.end(), [&](int key) { return lane.marks.contains(key); });
        });
        if (lane.reports.empty() && !scans) {
            settle(number, {});
        } else {
            lane.in_turn = true;
        }
    }

    void end_turn(int number) {
        auto& lane = at(number);
        lane.in_turn = false;
        std::map<int, std::vector<int>> children;
        for (const auto& report : lane.reports) {
            if (report.length > 0) children[report.key].push_back(report.length);
        }
        std::vector<TakenBatch> taken;
        std::set<int> exhausted;
        std::set<int> scanned;
        for (const auto& offer : lane.offers) {
            auto keys = keys_of(offer.session);
            if (offer.free == 0) continue;
            if (offer.batches_max == 1) keys = next_plain_key(lane, keys);
            TakenBatch batch{"b" + std::to_string(++named_), std::string(offer.session), "", {}};
            auto left = offer.free;
            for (const int key : keys) {
                const bool scan = lane.marks.contains(key);
                if (scan) scanned.insert(key);
                for (auto* source : {&children[key], &lane.ready[key]}) {
                    if (source == &lane.ready[key] && !scan) continue;
                    while (left > 0 && !source->empty()) {
                        --left;
                        batch.step_ids.push_back(static_cast<std::int64_t>(batch.step_ids.size()) + 1);
                        out_.push_back(
                            {batch.batch_uuid, batch.step_ids.back(), number, key, source->back() - 1});
                        source->pop_back();
                    }
                }
                if (left == 0 && scan) exhausted.insert(key);
            }
            if (!batch.step_ids.empty()) {
                lane.claimed += static_cast<int>(batch.step_ids.size());
                taken.push_back(std::move(batch));
            }
        }
        if (lane.reports.empty() && taken.empty()) ++fruitless_;
        for (const int key : scanned) lane.marks.erase(key);
        lane.marks.merge(exhausted);
        bool unclaimed = false;
        for (auto& [key, lengths] : children) {
            if (lengths.empty()) continue;
            lane.marks.insert(key);
            unclaimed = true;
            auto& ready = lane.ready[key];
            ready.insert(ready.end(), lengths.begin(), lengths.end());
        }
        done_ += static_cast<std::int64_t>(lane.reports.size());
        lane.reports.clear();
        // As Listener::look_for_plain does for the plain worker, which looks at one key per turn.
        for (const auto& offer : lane.offers) {
            const bool used =
                std::any_of(taken.begin(), taken.end(), [](const auto& b) { return b.session.empty(); });
            const auto& keys = keys_of(offer.session);
            const bool marked =
                std::any_of(keys.begin(), keys.end(), [&](int key) { return lane.marks.contains(key); });
            if (offer.batches_max == 1 && offer.free > 0 && !used && (marked || unclaimed)) lane.woken = true;
        }
        settle(number, std::move(taken));
    }

    std::set<int> next_plain_key(Lane& lane, const std::set<int>& keys) {
        for (int i = 0; i < kKeys; ++i) {
            const int key = (lane.plain_turn + i) % kKeys;
            if (!keys.contains(key) || !lane.marks.contains(key)) continue;
            lane.plain_turn = (key + 1) % kKeys;
            return {key};
        }
        return {};
    }

    void settle(int number, std::vector<TakenBatch> taken) {
        auto& lane = at(number);
        for (auto& offer : lane.offers) {
            const auto& keys = keys_of(offer.session);
            offer.wanted =
                std::any_of(keys.begin(), keys.end(), [&](int key) { return lane.marks.contains(key); });
        }
        if (registry_.settle(lane.offers, std::move(taken), number)) lane.woken = true;
        lane.offers.clear();
        wake(registry_.take_lanes_to_wake());
        EXPECT_EQ(sanity_check(registry_).value_or("sane"), "sane");
    }

    // A worker reports: the io thread returns the credit at once and hands the report over later.
    void report(std::size_t place) {
        const Out out = out_[place];
        out_.erase(out_.begin() + static_cast<std::ptrdiff_t>(place));
        registry_.give_back(out.uuid, out.step);
        heard_.push_back(out);
    }
    void flush() {
        wake(registry_.take_lanes_to_wake());
        if (registry_.take_credit_appeared()) wake((1U << lanes()) - 1);
        for (auto& out : std::exchange(heard_, {})) at(out.lane).mailbox.push_back(std::move(out));
    }
    void wake(std::uint32_t bits) {
        for (int lane = 0; lane < lanes(); ++lane)
            at(lane).woken = at(lane).woken || (bits >> lane & 1U) != 0;
    }

    void check_nobody_sleeps_beside_credit() {
        if (!heard_.empty()) return;
        for (const auto& lane : lanes_) {
            if (lane.in_turn || lane.is_awake()) return;
        }
        std::map<std::string, std::int32_t> free{{"", registry_.plain().free(kNow)}};
        for (const auto& view : registry_.snapshot(kNow)) free[view.spec.session] = view.free;
        for (int number = 0; number < lanes(); ++number) {
            for (const auto& [key, ready] : at(number).ready) {
                for (const auto& worker : workers_) {
                    if (ready.empty() || !worker.keys.contains(key)) continue;
                    ASSERT_EQ(free[worker.session], 0)
                        << "lane " << number << " sleeps beside free credit of '" << worker.session
                        << "' and has work for it";
                }
            }
        }
    }

    std::mt19937 random_;
    SessionRegistry registry_;
    const std::vector<Worker> workers_;
    std::vector<Lane> lanes_;
    std::vector<Out> out_;
    std::vector<Out> heard_;
    int named_ = 0;
    std::int64_t submitted_ = 0;
    std::int64_t submissions_ = 0;
    std::int64_t done_ = 0;
    std::int64_t fruitless_ = 0;
};

TEST(LanesModel, NothingIsLostNobodyStarvesAndNobodySpins) {
    const auto seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const auto pick = [&](int n) { return std::uniform_int_distribution<int>(0, n - 1)(random); };
    for (int round = 0; round < 150 && !::testing::Test::HasFailure(); ++round) {
        SCOPED_TRACE("round " + std::to_string(round));
        const int lanes = 1 + pick(4);
        std::vector<Worker> workers = {{kA, 1 + pick(3), 1 + pick(2), {0}}, {kB, 1 + pick(20), 1, {0, 1}}};
        if (pick(2) == 0) workers.pop_back();
        if (pick(2) == 0) workers.push_back({"", 1, 1, {2}});
        std::set<int> served;
        for (const auto& worker : workers) served.insert(worker.keys.begin(), worker.keys.end());
        Model model(seed + static_cast<unsigned>(round), lanes, workers);
        for (int i = 0; i < 200; ++i) {
            const int key = pick(kKeys);
            if (served.contains(key)) model.submit(pick(lanes), key, 1 + pick(4));
            for (int events = pick(20); events > 0 && model.step(); --events) {
            }
        }
        for (int events = 0; events < 200'000 && model.step(); ++events) {
        }
        model.check_ended();
    }
}

// Both have more than the worker can take: they get the same, whatever its capacity.
TEST(LanesModel, ABusyWorkerIsSharedEvenly) {
    const auto seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    for (const std::int32_t capacity : {1, 2, 3, 10, 64}) {
        for (const bool plain : {false, true}) {
            if (plain && capacity > 1) continue;
            SCOPED_TRACE("capacity " + std::to_string(capacity) + (plain ? ", plain" : ""));
            Model model(seed, 3, {{plain ? "" : kA, capacity, 1, {0}}});
            for (int i = 0; i < 2'000; ++i) {
                for (int lane = 0; lane < 3; ++lane) model.submit(lane, 0, 1 + i % 3);
            }
            while (model.done() < 3'000 && model.step()) {
            }
            for (int lane = 0; lane < 3; ++lane) {
                EXPECT_GT(model.claimed(lane), 850) << "lane " << lane;
                EXPECT_LT(model.claimed(lane), 1150 + 64) << "lane " << lane;
            }
        }
    }
}

// A lane with a little work beside one with a flood: it is served at once.
TEST(LanesModel, AFloodInOneLaneDoesNotHoldUpAnother) {
    const auto seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    Model model(seed, 2, {{kA, 1, 1, {0}}});
    for (int i = 0; i < 1'000; ++i) model.submit(0, 0, 1);
    while (model.done() < 100 && model.step()) {
    }
    model.submit(1, 0, 1);
    const auto before = model.done();
    while (model.claimed(1) == 0 && model.step()) {
    }
    EXPECT_LT(model.done() - before, 20);
}

}  // namespace
}  // namespace tasker::core
