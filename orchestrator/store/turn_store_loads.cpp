// What a lane reads back: batches, definitions, when it has to look again, what operators want.
#include <algorithm>
#include <utility>

#include "orchestrator/store/fields.hpp"
#include "orchestrator/store/port_errors.hpp"
#include "orchestrator/store/sql.hpp"
#include "orchestrator/store/turn_store.hpp"

namespace tasker::store {
namespace {

core::ReconciliationStatus reconciliation_from(const std::string& text) {
    if (text == "consistent") return core::ReconciliationStatus::consistent;
    return text == "discrepancy" ? core::ReconciliationStatus::discrepancy
                                 : core::ReconciliationStatus::pending;
}

ports::StoredBatchStep stored_step(const postgres::Row& row) {
    ports::StoredBatchStep step;
    step.batch_step_id = row["batch_step_id"].as<std::int64_t>();
    step.step_id = row["workflow_step_id"].as<std::int64_t>();
    step.task_id = row["task_id"].as<std::int64_t>();
    step.attempt = row["attempt"].as<std::int32_t>();
    step.step_name = row["name"].as<std::string>();
    step.named_task_id = row["named_task_id"].as<std::int32_t>();
    step.template_revision = row["template_revision"].as<std::int32_t>();
    step.timeout_ms = row["timeout_ms"].as<std::int64_t>();
    step.retry_limit = row["retry_limit"].as<std::int32_t>();
    step.tries_left = row["tries_left"].as<std::int32_t>();
    step.snoozed = row["snoozed"].as<bool>();
    step.claim_first = row["claim_first"].as<bool>();
    step.final_status = row["final_status"].as<std::string>();
    step.started = row["started"].as<bool>();
    step.conflicting = row["conflicting"].as<bool>();
    step.started_ms_ago = row["started_ms_ago"].as<std::int64_t>();
    step.granted = row["granted"].as<bool>();
    step.reported = row["reported"].as<std::string>();
    step.report_json = row["report"].as<std::string>();
    step.claimed_at = row["claimed_at"].as<std::string>();
    step.context_json = text_or_empty(row["context"]);
    step.previous_results_json = text_or_empty(row["previous_results"]);
    return step;
}

std::vector<ports::StoredBatch> stored_batches(const postgres::Result& rows) {
    std::vector<ports::StoredBatch> batches;
    for (const auto& row : rows) {
        const auto batch_id = row["batch_id"].as<std::int64_t>();
        if (batches.empty() || batches.back().batch_id != batch_id) {
            ports::StoredBatch batch;
            batch.batch_id = batch_id;
            batch.batch_uuid = row["batch_uuid"].as<std::string>();
            batch.session = row["session"].as<std::string>();
            batch.handler_key = row["handler_key"].as<std::int32_t>();
            batch.state =
                core::parse_batch_state(row["state"].as<std::string>()).value_or(core::BatchState::published);
            batch.reconciliation = reconciliation_from(row["reconciliation_status"].as<std::string>());
            batch.completion_received = row["final_completion_received"].as<bool>();
            batch.completion_json = text_or_empty(row["completion"]);
            batches.push_back(std::move(batch));
        }
        batches.back().steps.push_back(stored_step(row));
    }
    return batches;
}

/// Why the server could not build a request on a connection that goes on; nothing for any other failure.
std::string unsendable_for(const postgres::DatabaseError& error) {
    if (error.connection_is_gone() || error.kind() == postgres::DbFailure::retryable) return "";
    const auto& sqlstate = error.sqlstate();
    // Longer than a text may be (54), an allocation beyond the limit (XX000), not enough memory for it.
    if (sqlstate.starts_with("54") || sqlstate == "XX000" || sqlstate == "53200")
        return ports::kRequestTooLarge;
    return error.kind() == postgres::DbFailure::data ? ports::kRequestNotBuilt : "";
}

}  // namespace

std::vector<ports::StoredBatch> TurnStore::load_open_batches() {
    bool too_much = false;
    const auto rows = with_port_errors([&] {
        try {
            return connection_.run("open_batches", lane_.count, lane_.number);
        } catch (const postgres::DatabaseError& error) {
            if (unsendable_for(error).empty()) throw;
            too_much = true;
            return connection_.query(sql::open_batches_bare, lane_.count, lane_.number);
        }
    });
    auto batches = stored_batches(rows);
    // One by one, so that what cannot be built is known by its step and keeps nothing else from going on.
    if (too_much) std::for_each(batches.begin(), batches.end(), [&](auto& batch) { add_requests(batch); });
    return batches;
}

void TurnStore::add_requests(ports::StoredBatch& batch) {
    for (auto& step : batch.steps) {
        if (!step.final_status.empty()) continue;
        auto texts = load_request(batch.batch_uuid, step.step_id);
        step.context_json = std::move(texts.context_json);
        step.previous_results_json = std::move(texts.previous_results_json);
        step.unsendable = std::move(texts.unsendable);
        step.cause = std::move(texts.cause);
    }
}

ports::RequestTexts TurnStore::load_request(const std::string& batch_uuid, std::int64_t step_id) {
    return with_port_errors([&] {
        ports::RequestTexts texts;
        try {
            const auto rows = connection_.run("one_request", batch_uuid, step_id);
            if (rows.empty()) return texts;
            texts.context_json = text_or_empty(rows.at(0)[0]);
            texts.previous_results_json = text_or_empty(rows.at(0)[1]);
        } catch (const postgres::DatabaseError& error) {
            texts.unsendable = unsendable_for(error);
            if (texts.unsendable.empty()) throw;
            texts.cause = error.what();
        }
        return texts;
    });
}

std::optional<ports::StoredBatch> TurnStore::load_batch(const std::string& batch_uuid) {
    auto batches = stored_batches(with_port_errors([&] { return connection_.run("one_batch", batch_uuid); }));
    if (batches.empty()) return std::nullopt;
    return std::move(batches.front());
}

std::vector<ports::HandlerKey> TurnStore::load_handler_keys() {
    const auto rows = with_port_errors([&] { return connection_.execute(sql::handler_keys); });
    std::vector<ports::HandlerKey> keys;
    for (const auto& row : rows) {
        keys.push_back({row[0].as<std::int32_t>(), row[1].as<std::string>(), row[2].as<std::string>()});
    }
    return keys;
}

std::string TurnStore::template_name(std::int32_t named_task_id, std::int32_t revision) {
    return with_port_errors([&] {
        const auto rows = connection_.query(sql::template_name, named_task_id);
        const std::string name =
            rows.empty() ? "named task " + std::to_string(named_task_id) : rows.at(0)[0].as<std::string>();
        return "template " + name + ", revision " + std::to_string(revision) + ",";
    });
}

ports::TemplateFacts TurnStore::load_template(std::int32_t named_task_id, std::int32_t revision) {
    const auto rows = [&] {
        try {
            return with_port_errors(
                [&] { return connection_.query(sql::template_facts, named_task_id, revision); });
        } catch (const ports::DatabaseError& error) {
            if (error.fault() != ports::DatabaseFault::data) throw;
            // Nothing registers such a row: somebody has changed it by hand.
            throw ports::DatabaseError(error.fault(), "the configuration of " +
                                                          template_name(named_task_id, revision) +
                                                          " cannot be read; correct its row in "
                                                          "tasker_task_templates: " +
                                                          error.what());
        }
    }();
    ports::TemplateFacts facts;
    for (const auto& row : rows) {
        facts.namespace_name = row["namespace"].as<std::string>();
        facts.task_name = row["name"].as<std::string>();
        facts.task_version = row["version"].as<std::string>();
        facts.steps.push_back(
            {row["step"].as<std::string>(),
             row["config"].as<std::string>(),
             {row["base"].as<double>(), row["multiplier"].as<double>(), row["max"].as<double>(),
              row["jitter"].as<double>(), row["max_retry_after"].as<double>()},
             row["waits_for_lease"].as<bool>(),
             row["max_snoozes"].as<std::int32_t>()});
    }
    return facts;
}

std::optional<std::int64_t> TurnStore::next_due_in_ms() {
    const auto rows =
        with_port_errors([&] { return connection_.run("next_due", lane_.count, lane_.number); });
    const auto field = rows.at(0)[0];
    if (field.is_null()) return std::nullopt;
    return std::max<std::int64_t>(0, field.as<std::int64_t>());
}

std::vector<ports::CancelledDelivery> TurnStore::load_cancelled_deliveries() {
    const auto rows =
        with_port_errors([&] { return connection_.run("cancelled", lane_.count, lane_.number); });
    std::vector<ports::CancelledDelivery> cancelled;
    for (const auto& row : rows) {
        cancelled.push_back({row[0].as<std::string>(), row[1].as<std::string>(), row[2].as<std::int64_t>(),
                             row[3].as<std::int32_t>(), row[4].as<std::string>()});
    }
    return cancelled;
}

std::vector<ports::DrainRequest> TurnStore::load_drain_requests() {
    const auto rows = with_port_errors([&] { return connection_.execute(sql::drain_requests); });
    std::vector<ports::DrainRequest> requests;
    for (const auto& row : rows) {
        requests.push_back({row[0].as<std::string>(), row[1].as<std::int64_t>()});
    }
    return requests;
}

}  // namespace tasker::store
