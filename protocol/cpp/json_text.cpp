#include "protocol/cpp/json_text.hpp"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <bitset>
#include <cstdint>
#include <cstring>

namespace tasker::protocol {
namespace {

constexpr std::size_t kDepthCeiling = 1024;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool is_space(char c) {
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/// -1 when `c` is no hexadecimal digit.
int hex_value(char c) {
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/// The code unit of the four digits at `p`, or -1.
int hex4(const char* p) {
    int value = 0;
    for (int i = 0; i < 4; ++i) {
        const int digit = hex_value(p[i]);
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

/// First byte in [p, end) that a plain run of string characters cannot contain: quote, backslash or a control
/// character. Eight bytes at a time, since this is where most of a message's bytes go by.
const char* skip_plain(const char* p, const char* end) {
    constexpr std::uint64_t kOnes = 0x0101010101010101ULL;
    constexpr std::uint64_t kHigh = 0x8080808080808080ULL;
    while (end - p >= 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, p, sizeof word);
        const auto zero_bytes = [](std::uint64_t x) { return (x - kOnes) & ~x & kHigh; };
        const std::uint64_t control = (word - kOnes * 0x20) & ~word & kHigh;
        if ((control | zero_bytes(word ^ (kOnes * '"')) | zero_bytes(word ^ (kOnes * '\\'))) != 0) break;
        p += 8;
    }
    while (p != end && *p != '"' && *p != '\\' && static_cast<unsigned char>(*p) >= 0x20) ++p;
    return p;
}

/// One pass over the text, with a bit per open container instead of a stack of frames.
class Checker {
  public:
    Checker(std::string_view json, std::size_t depth_max)
        : begin_(json.data()),
          p_(begin_),
          end_(begin_ + json.size()),
          depth_max_(std::min(depth_max, kDepthCeiling)) {}

    std::optional<DecodeError> run() {
        skip_space();
        if (p_ == end_) return malformed("is empty");
        while (true) {
            bool opened = false;
            if (!value(opened)) return error();
            if (opened) continue;
            if (!close_and_separate()) return error();
            if (depth_ == 0) break;
        }
        skip_space();
        if (p_ != end_) return malformed("something follows the end of the JSON value");
        return std::nullopt;
    }

  private:
    /// Reads a scalar, or opens a container up to its first value (`opened`); an empty container counts as a
    /// scalar.
    bool value(bool& opened) {
        if (p_ == end_) return fault("ends where a value is expected");
        switch (*p_) {
            case '{':
                return open(true, '}', opened);
            case '[':
                return open(false, ']', opened);
            case '"':
                return string();
            case 't':
                return literal("true");
            case 'f':
                return literal("false");
            case 'n':
                return literal("null");
            default:
                return number();
        }
    }

    bool open(bool object, char closing, bool& opened) {
        if (depth_ >= depth_max_) {
            too_deep_ = true;
            return false;
        }
        ++p_;
        skip_space();
        if (p_ != end_ && *p_ == closing) {
            ++p_;
            return true;
        }
        is_object_[depth_++] = object;
        opened = true;
        return !object || key();
    }

    bool key() {
        if (p_ == end_ || *p_ != '"') return fault("a member name in quotes is expected");
        if (!string()) return false;
        skip_space();
        if (p_ == end_ || *p_ != ':') return fault("':' is expected");
        ++p_;
        skip_space();
        return true;
    }

    /// After a value: closes what ends here; returns with the cursor at the next value, or with depth 0 at
    /// the end.
    bool close_and_separate() {
        while (depth_ > 0) {
            skip_space();
            const bool object = is_object_[depth_ - 1];
            if (p_ == end_) return fault(object ? "an object is not closed" : "an array is not closed");
            if (*p_ == ',') {
                ++p_;
                skip_space();
                return !object || key();
            }
            if (*p_ != (object ? '}' : ']'))
                return fault(object ? "',' or '}' is expected" : "',' or ']' is expected");
            ++p_;
            --depth_;
        }
        return true;
    }

    bool string() {
        ++p_;
        while (true) {
            p_ = skip_plain(p_, end_);
            if (p_ == end_) return fault("a string is not closed");
            if (*p_ == '"') {
                ++p_;
                return true;
            }
            if (*p_ != '\\') return fault("a control character stands in a string");
            if (!escape()) return false;
        }
    }

    bool escape() {
        if (end_ - p_ < 2) return fault("a string is not closed");
        const char kind = p_[1];
        if (kind == 'u') {
            if (end_ - p_ < 6 || hex4(p_ + 2) < 0) return fault("\\u needs four hexadecimal digits");
            p_ += 6;
            return true;
        }
        if (kind == '\0' || std::strchr("\"\\/bfnrt", kind) == nullptr)
            return fault("this escape does not exist");
        p_ += 2;
        return true;
    }

    bool literal(std::string_view word) {
        if (static_cast<std::size_t>(end_ - p_) < word.size() ||
            std::memcmp(p_, word.data(), word.size()) != 0) {
            return fault("a value is expected");
        }
        p_ += word.size();
        return true;
    }

    bool number() {
        const char* const start = p_;
        if (*p_ == '-') ++p_;
        if (p_ == end_ || !is_digit(*p_)) {
            p_ = start;
            return fault("a value is expected");
        }
        if (*p_ == '0') {
            ++p_;
            if (p_ != end_ && is_digit(*p_)) return fault("a number does not begin with 0");
        } else {
            digits();
        }
        if (p_ != end_ && *p_ == '.') {
            ++p_;
            if (!digits()) return fault("digits are expected after the decimal point");
        }
        if (p_ != end_ && (*p_ == 'e' || *p_ == 'E')) {
            ++p_;
            if (p_ != end_ && (*p_ == '+' || *p_ == '-')) ++p_;
            if (!digits()) return fault("digits are expected in the exponent");
        }
        return true;
    }

    bool digits() {
        const char* const start = p_;
        while (p_ != end_ && is_digit(*p_)) ++p_;
        return p_ != start;
    }

    void skip_space() {
        while (p_ != end_ && is_space(*p_)) ++p_;
    }

    bool fault(const char* what) {
        fault_ = what;
        return false;
    }

    std::optional<DecodeError> malformed(std::string_view what) const {
        return DecodeError{
            ErrorCode::kMalformedJson, "",
            "not valid JSON at byte " + std::to_string(p_ - begin_) + ": " + std::string(what)};
    }

    std::optional<DecodeError> error() const {
        if (!too_deep_) return malformed(fault_);
        return DecodeError{ErrorCode::kTooDeep, "",
                           "JSON is nested deeper than " + std::to_string(depth_max_) + " levels at byte " +
                               std::to_string(p_ - begin_)};
    }

    const char* begin_;
    const char* p_;
    const char* end_;
    std::size_t depth_max_;
    std::size_t depth_ = 0;
    std::bitset<kDepthCeiling> is_object_;
    const char* fault_ = "";
    bool too_deep_ = false;
};

// What PostgreSQL 15's `numeric` can hold: 131072 digits before the point, a display scale of 16383, and an
// exponent that its reader accepts at all.
constexpr std::int64_t kNumericIntegerDigits = 131072;
constexpr std::int64_t kNumericScaleMax = 16383;
constexpr std::int64_t kNumericExponentMax = 0x7FFFFFFF / 2;

/// `p` at the first character of a number of valid JSON; moves it behind. False when `numeric` cannot hold
/// it.
bool storable_number(const char*& p, const char* end) {
    if (*p == '-') ++p;
    std::int64_t integer_digits = 0;
    std::int64_t fraction_digits = 0;
    std::int64_t first_nonzero = -1;  // index among all digits
    const auto count = [&](std::int64_t& counter) {
        for (; p != end && is_digit(*p); ++p, ++counter) {
            if (*p != '0' && first_nonzero < 0) first_nonzero = integer_digits + fraction_digits;
        }
    };
    count(integer_digits);
    if (p != end && *p == '.') {
        ++p;
        count(fraction_digits);
    }
    std::int64_t exponent = 0;
    if (p != end && (*p == 'e' || *p == 'E')) {
        ++p;
        const bool negative = p != end && *p == '-';
        if (p != end && (*p == '-' || *p == '+')) ++p;
        for (; p != end && is_digit(*p); ++p)
            exponent = std::min(exponent * 10 + (*p - '0'), kNumericExponentMax);
        if (exponent >= kNumericExponentMax) return false;
        if (negative) exponent = -exponent;
    }
    if (fraction_digits - exponent > kNumericScaleMax) return false;
    return first_nonzero < 0 || integer_digits - first_nonzero + exponent <= kNumericIntegerDigits;
}

/// `p` at a backslash inside a string of valid JSON; moves it behind the escape (or the pair).
std::optional<std::string> storable_escape(const char*& p, const char* end) {
    if (p[1] != 'u') {
        p += 2;
        return std::nullopt;
    }
    const int unit = hex4(p + 2);
    p += 6;
    if (unit == 0) return "it contains \\u0000, which PostgreSQL text cannot hold";
    if (unit >= 0xDC00 && unit <= 0xDFFF)
        return "it contains the second half of a surrogate pair without the first";
    if (unit < 0xD800 || unit > 0xDBFF) return std::nullopt;
    if (end - p >= 6 && p[0] == '\\' && p[1] == 'u') {
        const int low = hex4(p + 2);
        if (low >= 0xDC00 && low <= 0xDFFF) {
            p += 6;
            return std::nullopt;
        }
    }
    return "it contains the first half of a surrogate pair without the second";
}

}  // namespace

std::optional<DecodeError> check_json(std::string_view json, std::size_t depth_max) {
    if (!simdjson::validate_utf8(json.data(), json.size())) {
        return DecodeError{ErrorCode::kInvalidUtf8, "", "the bytes are not valid UTF-8"};
    }
    return Checker(json, depth_max).run();
}

bool contains_nul_escape(std::string_view json) {
    std::size_t at = 0;
    while ((at = json.find('\\', at)) != std::string_view::npos) {
        if (json.substr(at + 1, 5) == "u0000") return true;
        at += 2;  // the escaped character may itself be a backslash
    }
    return false;
}

std::optional<std::string> unstorable_reason(std::string_view json) {
    const char* p = json.data();
    const char* const end = p + json.size();
    while (p != end) {
        if (*p == '"') {
            for (p = skip_plain(p + 1, end); p != end && *p != '"'; p = skip_plain(p, end)) {
                if (*p != '\\') return "it is not valid JSON";
                if (end - p < 2 || (p[1] == 'u' && end - p < 6)) return "it is not valid JSON";
                if (auto reason = storable_escape(p, end)) return reason;
            }
            if (p == end) return "it is not valid JSON";
            ++p;
        } else if (*p == '-' || is_digit(*p)) {
            if (!storable_number(p, end))
                return "it contains a number outside the range of PostgreSQL's numeric";
        } else {
            ++p;
        }
    }
    return std::nullopt;
}

}  // namespace tasker::protocol
