#include "orchestrator/store/turn_store.hpp"

#include <utility>

#include "orchestrator/postgres/array_text.hpp"
#include "orchestrator/postgres/migrator.hpp"
#include "orchestrator/store/port_errors.hpp"
#include "orchestrator/store/sql.hpp"
#include "orchestrator/store/turn_answer.hpp"
#include "orchestrator/store/turn_parameters.hpp"
#include "orchestrator/util/time.hpp"

namespace tasker::store {
namespace {

// The planner must not be led astray by tables that were empty when a plan was made: every access of a lane
// is by index, and a cached sequential scan would make the whole session slow. tasker_turn() relies on them.
constexpr const char* kPlannerSettings =
    "SET enable_seqscan = off; SET enable_mergejoin = off; SET enable_bitmapscan = off; SET enable_memoize = "
    "off; SET jit = off; "
    "SET plan_cache_mode = force_generic_plan";

// Somebody who holds a task's row (a transaction left open in a console) must hold up that task only, and not
// the whole lane for as long as it likes.
constexpr const char* kLockTimeout = "SET lock_timeout = '200ms'";

// The instance lock ends with the session: a host that vanished must not hold it for hours. Unix sockets
// ignore these.
constexpr const char* kKeepalives =
    "SET tcp_keepalives_idle = 3; SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 3; "
    "SET tcp_user_timeout = 6000";

postgres::ConnectionSettings lane_settings() {
    postgres::ConnectionSettings settings;
    settings.application_name = "tasker-orchestrator lane";
    return settings;
}

/// Topic and session come from the outside and may be any bytes; what is not plain text is left out.
std::string plain(const std::string& text) {
    for (const char c : text) {
        if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) return "";
    }
    return text.substr(0, 64);
}

/// As PostgreSQL reads a bytea: \\x and two digits for each byte.
std::string hexadecimal(const std::string& bytes) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text = "\\x";
    for (const char c : bytes) {
        text += kDigits[static_cast<unsigned char>(c) >> 4];
        text += kDigits[static_cast<unsigned char>(c) & 15];
    }
    return text;
}

}  // namespace

TurnStore::TurnStore(const postgres::Address& database, Instance instance, Lane lane)
    : instance_(std::move(instance)), lane_(lane), connection_([&] {
          return with_port_errors([&] { return postgres::Connection(database, lane_settings()); });
      }()) {
    with_port_errors([&] {
        // While a connection was lost somebody may have migrated, forwards or backwards.
        const auto schema = postgres::check_schema(connection_);
        if (schema.verdict != postgres::SchemaVerdict::ok) {
            throw ports::DatabaseError(ports::DatabaseFault::refused, schema.message);
        }
        if (const auto& reason = connection_.ground().read_only; !reason.empty()) {
            throw ports::DatabaseError(ports::DatabaseFault::refused,
                                       connection_.description() + " is read-only: " + reason);
        }
        connection_.execute(kPlannerSettings);
        connection_.execute(kKeepalives);
        connection_.execute(kLockTimeout);
        connection_.prepare("turn", turn_statement());
        connection_.prepare("open_batches", sql::open_batches);
        connection_.prepare("one_batch", sql::one_batch);
        connection_.prepare("one_request", sql::one_request);
        connection_.prepare("cancelled", sql::cancelled_deliveries);
        connection_.prepare("next_due", sql::next_due);
    });
}

ports::TurnResult TurnStore::run_turn(std::int64_t turn, const ports::TurnInput& input) {
    const auto parameters = turn_parameters({lane_.number, lane_.count, epoch_, turn, instance_.id, input});
    const auto rows = with_port_errors(
        [&] { return connection_.run("turn", pqxx::prepare::make_dynamic_params(parameters)); });
    return read_turn_answer(rows, input);
}

void TurnStore::record_rejected(const std::vector<ports::RejectedMessage>& messages) {
    postgres::ArrayText topics, codes, reasons, sessions, raws;
    const auto now = util::boot_time();
    bool any = false;
    for (const auto& message : messages) {
        if (!rejected_rows_.may_write(message.code, now)) continue;
        any = true;
        topics.add_text_or_null(plain(message.topic));
        codes.add_text(message.code);
        reasons.add_text(plain(message.reason).empty() ? message.code : message.reason);
        sessions.add_text_or_null(plain(message.session));
        raws.add_text(hexadecimal(message.raw));
    }
    if (!any) return;
    with_port_errors([&] {
        connection_.query(sql::record_rejected, topics.take(), codes.take(), reasons.take(), sessions.take(),
                          raws.take());
    });
}

std::string TurnStore::installation_uuid() {
    return with_port_errors(
        [&] { return connection_.execute(sql::installation_uuid).at(0)[0].as<std::string>(); });
}

}  // namespace tasker::store
