// A listener on its own thread among fakes, driven message by message.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <exception>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "orchestrator/engine/turns/listener.hpp"
#include "orchestrator/ports/database_error.hpp"
#include "tests/unit/engine/fakes.hpp"
#include "tests/unit/engine/messages.hpp"

namespace tasker::engine {

class ListenerRig : public ::testing::Test {
  protected:
    ListenerRig() {
        options.orchestrator_id = "o-1";
        options.epoch = 3;
        options.database.reconnect_max = std::chrono::milliseconds(50);
        credit.offers = {{"s1", 10, 0, 10, 10, 0}};
        credit.serves_keys = {{"s1", {"Pay"}}};
    }
    ~ListenerRig() override { stop(); }

    void TearDown() override {
        stop();
        EXPECT_EQ(credit.reserved, 0) << "credit was reserved and never settled";
        EXPECT_FALSE(left) << "run() left by an exception that no test expected";
    }

    void start() {
        Listener::Dependencies dependencies{[this](std::int64_t& last_turn) -> std::unique_ptr<ports::Store> {
                                                {
                                                    const std::lock_guard lock(database.mutex);
                                                    ++connections;
                                                    if (!database.open_failures.empty()) {
                                                        const auto failure =
                                                            std::move(database.open_failures.front());
                                                        database.open_failures.pop_front();
                                                        failure();
                                                    }
                                                    last_turn = database.last_turn;
                                                }
                                                return std::make_unique<FakeStore>(database);
                                            },
                                            publisher,
                                            credit,
                                            mailbox,
                                            clock,
                                            [this](std::vector<std::int64_t> ids) {
                                                for (const auto id : ids)
                                                    database.log.add("ended " + std::to_string(id));
                                            },
                                            stopping};
        listener = std::make_unique<Listener>(options, std::move(dependencies));
        thread = std::thread([this] {
            try {
                listener->run();
            } catch (const ports::EpochLost&) {
                epoch_lost = true;
            } catch (...) {
                left = true;
            }
            finished = true;
            database.log.touch();
        });
        settle();
    }

    void stop() {
        if (!thread.joinable()) return;
        mailbox.close();
        thread.join();
    }

    void push(ports::Inbound inbound) {
        if (is_bounded(inbound)) {
            EXPECT_TRUE(mailbox.push_report(std::move(inbound)));
        } else {
            mailbox.push_event(std::move(inbound));
        }
    }
    /// Pushes all at once, so that they make one turn.
    void push_together(std::vector<ports::Inbound> inbound) { EXPECT_EQ(mailbox.push_all(inbound), 0U); }

    /// Waits until everything pushed so far has been worked off, by a message of its own that is recorded
    /// last.
    void settle() {
        const std::string code = "settle-" + std::to_string(++settles);
        push(ports::Malformed{"results", "x", code, "test"});
        ASSERT_TRUE(log().wait([&] { return finished || log().count("rejected " + code) == 1; })) << "stuck";
        const int calls = publisher.acknowledge_calls;
        // The acknowledgement that follows the recording ends the attempt; one more round makes it certain.
        push(ports::Malformed{"results", "x", code + "-end", "test"});
        ASSERT_TRUE(log().wait([&] {
            return finished ||
                   (log().count("rejected " + code + "-end") == 1 && publisher.acknowledge_calls > calls);
        })) << "stuck";
    }
    /// Moves the clock and lets the timers fire.
    void pass(std::chrono::milliseconds time) {
        clock.advance(time);
        settle();
    }

    std::size_t turns() {
        const std::lock_guard lock(database.mutex);
        return database.turns.size();
    }
    ports::TurnInput turn(std::size_t place) {
        const std::lock_guard lock(database.mutex);
        return database.turns.at(place);
    }
    ports::StoredBatch stored(const std::string& uuid) {
        const std::lock_guard lock(database.mutex);
        return database.batches.at(uuid);
    }
    template <typename Change>
    void in_database(Change change) {
        const std::lock_guard lock(database.mutex);
        change(database);
    }
    EventLog& log() { return database.log; }

    static FakeDatabase::Failure failing(ports::DatabaseFault fault) {
        return [fault] { throw ports::DatabaseError(fault, "told to fail"); };
    }

    /// Has these steps claimed: they become ready, and a wake-up says so.
    void claim(const std::vector<std::int64_t>& step_ids) {
        database.add_ready(step_ids);
        ports::Wake wake;
        wake.keys = {1};
        push(wake);
        settle();
    }
    static ports::Inbound done(std::int64_t step_id, std::int64_t sequence, const std::string& uuid = "b1",
                               const std::string& raw = "{}") {
        auto message = partial(step_id, sequence);
        message.batch_id = uuid;
        message.attempt.reset();
        return report(message, raw);
    }
    static ports::Inbound completed(const std::vector<std::int64_t>& step_ids, std::int64_t sequence,
                                    const std::string& uuid = "b1") {
        std::vector<std::pair<std::int64_t, protocol::ReportStatus>> steps;
        for (const auto id : step_ids) steps.emplace_back(id, protocol::ReportStatus::completed);
        auto message = completion(steps, sequence);
        message.batch_id = uuid;
        return report(message);
    }

    ListenerOptions options;
    FakeDatabase database;
    FakePublisher publisher{database.log};
    FakeCredit credit;
    FakeClock clock;
    Mailbox mailbox{1000};
    std::atomic<bool> stopping{false};
    std::atomic<bool> epoch_lost{false};
    std::atomic<bool> left{false};
    std::atomic<bool> finished{false};
    int connections = 0;
    int settles = 0;
    std::unique_ptr<Listener> listener;
    std::thread thread;
};

}  // namespace tasker::engine
