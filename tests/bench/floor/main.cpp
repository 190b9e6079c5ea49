// tasker-bench-floor: what PostgreSQL and the machine cost without an orchestrator. See --help.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <future>
#include <iostream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/bench/floor/chain_lane.hpp"
#include "tests/bench/floor/machine.hpp"

namespace {

using namespace tasker::bench;

struct RowsOptions {
    std::string database_url;
    std::string task = "chain4";
    std::size_t turn_size = 100;
    std::size_t batch_size = 10;
    std::size_t connections = 1;
    std::size_t warm_up = 40;
    std::int64_t epoch = 1;
};

struct Work {
    std::vector<ChainTask> tasks;
    std::string handler_class;
    std::int64_t handler_key = 0;
};

/// The tasks of this name that have not begun.
Work read_work(Pipeline& pipeline, const std::string& name) {
    const auto rows = pipeline.query(
        "SELECT s.task_id, s.workflow_step_id, s.handler_class, s.handler_key FROM tasker_tasks t"
        " JOIN tasker_named_tasks n ON n.named_task_id = t.named_task_id"
        " JOIN tasker_workflow_steps s ON s.task_id = t.task_id"
        " WHERE n.name = $1 AND t.state = 'pending' ORDER BY s.task_id, s.workflow_step_id",
        {name});
    Work work;
    for (const auto& row : rows) {
        const auto task_id = std::stoll(row[0]);
        if (work.tasks.empty() || work.tasks.back().task_id != task_id) work.tasks.push_back({task_id, {}});
        work.tasks.back().steps.push_back(std::stoll(row[1]));
        work.handler_class = row[2];
        work.handler_key = std::stoll(row[3]);
    }
    if (work.tasks.empty())
        throw std::runtime_error("no pending task is named " + name + ": submit some first");
    return work;
}

std::vector<LaneResult> run_all(const std::vector<std::unique_ptr<ChainLane>>& lanes,
                                const std::vector<std::vector<ChainTask>>& shares) {
    std::vector<std::future<LaneResult>> running;
    for (std::size_t i = 0; i < lanes.size(); ++i)
        running.push_back(std::async(std::launch::async, [&, i] { return lanes[i]->run(shares[i]); }));
    std::vector<LaneResult> results;
    results.reserve(running.size());
    for (auto& lane : running) results.push_back(lane.get());
    return results;
}

std::vector<std::vector<ChainTask>> split(std::vector<ChainTask>::const_iterator from,
                                          std::vector<ChainTask>::const_iterator to, std::size_t parts) {
    std::vector<std::vector<ChainTask>> shares(parts);
    const auto count = static_cast<std::size_t>(to - from);
    for (std::size_t i = 0; i < count; ++i) shares[i * parts / count].push_back(from[static_cast<long>(i)]);
    return shares;
}

void print(const std::vector<LaneResult>& results) {
    LaneResult sum;
    for (const auto& result : results) {
        sum.steps += result.steps;
        sum.turns += result.turns;
        sum.batches += result.batches;
        sum.took = std::max(sum.took, result.took);
    }
    std::printf(R"({"steps":%zu,"seconds":%.6f,"turns":%zu,"batches":%zu})"
                "\n",
                sum.steps, sum.took.count(), sum.turns, sum.batches);
    std::fflush(stdout);
}

void run_rows(const RowsOptions& options) {
    Pipeline reader(options.database_url);
    const auto work = read_work(reader, options.task);
    std::vector<std::unique_ptr<ChainLane>> lanes;
    for (std::size_t i = 0; i < options.connections; ++i) {
        LaneOptions lane;
        lane.database_url = options.database_url;
        lane.lane = static_cast<int>(i);
        lane.epoch = options.epoch;
        lane.turn_size = options.turn_size;
        lane.batch_size = options.batch_size;
        lane.handler_class = work.handler_class;
        lane.handler_key = work.handler_key;
        lanes.push_back(std::make_unique<ChainLane>(lane));
    }
    // The first turns pay for plans and caches, here as in the product.
    const auto warm = static_cast<long>(std::min(options.warm_up, work.tasks.size() / 2));
    if (warm > 0) run_all(lanes, split(work.tasks.begin(), work.tasks.begin() + warm, lanes.size()));
    const auto shares = split(work.tasks.begin() + warm, work.tasks.end(), lanes.size());
    // Whoever measures takes the counters now, says so, and takes them again after the result's line.
    std::printf("ready\n");
    std::fflush(stdout);
    std::string line;
    std::getline(std::cin, line);
    print(run_all(lanes, shares));
    std::getline(std::cin, line);
}

void run_machine(const std::string& folder, int count) {
    const double ipc = median(zmq_round_trips_us("ipc://" + folder + "/round-trip", count));
    const double tcp = median(zmq_round_trips_us("tcp://127.0.0.1:*", count));
    std::printf(R"({"zmq_ipc_round_trip_us":%.1f,"zmq_tcp_round_trip_us":%.1f,"fdatasync_8k_us":%.1f})"
                "\n",
                ipc, tcp, median(fsync_times_us(folder, std::min(count, 500))));
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app(
        "The floor of the benchmarks: what PostgreSQL and the machine cost without an orchestrator.");
    app.require_subcommand(1);
    RowsOptions rows;
    auto* rows_command = app.add_subcommand(
        "rows", "write what the product writes for chained tasks, in plain SQL, and print steps and seconds");
    rows_command->add_option("url", rows.database_url, "a migrated database without orchestrator")
        ->required();
    rows_command->add_option("--task", rows.task,
                             "named task; its pending tasks are run to their end (chain4)");
    rows_command->add_option("--turn", rows.turn_size, "steps per transaction (100)")
        ->check(CLI::Range(1, 100000));
    rows_command->add_option("--batch-size", rows.batch_size, "steps per batch (10)")
        ->check(CLI::Range(1, 10000));
    rows_command
        ->add_option("--connections", rows.connections, "connections, with tasks of their own each (1)")
        ->check(CLI::Range(1, 64));
    rows_command->add_option("--warm-up", rows.warm_up, "tasks run before the measured ones (40)");
    rows_command->add_option("--epoch", rows.epoch, "a number not used before in this database (1)");
    std::string folder = "/tmp";
    int count = 2000;
    auto* machine_command = app.add_subcommand("machine", "ZeroMQ round trips and fdatasync, medians in µs");
    machine_command->add_option("--folder", folder, "where the file and the socket are made (/tmp)");
    machine_command->add_option("--count", count, "round trips (2000)")->check(CLI::Range(10, 1000000));
    CLI11_PARSE(app, argc, argv);
    try {
        if (*rows_command) run_rows(rows);
        if (*machine_command) run_machine(folder, count);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "tasker-bench-floor: %s\n", error.what());
        return 1;
    }
    return 0;
}
