#include "orchestrator/postgres/session.hpp"

#include <chrono>
#include <optional>

namespace tasker::postgres {
namespace {

// Everything that changes how text is read or written, what time it is, what a transaction sees, or what a
// table is. Performance settings stay those of the server.
constexpr const char* kSettings =
    // Encoding and quoting.
    "SET client_encoding = 'UTF8'; SET standard_conforming_strings = on; SET backslash_quote = safe_encoding; "
    "SET escape_string_warning = on; SET quote_all_identifiers = off; SET array_nulls = on; "
    "SET transform_null_equals = off; SET bytea_output = 'hex'; SET xmloption = 'content'; "
    // Time and numbers.
    "SET DateStyle = 'ISO, MDY'; SET IntervalStyle = 'postgres'; SET TimeZone = 'UTC'; "
    "SET extra_float_digits = 1; SET lc_numeric = 'C'; SET lc_monetary = 'C'; SET lc_time = 'C'; "
    // Transactions.
    "SET default_transaction_isolation = 'read committed'; SET default_transaction_deferrable = off; "
    // What the schema and its functions rely on while they are made and while they run.
    "SET row_security = off; SET default_table_access_method = 'heap'; SET check_function_bodies = on; "
    "SET plpgsql.extra_errors = 'none'; "
    // Lanes and listeners are idle for days.
    "SET idle_session_timeout = 0; ";

constexpr int kHasTransactionTimeout = 170000;

void set_limit(std::string& text, const std::string& own_options, const std::string& name,
               const std::optional<std::chrono::milliseconds>& value) {
    if (!value || own_options.find(name) != std::string::npos) return;
    text += "SET " + name + " = " + std::to_string(value->count()) + "; ";
}

}  // namespace

std::string session_settings(const ConnectionSettings& settings, const std::string& own_options,
                             int server_version) {
    using std::chrono::milliseconds;
    std::string text = kSettings;
    set_limit(text, own_options, "statement_timeout", settings.statement_timeout.value_or(milliseconds(0)));
    set_limit(text, own_options, "lock_timeout", settings.lock_timeout.value_or(milliseconds(0)));
    set_limit(text, own_options, "idle_in_transaction_session_timeout", settings.idle_in_transaction_timeout);
    if (server_version >= kHasTransactionTimeout)
        set_limit(text, own_options, "transaction_timeout", milliseconds(0));
    return text;
}

Ground describe_ground(const Row& found) {
    const auto text = [&](const char* column) {
        return found[column].is_null() ? std::string() : std::string(found[column].c_str());
    };
    Ground ground;
    if (const auto encoding = text("encoding"); encoding != "UTF8") {
        ground.unfit = "its encoding is " + encoding +
                       ", and Tasker needs UTF8; create another one: CREATE DATABASE name ENCODING 'UTF8' "
                       "TEMPLATE template0";
    } else if (found["schema"].is_null()) {
        ground.unfit =
            "its search_path (" + text("search_path") +
            ") names no schema that exists and that this role may use; create one, or set search_path";
    } else if (const auto role = text("replication_role"); role != "origin") {
        ground.unfit =
            "session_replication_role is " + role +
            " here, so that foreign keys are not checked; set it to origin for this role and database";
    }
    if (found["replica"].as<bool>()) {
        ground.read_only =
            "it is a replica (pg_is_in_recovery() is true); name the primary, or several hosts with "
            "target_session_attrs=read-write";
    } else if (found["is_read_only"].as<bool>()) {
        ground.read_only = "default_transaction_read_only is on (set by: " + text("read_only_source") + ")";
    }
    if (text("synchronous_commit") == "off")
        ground.risk =
            "synchronous_commit is off: results that were acknowledged are lost when the server crashes";
    return ground;
}

}  // namespace tasker::postgres
