#include "orchestrator/postgres/address.hpp"

#include <libpq-fe.h>

#include <algorithm>
#include <cstdlib>

#include "orchestrator/postgres/connection.hpp"

namespace tasker::postgres {
namespace {

std::string part_or(const UrlParts& parts, const std::string& keyword, const char* variable,
                    const std::string& fallback) {
    if (const auto found = parts.find(keyword); found != parts.end() && !found->second.empty())
        return found->second;
    const char* value = std::getenv(variable);
    return value != nullptr && *value != '\0' ? value : fallback;
}

std::vector<std::string> split_at_commas(const std::string& list) {
    std::vector<std::string> items{""};
    for (const char character : list) {
        if (character == ',') {
            items.emplace_back();
        } else {
            items.back() += character;
        }
    }
    return items;
}

}  // namespace

UrlParts parse_url(const std::string& url) {
    char* problem = nullptr;
    PQconninfoOption* options = PQconninfoParse(url.c_str(), &problem);
    if (options == nullptr) {
        // libpq's own text may repeat parts of the URL, a password among them.
        PQfreemem(problem);
        throw DatabaseError(
            DbFailure::other, "",
            "the database URL cannot be parsed; expected "
            "postgresql://USER:PASSWORD@HOST:PORT/DATABASE (special characters in the password "
            "as %XX), or postgresql:///DATABASE?host=/directory/of/the/socket");
    }
    UrlParts parts;
    for (const PQconninfoOption* option = options; option->keyword != nullptr; ++option) {
        if (option->val != nullptr) parts[option->keyword] = option->val;
    }
    PQconninfoFree(options);
    return parts;
}

std::string keyword_string(const UrlParts& parts) {
    std::string text;
    for (const auto& [keyword, value] : parts) {
        text += keyword + "='";
        for (const char character : value) {
            if (character == '\'' || character == '\\') text += '\\';
            text += character;
        }
        text += "' ";
    }
    return text;
}

std::string describe(const UrlParts& parts) {
    const std::string host =
        part_or(parts, "host", "PGHOST", part_or(parts, "hostaddr", "PGHOSTADDR", "local socket"));
    const std::string port = part_or(parts, "port", "PGPORT", "5432");
    const std::string user = part_or(parts, "user", "PGUSER", "");
    const bool socket = host.starts_with('/') || host == "local socket";
    std::string text = "database \"" + part_or(parts, "dbname", "PGDATABASE", user) + "\" at " + host;
    text += socket ? " port " + port : ":" + port;
    return user.empty() ? text : text + " (user \"" + user + "\")";
}

std::string without_password(std::string text, const UrlParts& parts) {
    const auto password = parts.find("password");
    if (password == parts.end() || password->second.empty()) return text;
    for (auto at = text.find(password->second); at != std::string::npos;
         at = text.find(password->second, at + 3)) {
        text.replace(at, password->second.size(), "***");
    }
    return text;
}

std::vector<UrlParts> each_host(const UrlParts& parts) {
    const auto hosts = split_at_commas(part_or(parts, "host", "PGHOST", ""));
    const auto addresses = split_at_commas(part_or(parts, "hostaddr", "PGHOSTADDR", ""));
    const auto ports = split_at_commas(part_or(parts, "port", "PGPORT", ""));
    const std::size_t count = std::max(hosts.size(), addresses.size());
    const auto fits = [&](const std::vector<std::string>& list) {
        return list.size() == count || list.size() == 1;
    };
    // A list that does not match is for libpq to complain about.
    if (count == 1 || !fits(hosts) || !fits(addresses) || !fits(ports)) return {parts};
    std::vector<UrlParts> each(count, parts);
    for (std::size_t i = 0; i < count; ++i) {
        const auto set = [&](const char* keyword, const std::vector<std::string>& list) {
            const std::string& item = list.size() == 1 ? list.front() : list[i];
            if (list.size() > 1 || !item.empty()) each[i][keyword] = item;
        };
        set("host", hosts);
        set("hostaddr", addresses);
        set("port", ports);
    }
    return each;
}

std::string own_options(const UrlParts& parts) {
    return part_or(parts, "options", "PGOPTIONS", "");
}

std::string describe_database(const std::string& url) {
    try {
        return describe(parse_url(url));
    } catch (const DatabaseError&) {
        return "a database URL that cannot be parsed";
    }
}

std::string with_database(const std::string& url, const std::string& database) {
    auto parts = parse_url(url);
    parts["dbname"] = database;
    return keyword_string(parts);
}

}  // namespace tasker::postgres
