// Hashes that decide whether two submissions are the same task.
#pragma once

#include <string>
#include <string_view>

#include "orchestrator/templates/exact_json.hpp"
#include "orchestrator/templates/template.hpp"

namespace tasker::templates {

/// Lower-case hex SHA-256 (64 digits) of the bytes.
std::string sha256_hex(std::string_view bytes);

/// SHA-256 over the context's normal form: keys sorted, and numbers exact, so that 1, 1.0 and 10e-1 are the same and two
/// that differ in their last digit are not. Used to tell whether a repeated idempotency key brings another context.
std::string context_hash(const ExactJson& context);

/// The scope of identities, "namespace/name": versions of one named task share their keys.
std::string identity_scope(std::string_view namespace_name, std::string_view name);

/// tasker_task_identities.identity_hash for an idempotency key chosen by the caller.
std::string key_identity_hash(std::string_view idempotency_key);

/// The same for `identity: strict`: named task (with its version) and normalised context. Never equal to the
/// hash of any idempotency key.
std::string strict_identity_hash(const Template& definition, const ExactJson& context);

}  // namespace tasker::templates
