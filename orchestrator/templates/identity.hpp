// Hashes that decide whether two submissions are the same task.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "orchestrator/templates/template.hpp"

namespace tasker::templates {

/// Lower-case hex SHA-256 (64 digits) of the bytes.
std::string sha256_hex(std::string_view bytes);

/// `value` in the one form that all equal contexts share: object keys sorted, no white space, and a number
/// without a fraction written as an integer (1.0 equals 1). Text must be valid UTF-8, as everything parsed
/// from JSON is.
std::string normalised_json(const nlohmann::json& value);

/// SHA-256 over the normalised context. Used to tell whether a repeated idempotency key brings another
/// context.
std::string context_hash(const nlohmann::json& context);

/// The scope of identities, "namespace/name": versions of one named task share their keys.
std::string identity_scope(std::string_view namespace_name, std::string_view name);

/// tasker_task_identities.identity_hash for an idempotency key chosen by the caller.
std::string key_identity_hash(std::string_view idempotency_key);

/// The same for `identity: strict`: named task (with its version) and normalised context. Never equal to the
/// hash of any idempotency key.
std::string strict_identity_hash(const Template& definition, const nlohmann::json& context);

}  // namespace tasker::templates
