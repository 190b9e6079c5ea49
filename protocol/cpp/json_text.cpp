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
            ErrorCode::malformed_json, "",
            "not valid JSON at byte " + std::to_string(p_ - begin_) + ": " + std::string(what)};
    }

    std::optional<DecodeError> error() const {
        if (!too_deep_) return malformed(fault_);
        return DecodeError{ErrorCode::too_deep, "",
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

// Beyond this an exponent is not worth counting: no number with it can be kept, or all of its digits are zeros.
constexpr std::int64_t kExponentMax = 0x7FFFFFFF / 2;

/// `p` at the first character of a number of valid JSON; moves it behind. Returns its length as `numeric` writes
/// it, without an exponent; -1 when it has too many digits for that.
std::int64_t plain_number_bytes(const char*& p, const char* end) {
    const bool is_negative = *p == '-';
    if (is_negative) ++p;
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
        const bool is_small = p != end && *p == '-';
        if (p != end && (*p == '-' || *p == '+')) ++p;
        for (; p != end && is_digit(*p); ++p) exponent = std::min(exponent * 10 + (*p - '0'), kExponentMax);
        // PostgreSQL reads none of these, not even of zero.
        if (exponent >= kExponentMax) return -1;
        if (is_small) exponent = -exponent;
    }
    const auto fraction = std::max<std::int64_t>(0, fraction_digits - exponent);
    const auto whole = first_nonzero < 0
                           ? std::int64_t{1}
                           : std::max<std::int64_t>(1, integer_digits - first_nonzero + exponent);
    if (whole + fraction > kNumberDigitsMax) return -1;
    return whole + (fraction > 0 ? fraction + 1 : 0) + (is_negative ? 1 : 0);
}

/// The length of this character in UTF-8 inside a JSON string that is no longer escaped than it must be.
std::int64_t character_bytes(int unit) {
    if (unit == '"' || unit == '\\' || unit == '\b' || unit == '\f' || unit == '\n' || unit == '\r' ||
        unit == '\t')
        return 2;
    if (unit < 0x20) return 6;
    if (unit < 0x80) return 1;
    return unit < 0x800 ? 2 : 3;
}

/// `p` at a backslash inside a string of valid JSON; moves it behind the escape (or the pair), and adds to `bytes`
/// what stands there in the end.
std::optional<std::string> storable_escape(const char*& p, const char* end, std::int64_t& bytes) {
    if (p[1] != 'u') {
        bytes += p[1] == '/' ? 1 : 2;
        p += 2;
        return std::nullopt;
    }
    const int unit = hex4(p + 2);
    p += 6;
    if (unit == 0) return "it contains \\u0000, which PostgreSQL text cannot hold";
    if (unit >= 0xDC00 && unit <= 0xDFFF)
        return "it contains the second half of a surrogate pair without the first";
    if (unit < 0xD800 || unit > 0xDBFF) {
        bytes += character_bytes(unit);
        return std::nullopt;
    }
    if (end - p >= 6 && p[0] == '\\' && p[1] == 'u') {
        const int low = hex4(p + 2);
        if (low >= 0xDC00 && low <= 0xDFFF) {
            p += 6;
            bytes += 4;
            return std::nullopt;
        }
    }
    return "it contains the first half of a surrogate pair without the second";
}

/// `p` behind the opening quote of a string; moves it behind the closing one.
std::optional<std::string> storable_string(const char*& p, const char* end, std::int64_t& bytes) {
    const char* run = p;
    for (p = skip_plain(p, end); p != end && *p != '"'; p = skip_plain(p, end)) {
        if (*p != '\\') return "it is not valid JSON";
        if (end - p < 2 || (p[1] == 'u' && end - p < 6)) return "it is not valid JSON";
        bytes += p - run;
        if (auto reason = storable_escape(p, end, bytes)) return reason;
        run = p;
    }
    if (p == end) return "it is not valid JSON";
    bytes += p - run + 2;  // and the quotes
    ++p;
    return std::nullopt;
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

std::optional<std::string> unstorable_reason(std::string_view json, JsonMeasure& measure) {
    const char* p = json.data();
    const char* const end = p + json.size();
    std::size_t open = 0;
    measure = {};
    while (p != end) {
        if (*p == '"') {
            if (auto reason = storable_string(++p, end, measure.text_bytes)) return reason;
        } else if (*p == '-' || is_digit(*p)) {
            const auto bytes = plain_number_bytes(p, end);
            if (bytes < 0)
                return "it contains a number of more than " + std::to_string(kNumberDigitsMax) +
                       " digits when it is written without an exponent";
            measure.text_bytes += bytes;
        } else {
            if (*p == '{' || *p == '[') {
                measure.depth = std::max(measure.depth, ++open);
            } else if ((*p == '}' || *p == ']') && open > 0) {
                --open;
            }
            // jsonb writes a space behind each comma and colon, and no other.
            measure.text_bytes += *p == ',' || *p == ':' ? 2 : is_space(*p) ? 0 : 1;
            ++p;
        }
    }
    return std::nullopt;
}

std::optional<std::string> unstorable_reason(std::string_view json) {
    JsonMeasure measure;
    return unstorable_reason(json, measure);
}

}  // namespace tasker::protocol
