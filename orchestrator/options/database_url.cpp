#include "orchestrator/options/database_url.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <map>
#include <string_view>

namespace tasker::options {
namespace {

// By libpq's keyword. libpq itself is for the room that connects; what it knows more of (keywords, files) it judges then.
using Parts = std::map<std::string, std::string>;

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

std::optional<std::string> decoded(std::string_view text) {
    std::string out;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] != '%') {
            out += text[at];
            continue;
        }
        if (at + 2 >= text.size()) return std::nullopt;
        const int high = hex_digit(text[at + 1]);
        const int low = hex_digit(text[at + 2]);
        if (high < 0 || low < 0 || high + low == 0) return std::nullopt;
        out += static_cast<char>(high * 16 + low);
        at += 2;
    }
    return out;
}

/// What stands before the first `mark`, taken from `text` together with the mark.
std::string_view take_until(std::string_view& text, char mark) {
    const auto end = std::min(text.find(mark), text.size());
    const auto taken = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return taken;
}

bool keep(Parts& parts, const std::string& keyword, std::string_view text) {
    const auto value = decoded(text);
    if (value && !value->empty()) parts[keyword] = *value;
    return value.has_value();
}

/// "a:1,[::1]:2,b": the hosts and their ports, each as a list.
bool keep_hosts(Parts& parts, std::string_view authority) {
    std::string ports;
    std::string hosts;
    for (bool first = true; first || !authority.empty(); first = false) {
        std::string_view one = take_until(authority, ',');
        const std::size_t end = one.starts_with('[') ? one.find(']') : 0;
        if (end == std::string_view::npos) return false;
        const auto colon = std::min(one.find(':', end), one.size());
        hosts += (first ? "" : ",") + std::string(one.substr(0, colon));
        ports += (first ? "" : ",") + std::string(one.substr(std::min(colon + 1, one.size())));
    }
    return keep(parts, "host", hosts) && keep(parts, "port", ports);
}

/// SCHEME://USER:PASSWORD@HOST:PORT/DATABASE?KEYWORD=VALUE&…, what follows the scheme.
std::optional<Parts> parse_url(std::string_view rest) {
    Parts parts;
    if (rest.find(' ') != std::string_view::npos) return std::nullopt;
    std::string_view address = take_until(rest, '?');
    const std::string_view path = address.substr(std::min(address.find('/'), address.size()));
    address.remove_suffix(path.size());
    if (const auto at = address.rfind('@'); at != std::string_view::npos) {
        std::string_view user = address.substr(0, at);
        address.remove_prefix(at + 1);
        const auto name = take_until(user, ':');
        if (!keep(parts, "user", name) || !keep(parts, "password", user)) return std::nullopt;
    }
    if (!keep_hosts(parts, address)) return std::nullopt;
    if (!keep(parts, "dbname", path.substr(std::min<std::size_t>(1, path.size())))) return std::nullopt;
    while (!rest.empty()) {
        std::string_view value = take_until(rest, '&');
        if (value.find('=') == std::string_view::npos) return std::nullopt;
        const auto keyword = decoded(take_until(value, '='));
        if (!keyword || keyword->empty() || !keep(parts, *keyword, value)) return std::nullopt;
    }
    return parts;
}

bool is_space(char c) {
    return std::isspace(static_cast<unsigned char>(c)) != 0;
}

/// KEYWORD=VALUE words; a value may stand in single quotes, with \' and \\ inside.
std::optional<Parts> parse_words(std::string_view text) {
    Parts parts;
    const auto skip_space = [&text] {
        while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
    };
    for (skip_space(); !text.empty(); skip_space()) {
        const auto equals = text.find('=');
        if (equals == std::string_view::npos) return std::nullopt;
        std::string_view keyword = text.substr(0, equals);
        while (keyword.ends_with(' ')) keyword.remove_suffix(1);
        if (keyword.empty() ||
            keyword.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") != std::string_view::npos)
            return std::nullopt;
        text.remove_prefix(equals + 1);
        skip_space();
        const bool is_quoted = text.starts_with('\'');
        if (is_quoted) text.remove_prefix(1);
        std::string value;
        for (; !text.empty() && (is_quoted ? text.front() != '\'' : !is_space(text.front()));
             text.remove_prefix(1)) {
            if (text.front() == '\\' && text.size() > 1) text.remove_prefix(1);
            value += text.front();
        }
        if (is_quoted && text.empty()) return std::nullopt;
        if (is_quoted) text.remove_prefix(1);
        parts[std::string(keyword)] = value;
    }
    return parts;
}

std::optional<Parts> parse(std::string_view url) {
    for (const std::string_view scheme : {"postgresql://", "postgres://"}) {
        if (url.starts_with(scheme)) return parse_url(url.substr(scheme.size()));
    }
    return parse_words(url);
}

std::string part(const Parts& parts, const char* keyword) {
    const auto found = parts.find(keyword);
    return found == parts.end() ? "" : found->second;
}

bool is_port(std::string_view text) {
    int value = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    return code == std::errc{} && end == text.data() + text.size() && value >= 1 && value <= 65535;
}

/// One for each host; libpq takes its default where one is left out.
bool are_ports(std::string_view list) {
    for (;;) {
        const auto comma = list.find(',');
        const auto port = list.substr(0, comma);
        if (!port.empty() && !is_port(port)) return false;
        if (comma == std::string_view::npos) return true;
        list.remove_prefix(comma + 1);
    }
}

void replace_all(std::string& text, const std::string& part, const std::string& by) {
    if (part.empty()) return;
    for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + by.size())) {
        text.replace(at, part.size(), by);
    }
}

std::string encoded(std::string_view text, bool upper) {
    std::string out;
    for (const unsigned char c : text) {
        const bool plain = std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.' || c == '~';
        out += plain   ? std::string(1, static_cast<char>(c))
               : upper ? fmt::format("%{:02X}", c)
                       : fmt::format("%{:02x}", c);
    }
    return out;
}

}  // namespace

std::optional<std::string> database_url_fault(const std::string& url) {
    const auto parts = parse(url);
    if (!parts) {
        return "is no database address; write postgresql://USER:PASSWORD@HOST:PORT/DATABASE (special characters in the "
               "password as %XX), or key=value words as host=HOST dbname=DATABASE";
    }
    if (!are_ports(part(*parts, "port"))) return "names a port that is none: allowed is 1 to 65535";
    return std::nullopt;
}

std::string url_without_secrets(const std::string& url) {
    if (url.empty()) return url;
    if (database_url_fault(url)) return "***";
    const auto parts = parse(url);
    std::string text = url;
    for (const char* keyword : {"password", "sslpassword"}) {
        const std::string secret = part(*parts, keyword);
        for (const std::string& form : {secret, encoded(secret, true), encoded(secret, false)}) {
            replace_all(text, form, "***");
        }
    }
    // Spelled in a way that none of these is, nothing is shown.
    const auto left = parse(text);
    for (const char* keyword : {"password", "sslpassword"}) {
        const std::string secret = left ? part(*left, keyword) : "unreadable";
        if (!secret.empty() && secret != "***") return "***";
    }
    return text;
}

}  // namespace tasker::options
