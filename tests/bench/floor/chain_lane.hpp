// One connection of the floor: turns over chained tasks as the product makes them under load, where each turn
// applies the reports of the turn before and claims the steps that follow.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "tests/bench/floor/pipeline.hpp"

namespace tasker::bench {

struct ChainTask {
    std::int64_t task_id = 0;
    std::vector<std::int64_t> steps;  // in order of their chain
};

struct LaneOptions {
    std::string database_url;
    int lane = 0;
    std::int64_t epoch = 1;
    std::size_t turn_size = 100;  // steps that one turn reports, and claims
    std::size_t batch_size = 10;
    std::string handler_class;
    std::int64_t handler_key = 0;
};

struct LaneResult {
    std::size_t steps = 0;
    std::size_t turns = 0;
    std::size_t batches = 0;
    std::chrono::duration<double> took{};
};

/// Not thread-safe: one thread per lane.
class ChainLane {
  public:
    explicit ChainLane(LaneOptions options);

    /// Runs these tasks to their end, and throws when a statement changes other rows than it should.
    LaneResult run(const std::vector<ChainTask>& tasks);

  private:
    struct Delivery {
        const ChainTask* task = nullptr;
        std::size_t position = 0;  // of the step in its chain, from 0
        std::int64_t id = 0;
        std::int64_t step_id() const { return task->steps[position]; }
        bool is_last() const { return position + 1 == task->steps.size(); }
    };
    struct Batch {
        std::int64_t id = 0;
        std::string uuid;
        std::vector<Delivery> deliveries;
    };
    using Batches = std::vector<Batch>;
    /// What a task's row becomes in this turn.
    struct TaskChange {
        const ChainTask* task = nullptr;
        std::size_t done = 0;
        bool starts = false;
    };

    static std::string lowest_task(const Batches& batches);
    static std::string lowest_batch(const Batches& batches);
    void reserve_ids(std::size_t steps);
    Batches claim(const Batches& reported, std::deque<const ChainTask*>& waiting);
    Batches batched(std::vector<Delivery> claimed);
    void add_turn(const Batches& reported, const Batches& claimed);
    void add_reports(const Batches& reported);
    void add_ledger(const Batches& reported);
    void add_step_changes(const Batches& reported, const Batches& claimed);
    void add_task_changes(const Batches& reported, const Batches& claimed);
    void add_new_batches(const Batches& claimed);
    void add_ended_batches(const Batches& reported);

    const LaneOptions options_;
    const std::string session_;
    Pipeline pipeline_;
    std::int64_t turn_ = 0;
    std::size_t slots_open_ = 0;
    std::size_t chain_length_ = 1;
    std::int64_t next_batch_id_ = 0;
    std::int64_t next_delivery_id_ = 0;
};

}  // namespace tasker::bench
