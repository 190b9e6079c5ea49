// What looks like a secret in a handler_config: it would stand in the database in clear, and in every batch.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "orchestrator/options/yaml/reader.hpp"

namespace tasker::templates {

/// Whether a key is named like a secret: it ends with api_key, token, password and the like, in any spelling
/// (apiKey, API-KEY). What only speaks of one is none: token_url, max_tokens, password_min_length.
bool is_secret_name(std::string_view key);

/// Whether a text has a form that only secrets have: sk_live_…, AKIA…, a PEM block of a private key, a URL with a
/// password.
bool is_secret_text(std::string_view text);

/// Warns of each value below `config` that looks like a secret, by its name or its form. The value is not shown. A
/// reference, { $secret: NAME }, is none; one that is malformed is an error.
void warn_of_secrets(const yaml::Located& config, yaml::ProblemList& problems);

/// The configuration for people: whatever looks like a secret is replaced by a text that says so.
nlohmann::ordered_json without_secrets(const nlohmann::ordered_json& value);

}  // namespace tasker::templates
