#include <algorithm>
#include <cctype>

#include "orchestrator/api/query.hpp"
#include "orchestrator/api/sql.hpp"
#include "orchestrator/postgres/array_text.hpp"

namespace tasker::api {
std::string batch_list_json(postgres::Connection& connection, const BatchFilter& filter) {
    const ListFilter& more = filter.more;
    return connection
        .query(sql::batch_list, filter.task_id, filter.state, filter.limit, more.before, more.since,
               more.until, more.handler, more.template_namespace, more.template_name, more.template_version,
               more.error)
        .at(0)[0]
        .as<std::string>();
}

std::optional<std::string> batch_json(postgres::Connection& connection, const std::string& id) {
    // 18 digits always fit a bigint; a uuid has letters or dashes.
    const bool is_number =
        !id.empty() && id.size() <= 18 &&
        std::all_of(id.begin(), id.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
    const auto number = is_number ? std::optional(id) : std::nullopt;
    const auto uuid = is_number ? std::nullopt : std::optional(id);
    const auto rows = connection.query(sql::batch, number, uuid);
    if (rows.empty()) return std::nullopt;
    return rows.at(0)[0].as<std::string>();
}

std::string discrepancies_json(postgres::Connection& connection, int limit, bool all) {
    return connection.query(sql::discrepancies, limit, all).at(0)[0].as<std::string>();
}

std::string worker_list_json(postgres::Connection& connection, bool all) {
    return connection.query(sql::worker_list, all).at(0)[0].as<std::string>();
}

std::string rejected_json(postgres::Connection& connection, int limit) {
    return connection.query(sql::rejected_list, limit).at(0)[0].as<std::string>();
}

std::string session_states_json(postgres::Connection& connection, std::span<const std::string> sessions) {
    postgres::ArrayText text;
    for (const auto& session : sessions) text.add_text(session);
    return connection.query(sql::session_states, text.take()).at(0)[0].as<std::string>();
}

std::string health_json(postgres::Connection& connection) {
    return connection.execute(sql::health).at(0)[0].as<std::string>();
}

}  // namespace tasker::api
