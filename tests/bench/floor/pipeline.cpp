#include "tests/bench/floor/pipeline.hpp"

#include <cstdlib>
#include <stdexcept>

namespace tasker::bench {
namespace {

// As orchestrator/store/turn_store.cpp: every access by index, whatever the statistics say.
constexpr const char* kPlannerSettings =
    "SET enable_seqscan = off; SET enable_mergejoin = off; SET enable_bitmapscan = off; SET jit = off; "
    "SET plan_cache_mode = force_generic_plan";

std::vector<const char*> pointers(const std::vector<std::string>& values) {
    std::vector<const char*> result;
    result.reserve(values.size());
    for (const auto& value : values) result.push_back(value.c_str());
    return result;
}

}  // namespace

Pipeline::Pipeline(const std::string& url) : connection_(PQconnectdb(url.c_str()), PQfinish) {
    if (PQstatus(connection_.get()) != CONNECTION_OK) fail("connect to the database");
    const Result done(PQexec(connection_.get(), kPlannerSettings), PQclear);
    if (PQresultStatus(done.get()) != PGRES_COMMAND_OK) fail("set the planner's options");
}

void Pipeline::fail(const std::string& what) const {
    throw std::runtime_error("cannot " + what + ": " + PQerrorMessage(connection_.get()));
}

std::vector<std::vector<std::string>> Pipeline::query(const std::string& sql,
                                                      const std::vector<std::string>& values) {
    const auto parameters = pointers(values);
    const Result result(PQexecParams(connection_.get(), sql.c_str(), static_cast<int>(parameters.size()),
                                     nullptr, parameters.data(), nullptr, nullptr, 0),
                        PQclear);
    const auto status = PQresultStatus(result.get());
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) fail("run " + sql);
    std::vector<std::vector<std::string>> rows(static_cast<std::size_t>(PQntuples(result.get())));
    for (std::size_t row = 0; row < rows.size(); ++row) {
        for (int column = 0; column < PQnfields(result.get()); ++column)
            rows[row].emplace_back(PQgetvalue(result.get(), static_cast<int>(row), column));
    }
    return rows;
}

void Pipeline::prepare(const std::string& name, const std::string& sql) {
    const Result result(PQprepare(connection_.get(), name.c_str(), sql.c_str(), 0, nullptr), PQclear);
    if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) fail("prepare " + name);
}

void Pipeline::add(const std::string& name, const std::vector<std::string>& values, std::size_t rows) {
    if (queued_.empty() && PQenterPipelineMode(connection_.get()) != 1) fail("enter pipeline mode");
    const auto parameters = pointers(values);
    if (PQsendQueryPrepared(connection_.get(), name.c_str(), static_cast<int>(parameters.size()),
                            parameters.data(), nullptr, nullptr, 0) != 1)
        fail("send " + name);
    queued_.push_back({name, rows});
}

void Pipeline::send() {
    // Statements up to a sync are one transaction, which the sync commits.
    if (PQpipelineSync(connection_.get()) != 1) fail("send the transaction");
}

void Pipeline::wait() {
    for (const auto& expected : queued_) {
        const Result result(PQgetResult(connection_.get()), PQclear);
        if (PQresultStatus(result.get()) != PGRES_COMMAND_OK)
            throw std::runtime_error("statement " + expected.name +
                                     " failed: " + PQresultErrorMessage(result.get()));
        const auto changed = std::strtoull(PQcmdTuples(result.get()), nullptr, 10);
        if (changed != expected.rows)
            throw std::runtime_error("statement " + expected.name + " changed " + std::to_string(changed) +
                                     " rows instead of " + std::to_string(expected.rows));
        // Each statement's results end with a null.
        if (PQgetResult(connection_.get()) != nullptr) fail("read the end of " + expected.name);
    }
    const Result sync(PQgetResult(connection_.get()), PQclear);
    if (PQresultStatus(sync.get()) != PGRES_PIPELINE_SYNC) fail("commit");
    queued_.clear();
    if (PQexitPipelineMode(connection_.get()) != 1) fail("leave pipeline mode");
}

}  // namespace tasker::bench
