#include "tests/bench/floor/chain_lane.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "orchestrator/postgres/array_text.hpp"
#include "protocol/cpp/encode.hpp"
#include "tests/bench/floor/statements.hpp"
#include "tests/bench/native/noop_result.hpp"

namespace tasker::bench {
namespace {

using postgres::ArrayText;

// What the worker reads in a batch and writes into its reports; only its length matters here.
const std::string kTimestamp = "2026-01-01T00:00:00.000Z";

std::string session_of(int lane) {
    char text[17];
    std::snprintf(text, sizeof text, "f1000000%08d", lane);
    return text;
}

// The product's layout: milliseconds, epoch, the batch's own id.
std::string uuid_of(std::int64_t batch_id, std::int64_t epoch) {
    const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
                         std::chrono::system_clock::now().time_since_epoch())
                         .count();
    char text[64];
    std::snprintf(text, sizeof text, "%08llx-%04llx-7%03llx-8%03llx-%012llx",
                  static_cast<unsigned long long>(now) >> 16, static_cast<unsigned long long>(now) & 0xffff,
                  static_cast<unsigned long long>(epoch) % 4096,
                  static_cast<unsigned long long>(batch_id) >> 48,
                  static_cast<unsigned long long>(batch_id) & 0xffffffffffff);
    return text;
}

template <typename Container>
std::size_t count_deliveries(const Container& batches) {
    std::size_t count = 0;
    for (const auto& batch : batches) count += batch.deliveries.size();
    return count;
}

}  // namespace

std::string ChainLane::lowest_task(const Batches& batches) {
    auto lowest = batches.front().deliveries.front().task->task_id;
    for (const auto& batch : batches) {
        for (const auto& delivery : batch.deliveries) lowest = std::min(lowest, delivery.task->task_id);
    }
    return std::to_string(lowest);
}

std::string ChainLane::lowest_batch(const Batches& batches) {
    return std::to_string(batches.front().id);
}

ChainLane::ChainLane(LaneOptions options)
    : options_(std::move(options)), session_(session_of(options_.lane)), pipeline_(options_.database_url) {
    for (const auto& statement : kStatements) pipeline_.prepare(statement.name, statement.sql);
    pipeline_.query(
        "INSERT INTO tasker_orchestrators (lane, instance, epoch, state, host, pid)"
        " VALUES ($1::smallint, 'floor', $2::bigint, 'serving', 'localhost', 0)"
        " ON CONFLICT (lane) DO UPDATE SET epoch = excluded.epoch",
        {std::to_string(options_.lane), std::to_string(options_.epoch)});
    pipeline_.query(
        "INSERT INTO tasker_workers (session, worker_id, capacity, state, epoch)"
        " VALUES ($1, 'bench', $2::int, 'gone', $3::bigint) ON CONFLICT (session) DO NOTHING",
        {session_, std::to_string(options_.turn_size), std::to_string(options_.epoch)});
}

// Ids in blocks, so that no insert has to return them.
void ChainLane::reserve_ids(std::size_t steps) {
    const auto block = [&](const std::string& table, const std::string& column) {
        // Under a lock: between the two calls the other lane must not take an id of this block.
        const auto rows = pipeline_.query(
            "SELECT setval(q.s, nextval(q.s) + $3::bigint) - $3::bigint"
            " FROM (SELECT coalesce(pg_get_serial_sequence($1, $2), $1 || '_' || $2 || '_seq')::regclass AS "
            "s, pg_advisory_xact_lock(1)) q",
            {table, column, std::to_string(steps)});
        return std::stoll(rows.at(0).at(0));
    };
    next_batch_id_ = block("tasker_step_execution_batches", "batch_id");
    next_delivery_id_ = block("tasker_step_execution_batch_steps", "id");
}

LaneResult ChainLane::run(const std::vector<ChainTask>& tasks) {
    LaneResult result;
    if (tasks.empty()) return result;
    std::deque<const ChainTask*> waiting;
    for (const auto& task : tasks) waiting.push_back(&task);
    chain_length_ = tasks.front().steps.size();
    slots_open_ = 0;
    reserve_ids(tasks.size() * chain_length_);

    const auto started = std::chrono::steady_clock::now();
    Batches reported;
    Batches claimed = claim(reported, waiting);
    while (!reported.empty() || !claimed.empty()) {
        add_turn(reported, claimed);
        pipeline_.send();
        ++result.turns;
        result.batches += claimed.size();
        result.steps += count_deliveries(claimed);
        // What the next turn claims follows from this one: prepared while PostgreSQL works.
        auto next = claim(claimed, waiting);
        pipeline_.wait();
        reported = std::exchange(claimed, std::move(next));
    }
    result.took = std::chrono::steady_clock::now() - started;
    return result;
}

ChainLane::Batches ChainLane::claim(const Batches& reported, std::deque<const ChainTask*>& waiting) {
    std::vector<Delivery> claimed;
    const auto start_next = [&] {
        if (waiting.empty()) return;
        claimed.push_back({waiting.front(), 0, 0});
        waiting.pop_front();
    };
    for (const auto& batch : reported) {
        for (const auto& delivery : batch.deliveries) {
            if (delivery.is_last()) {
                start_next();
            } else {
                claimed.push_back({delivery.task, delivery.position + 1, 0});
            }
        }
    }
    // Not all at once at the beginning: a turn then holds every position of the chain, as under steady load.
    const std::size_t share = (options_.turn_size + chain_length_ - 1) / chain_length_;
    for (std::size_t i = 0; i < share && slots_open_ < options_.turn_size; ++i, ++slots_open_) start_next();
    // The oldest step first, as the product claims.
    std::sort(claimed.begin(), claimed.end(),
              [](const auto& a, const auto& b) { return a.step_id() < b.step_id(); });
    return batched(std::move(claimed));
}

ChainLane::Batches ChainLane::batched(std::vector<Delivery> claimed) {
    Batches batches;
    for (auto& delivery : claimed) {
        if (batches.empty() || batches.back().deliveries.size() == options_.batch_size) {
            const auto id = next_batch_id_++;
            batches.push_back({id, uuid_of(id, options_.epoch), {}});
        }
        delivery.id = next_delivery_id_++;
        batches.back().deliveries.push_back(delivery);
    }
    return batches;
}

void ChainLane::add_turn(const Batches& reported, const Batches& claimed) {
    pipeline_.add(
        "guard", {std::to_string(++turn_), std::to_string(options_.lane), std::to_string(options_.epoch)}, 1);
    if (!reported.empty()) {
        add_reports(reported);
        add_ledger(reported);
    }
    add_step_changes(reported, claimed);
    add_task_changes(reported, claimed);
    if (!claimed.empty()) add_new_batches(claimed);
    if (!reported.empty()) add_ended_batches(reported);
}

void ChainLane::add_reports(const Batches& reported) {
    ArrayText steps, tasks, outputs, batches;
    for (const auto& batch : reported) {
        for (const auto& delivery : batch.deliveries) {
            steps.add(delivery.step_id());
            tasks.add(delivery.task->task_id);
            outputs.add_text(noop_output());
            batches.add(batch.id);
        }
    }
    const auto count = count_deliveries(reported);
    const auto step_list = steps.take();
    pipeline_.add("complete_steps", {step_list, tasks.take(), outputs.take(), lowest_task(reported)}, count);
    pipeline_.add("report_deliveries", {batches.take(), step_list, lowest_batch(reported)}, count);
}

void ChainLane::add_ledger(const Batches& reported) {
    ArrayText batch_ids, deliveries, types, sequences, statuses, dispositions, raws;
    const auto add = [&](const Batch& batch, std::int64_t sequence, bool is_result, const std::string& raw) {
        batch_ids.add(batch.id);
        types.add_text(is_result ? "partial_result" : "batch_completion");
        sequences.add(sequence);
        statuses.add_text_or_null(is_result ? "completed" : "");
        dispositions.add_text(is_result ? "applied" : "noted");
        raws.add_text(raw);
    };
    for (const auto& batch : reported) {
        std::int64_t sequence = 0;
        auto completion = noop_completion(batch.uuid, session_, kTimestamp);
        for (const auto& delivery : batch.deliveries) {
            deliveries.add(delivery.id);
            ++sequence;
            add(batch, sequence, true,
                protocol::to_json(
                    noop_result(batch.uuid, session_, delivery.step_id(), 1, sequence, kTimestamp)));
            completion.step_summaries.push_back(
                {delivery.step_id(), 1, protocol::ReportStatus::completed, 0, std::nullopt});
        }
        completion.total_steps = completion.completed_steps = sequence;
        completion.sequence = sequence + 1;
        deliveries.add_null();
        add(batch, sequence + 1, false, protocol::to_json(completion));
    }
    pipeline_.add("ledger",
                  {session_, batch_ids.take(), deliveries.take(), types.take(), sequences.take(),
                   statuses.take(), dispositions.take(), raws.take()},
                  count_deliveries(reported) + reported.size());
}

void ChainLane::add_step_changes(const Batches& reported, const Batches& claimed) {
    ArrayText steps, tasks, sort_keys, from, to, events;
    ArrayText claimed_steps, claimed_tasks, parents;
    for (const auto& batch : claimed) {
        for (const auto& delivery : batch.deliveries) {
            claimed_steps.add(delivery.step_id());
            claimed_tasks.add(delivery.task->task_id);
            parents.add(static_cast<std::int64_t>(delivery.position == 0 ? 0 : 1));
        }
    }
    const auto add = [&](const Batches& batches, int sort_key, const char* from_state, const char* to_state,
                         const char* event) {
        for (const auto& batch : batches) {
            for (const auto& delivery : batch.deliveries) {
                steps.add(delivery.step_id());
                tasks.add(delivery.task->task_id);
                sort_keys.add(static_cast<std::int64_t>(sort_key));
                from.add_text(from_state);
                to.add_text(to_state);
                events.add_text(event);
            }
        }
    };
    add(reported, 3, "in_progress", "complete", "complete");
    add(claimed, 2, "pending", "in_progress", "claim");
    if (!claimed.empty())
        pipeline_.add("claim_steps",
                      {claimed_steps.take(), claimed_tasks.take(), parents.take(), lowest_task(claimed)},
                      count_deliveries(claimed));
    pipeline_.add("step_history",
                  {steps.take(), tasks.take(), sort_keys.take(), from.take(), to.take(), events.take()},
                  count_deliveries(reported) + count_deliveries(claimed));
}

void ChainLane::add_task_changes(const Batches& reported, const Batches& claimed) {
    std::map<std::int64_t, TaskChange> changes;
    for (const auto& batch : reported) {
        for (const auto& delivery : batch.deliveries)
            changes[delivery.task->task_id] = {delivery.task, delivery.position + 1, false};
    }
    for (const auto& batch : claimed) {
        for (const auto& delivery : batch.deliveries) {
            if (delivery.position == 0) changes[delivery.task->task_id] = {delivery.task, 0, true};
        }
    }
    ArrayText ids, states, open, movable, transitions;
    ArrayText moved, sort_keys, from, to, events;
    std::size_t moves = 0;
    for (const auto& [task_id, change] : changes) {
        const auto left = change.task->steps.size() - change.done;
        const std::int64_t transition = left == 0 ? 3 : 2;
        ids.add(task_id);
        states.add_text(left == 0 ? "complete" : "in_progress");
        open.add(static_cast<std::int64_t>(left));
        movable.add(static_cast<std::int64_t>(left == 0 ? 0 : 1));
        transitions.add(transition);
        if (left != 0 && !change.starts) continue;
        ++moves;
        moved.add(task_id);
        sort_keys.add(transition);
        from.add_text(change.starts ? "pending" : "in_progress");
        to.add_text(change.starts ? "in_progress" : "complete");
        events.add_text(change.starts ? "start" : "complete");
    }
    pipeline_.add("tasks",
                  {ids.take(), states.take(), open.take(), movable.take(), transitions.take(),
                   std::to_string(changes.begin()->first)},
                  changes.size());
    if (moves > 0)
        pipeline_.add("task_history", {moved.take(), sort_keys.take(), from.take(), to.take(), events.take()},
                      moves);
}

void ChainLane::add_new_batches(const Batches& claimed) {
    ArrayText ids, tasks, uuids, sizes, delivery_ids, delivery_batches, steps, places;
    for (const auto& batch : claimed) {
        ids.add(batch.id);
        // Chained steps of one task are never in one batch, so a batch is of one task only when it has one
        // step.
        tasks.add_or_null(batch.deliveries.size() == 1 ? batch.deliveries.front().task->task_id : 0);
        uuids.add_text(batch.uuid);
        sizes.add(static_cast<std::int64_t>(batch.deliveries.size()));
        std::int64_t place = 0;
        for (const auto& delivery : batch.deliveries) {
            delivery_ids.add(delivery.id);
            delivery_batches.add(batch.id);
            steps.add(delivery.step_id());
            places.add(++place);
        }
    }
    const auto id_list = ids.take();
    pipeline_.add("batches",
                  {options_.handler_class, std::to_string(options_.handler_key), "floor", session_,
                   std::to_string(options_.epoch), std::to_string(turn_), id_list, tasks.take(), uuids.take(),
                   sizes.take()},
                  claimed.size());
    pipeline_.add(
        "deliveries",
        {options_.handler_class, delivery_ids.take(), delivery_batches.take(), steps.take(), places.take()},
        count_deliveries(claimed));
    pipeline_.add("batch_starts", {id_list}, 2 * claimed.size());
}

void ChainLane::add_ended_batches(const Batches& reported) {
    ArrayText ids, partials;
    for (const auto& batch : reported) {
        ids.add(batch.id);
        partials.add(static_cast<std::int64_t>(batch.deliveries.size()));
    }
    const auto id_list = ids.take();
    pipeline_.add("batch_ends", {id_list, partials.take(), lowest_batch(reported)}, reported.size());
    pipeline_.add("clear_flags", {id_list, lowest_batch(reported)}, reported.size());
    pipeline_.add("batch_end_history", {id_list}, 2 * reported.size());
}

}  // namespace tasker::bench
