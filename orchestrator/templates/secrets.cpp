#include "orchestrator/templates/secrets.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>

namespace tasker::templates {

namespace {

using yaml::YamlNode;

constexpr std::string_view kHidden = "(looks like a secret, not shown)";
constexpr const char* kReference = "$secret";
constexpr std::size_t kSecretNameBytesMax = 200;

bool is_upper(char letter) {
    return letter >= 'A' && letter <= 'Z';
}

// "apiKey", "API-KEY" and "api.key" as "_api_key": each word in lower case behind an underscore.
std::string in_words(std::string_view key) {
    std::string words = "_";
    for (std::size_t at = 0; at < key.size(); ++at) {
        const auto letter = static_cast<unsigned char>(key[at]);
        const bool begins = at > 0 && is_upper(key[at]) && !is_upper(key[at - 1]);
        if ((letter < 0x80 && std::isalnum(letter) == 0) || begins) {
            if (words.back() != '_') words += '_';
            if (!begins) continue;
        }
        words += static_cast<char>(std::tolower(letter));
    }
    return words;
}

bool is_token_letter(char letter) {
    return std::isalnum(static_cast<unsigned char>(letter)) != 0 || letter == '_' || letter == '-';
}

// A prefix that issuers give their keys, and at least so many letters behind it.
bool has_issued_key(std::string_view text) {
    struct Form {
        std::string_view prefix;
        std::size_t letters;
    };
    constexpr std::array forms{Form{"sk_live_", 8}, Form{"sk_test_", 8}, Form{"rk_live_", 8},
                               Form{"AKIA", 16},    Form{"ASIA", 16},    Form{"ghp_", 20},
                               Form{"gho_", 20},    Form{"ghs_", 20},    Form{"github_pat_", 20},
                               Form{"glpat-", 16},  Form{"xoxb-", 10},   Form{"xoxp-", 10},
                               Form{"AIza", 35}};
    return std::any_of(forms.begin(), forms.end(), [text](const Form& form) {
        for (std::size_t at = text.find(form.prefix); at != std::string_view::npos;
             at = text.find(form.prefix, at + 1)) {
            if (at > 0 && is_token_letter(text[at - 1])) continue;
            const std::string_view rest = text.substr(at + form.prefix.size());
            const auto end = std::find_if_not(rest.begin(), rest.end(), is_token_letter);
            if (static_cast<std::size_t>(end - rest.begin()) >= form.letters) return true;
        }
        return false;
    });
}

bool has_private_key(std::string_view text) {
    const std::size_t begin = text.find("-----BEGIN ");
    return begin != std::string_view::npos && text.find("PRIVATE KEY-----", begin) != std::string_view::npos;
}

// scheme://user:password@host
bool has_password_in_url(std::string_view text) {
    const std::size_t scheme = text.find("://");
    if (scheme == std::string_view::npos) return false;
    const std::string_view authority =
        text.substr(scheme + 3, text.find_first_of("/?# ", scheme + 3) - scheme - 3);
    const std::size_t at = authority.rfind('@');
    const std::size_t colon = authority.find(':');
    return at != std::string_view::npos && colon != std::string_view::npos && colon + 1 < at;
}

// Whether a value can be a secret at all: a text or a whole number; true and false only say whether there is one.
bool is_spelled_out(const YamlNode& node) {
    if (node.kind != YamlNode::Kind::scalar || node.unresolved || node.text.empty()) return false;
    if (node.quoted) return true;
    const std::string type = yaml::describe(node);
    return type == "text" || type == "a whole number";
}

void warn(const yaml::Located& value, std::string_view why, yaml::ProblemList& problems) {
    problems.warning(
        value.node.line, value.node.column, value.path,
        std::string("By its ") + std::string(why) +
            ", this value is a secret. The database would hold it in clear. Write { $secret: NAME } "
            "in its place, with a NAME such as stripe/api_key. The worker then reads it from its "
            "--secrets-dir, or from TASKER_SECRET_STRIPE_API_KEY in its environment.");
}

// letters, digits, _ . and -, in parts with a / between; no part is . or .., since each may be a file's name.
bool is_secret_reference_name(std::string_view name) {
    if (name.empty() || name.size() > kSecretNameBytesMax) return false;
    while (true) {
        const std::string_view part = name.substr(0, name.find('/'));
        const bool plain = std::all_of(part.begin(), part.end(), [](char letter) {
            return std::isalnum(static_cast<unsigned char>(letter)) != 0 || letter == '_' || letter == '.' ||
                   letter == '-';
        });
        if (!plain || part.empty() || part == "." || part == "..") return false;
        if (part.size() == name.size()) return true;
        name.remove_prefix(part.size() + 1);
    }
}

const YamlNode* reference_in(const YamlNode& node) {
    for (const yaml::Entry& entry : node.entries) {
        if (entry.key == kReference) return &entry.value;
    }
    return nullptr;
}

void check_reference(const yaml::Located& value, const YamlNode& name, yaml::ProblemList& problems) {
    const bool is_name = name.kind == YamlNode::Kind::scalar && is_secret_reference_name(name.text);
    if (is_name && value.node.entries.size() == 1) return;
    problems.error(
        name.line, name.column, yaml::child_path(value.path, kReference),
        "A secret reference is { $secret: NAME } without other keys. A NAME has letters, digits, _ . - "
        "and / between its parts, and at most 200 characters.");
}

void walk(const yaml::Located& value, std::string_view key, yaml::ProblemList& problems) {
    if (is_spelled_out(value.node)) {
        if (is_secret_text(value.node.text)) return warn(value, "form", problems);
        if (is_secret_name(key)) warn(value, "name", problems);
        return;
    }
    if (const YamlNode* name = reference_in(value.node)) return check_reference(value, *name, problems);
    for (std::size_t index = 0; index < value.node.items.size(); ++index)
        walk({value.node.items[index], yaml::item_path(value.path, index)}, key, problems);
    for (const yaml::Entry& entry : value.node.entries)
        walk({entry.value, yaml::child_path(value.path, entry.key)}, entry.key, problems);
}

nlohmann::ordered_json shown(const nlohmann::ordered_json& value, std::string_view key) {
    nlohmann::ordered_json result = value;
    if (value.is_object() && value.contains(kReference)) {
        // Its name is no secret.
    } else if (value.is_object()) {
        for (const auto& [name, inner] : value.items()) result[name] = shown(inner, name);
    } else if (value.is_array()) {
        for (std::size_t index = 0; index < value.size(); ++index) result[index] = shown(value[index], key);
    } else if (value.is_string() && !value.get_ref<const std::string&>().empty()) {
        if (is_secret_name(key) || is_secret_text(value.get_ref<const std::string&>())) result = kHidden;
    } else if (value.is_number_integer() && is_secret_name(key)) {
        result = kHidden;
    }
    return result;
}

}  // namespace

bool is_secret_name(std::string_view key) {
    constexpr std::array<std::string_view, 14> endings{
        "_api_key",    "_apikey",         "_token",      "_password",    "_passwd",
        "_passphrase", "_secret",         "_secret_key", "_private_key", "_access_key",
        "_auth_key",   "_encryption_key", "_credential", "_credentials"};
    const std::string words = in_words(key);
    return std::any_of(endings.begin(), endings.end(),
                       [&words](std::string_view ending) { return words.ends_with(ending); });
}

bool is_secret_text(std::string_view text) {
    return has_issued_key(text) || has_private_key(text) || has_password_in_url(text);
}

void warn_of_secrets(const yaml::Located& config, yaml::ProblemList& problems) {
    walk(config, "", problems);
}

nlohmann::ordered_json without_secrets(const nlohmann::ordered_json& value) {
    return shown(value, "");
}

}  // namespace tasker::templates
