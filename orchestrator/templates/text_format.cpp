#include "orchestrator/templates/text_format.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <chrono>

namespace tasker::templates {

namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_hex(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

// The number in exactly these digits, -1 when there are others.
int number_at(std::string_view text, std::size_t at, std::size_t digits) {
    if (at + digits > text.size()) return -1;
    int value = 0;
    for (std::size_t i = at; i < at + digits; ++i) {
        if (!is_digit(text[i])) return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

// 12:34:56[.789]Z or with an offset. Second 60 is legal where UTC may have put one in.
bool is_time(std::string_view text) {
    if (text.size() < 9 || text[2] != ':' || text[5] != ':') return false;
    const int hour = number_at(text, 0, 2);
    const int minute = number_at(text, 3, 2);
    const int second = number_at(text, 6, 2);
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60) return false;
    std::size_t at = 8;
    if (text[at] == '.') {
        const std::size_t fraction = at + 1;
        at = text.find_first_not_of("0123456789", fraction);
        if (at == std::string_view::npos || at == fraction) return false;
    }
    const std::string_view offset = text.substr(at);
    int utc = hour * 60 + minute;
    if (offset != "Z" && offset != "z") {
        const int hours = number_at(offset, 1, 2);
        const int minutes = number_at(offset, 4, 2);
        if (offset.size() != 6 || (offset[0] != '+' && offset[0] != '-') || offset[3] != ':') return false;
        if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return false;
        utc += (offset[0] == '+' ? -1 : 1) * (hours * 60 + minutes);
    }
    constexpr int day = 24 * 60;
    return second < 60 || (utc + day) % day == day - 1;
}

bool is_date_time(std::string_view text) {
    return text.size() > 11 && (text[10] == 'T' || text[10] == 't') && is_date(text.substr(0, 10)) &&
           is_time(text.substr(11));
}

bool is_address(int family, std::string_view text) {
    std::array<unsigned char, sizeof(in6_addr)> address{};
    const std::string whole(text);
    return whole.size() == text.size() && inet_pton(family, whole.c_str(), address.data()) == 1;
}
bool is_ipv4(std::string_view text) {
    return is_address(AF_INET, text);
}
bool is_ipv6(std::string_view text) {
    return is_address(AF_INET6, text);
}

// RFC 1123: labels of letters, digits and inner hyphens.
bool is_hostname(std::string_view text) {
    constexpr std::size_t name_max = 253;
    constexpr std::size_t label_max = 63;
    if (text.empty() || text.size() > name_max) return false;
    for (;;) {
        const std::size_t dot = text.find('.');
        const std::string_view label = text.substr(0, dot);
        if (label.empty() || label.size() > label_max || label.front() == '-' || label.back() == '-')
            return false;
        if (!std::all_of(label.begin(), label.end(),
                         [](char c) { return is_letter(c) || is_digit(c) || c == '-'; })) {
            return false;
        }
        if (dot == std::string_view::npos) return true;
        text.remove_prefix(dot + 1);
    }
}

// RFC 5321: words with dots between them, or a quoted text; then a host, or an address in brackets.
bool is_local_part(std::string_view text) {
    static constexpr std::string_view marks = "!#$%&'*+-/=?^_`{|}~";
    constexpr std::size_t local_max = 64;
    if (text.empty() || text.size() > local_max) return false;
    if (text.front() == '"') {
        if (text.size() < 2 || text.back() != '"') return false;
        for (std::size_t at = 1; at + 1 < text.size(); ++at) {
            if (text[at] == '"') return false;
            if (text[at] == '\\' && ++at + 1 == text.size()) return false;
            if (text[at] < ' ' || text[at] > '~') return false;
        }
        return true;
    }
    if (text.front() == '.' || text.back() == '.' || text.find("..") != std::string_view::npos) return false;
    return std::all_of(text.begin(), text.end(), [](char c) {
        return is_letter(c) || is_digit(c) || c == '.' || marks.find(c) != std::string_view::npos;
    });
}

bool is_email(std::string_view text) {
    const std::size_t at = text.rfind('@');
    if (at == std::string_view::npos || !is_local_part(text.substr(0, at))) return false;
    std::string_view host = text.substr(at + 1);
    if (!host.starts_with('[')) return is_hostname(host);
    if (!host.ends_with(']')) return false;
    host = host.substr(1, host.size() - 2);
    constexpr std::string_view tag = "IPv6:";
    return host.starts_with(tag) ? is_ipv6(host.substr(tag.size())) : is_ipv4(host);
}

bool is_uuid(std::string_view text) {
    constexpr std::size_t length = 36;
    if (text.size() != length) return false;
    for (std::size_t at = 0; at < length; ++at) {
        const bool hyphen = at == 8 || at == 13 || at == 18 || at == 23;
        if (hyphen ? text[at] != '-' : !is_hex(text[at])) return false;
    }
    return true;
}

bool is_scheme(std::string_view text) {
    return !text.empty() && is_letter(text.front()) && std::all_of(text.begin(), text.end(), [](char c) {
        return is_letter(c) || is_digit(c) || c == '+' || c == '-' || c == '.';
    });
}

// [user@]host[:port]; the host a name or an address in brackets.
bool is_authority(std::string_view text) {
    const std::size_t user = text.rfind('@') + 1;
    if (text.substr(0, user).find_first_of("[]") != std::string_view::npos) return false;
    std::string_view host = text.substr(user);
    if (host.starts_with('[')) {
        const std::size_t end = host.find(']');
        if (end == std::string_view::npos) return false;
        const std::string_view inner = host.substr(1, end - 1);
        if (!is_ipv6(inner) && !inner.starts_with('v')) return false;
        host = host.substr(end + 1);
        if (!host.empty() && host.front() != ':') return false;
    }
    if (host.find_first_of("[]") != std::string_view::npos) return false;
    const std::size_t colon = host.find(':');
    return colon == std::string_view::npos ||
           host.find_first_not_of("0123456789", colon + 1) == std::string_view::npos;
}

// RFC 3986: a scheme, then the characters that a URI may have.
bool is_uri(std::string_view text) {
    static constexpr std::string_view marks = "-._~:/?#[]@!$&'()*+,;=";
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos || !is_scheme(text.substr(0, colon))) return false;
    std::string_view rest = text.substr(colon + 1);
    for (std::size_t at = 0; at < rest.size(); ++at) {
        if (rest[at] == '%') {
            if (at + 2 >= rest.size() || !is_hex(rest[at + 1]) || !is_hex(rest[at + 2])) return false;
            at += 2;
        } else if (!is_letter(rest[at]) && !is_digit(rest[at]) &&
                   marks.find(rest[at]) == std::string_view::npos) {
            return false;
        }
    }
    if (rest.starts_with("//")) {
        rest.remove_prefix(2);
        const std::size_t end = std::min(rest.find_first_of("/?#"), rest.size());
        if (!is_authority(rest.substr(0, end))) return false;
        rest.remove_prefix(end);
    }
    return rest.find_first_of("[]") == std::string_view::npos &&
           std::count(rest.begin(), rest.end(), '#') <= 1;
}

struct Format {
    const char* name;
    FormatCheck check;
};

constexpr std::array kFormats{
    Format{"date", is_date},   Format{"date-time", is_date_time},
    Format{"email", is_email}, Format{"hostname", is_hostname},
    Format{"ipv4", is_ipv4},   Format{"ipv6", is_ipv6},
    Format{"time", is_time},   Format{"uri", is_uri},
    Format{"uuid", is_uuid},
};

}  // namespace

bool is_date(std::string_view text) {
    if (text.size() != 10 || text[4] != '-' || text[7] != '-') return false;
    const int year = number_at(text, 0, 4);
    const int month = number_at(text, 5, 2);
    const int day = number_at(text, 8, 2);
    if (year < 0 || month < 0 || day < 0) return false;
    return std::chrono::year_month_day{std::chrono::year(year),
                                       std::chrono::month(static_cast<unsigned>(month)),
                                       std::chrono::day(static_cast<unsigned>(day))}
        .ok();
}

FormatCheck find_format(std::string_view name) {
    for (const Format& one : kFormats) {
        if (one.name == name) return one.check;
    }
    return nullptr;
}

const std::vector<std::string>& checked_formats() {
    static const std::vector<std::string> names = [] {
        std::vector<std::string> all;
        all.reserve(kFormats.size());
        for (const Format& one : kFormats) all.emplace_back(one.name);
        return all;
    }();
    return names;
}

}  // namespace tasker::templates
