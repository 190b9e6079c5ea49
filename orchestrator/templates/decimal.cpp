#include "orchestrator/templates/decimal.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace tasker::templates {

namespace {

constexpr std::int64_t kExponentMax = 1'000'000'000;

// The parts of "-12.50e3": 12, 50, 3.
struct Parts {
    bool negative = false;
    std::string_view whole;
    std::string_view fraction;
    std::int64_t exponent = 0;
};

Parts split(std::string_view text) {
    Parts parts;
    if (text.starts_with('-')) {
        parts.negative = true;
        text.remove_prefix(1);
    }
    const std::size_t mark = text.find_first_of("eE");
    if (mark != std::string_view::npos) {
        std::string_view power = text.substr(mark + 1);
        const bool below = power.starts_with('-');
        if (below || power.starts_with('+')) power.remove_prefix(1);
        const auto [end, code] = std::from_chars(power.data(), power.data() + power.size(), parts.exponent);
        if (code != std::errc{}) parts.exponent = kExponentMax;
        parts.exponent = std::min(parts.exponent, kExponentMax);
        if (below) parts.exponent = -parts.exponent;
        text = text.substr(0, mark);
    }
    const std::size_t point = std::min(text.find('.'), text.size());
    parts.whole = text.substr(0, point);
    if (point < text.size()) parts.fraction = text.substr(point + 1);
    return parts;
}

}  // namespace

Decimal::Decimal(std::string_view text) {
    const Parts parts = split(text);
    digits_.reserve(parts.whole.size() + parts.fraction.size());
    digits_.append(parts.whole).append(parts.fraction);
    const std::size_t zeros = std::min(digits_.find_first_not_of('0'), digits_.size());
    digits_.erase(0, zeros);
    digits_.erase(digits_.find_last_not_of('0') + 1);
    if (digits_.empty()) return;
    negative_ = parts.negative;
    point_ =
        static_cast<std::int64_t>(parts.whole.size()) - static_cast<std::int64_t>(zeros) + parts.exponent;
}

bool Decimal::is_multiple_of(const Decimal& divisor) const {
    if (digits_.empty()) return true;
    // Both as whole numbers times a power of ten. These end with no 0, so a negative power left over is a fraction.
    const std::int64_t power = (point_ - static_cast<std::int64_t>(digits_.size())) -
                               (divisor.point_ - static_cast<std::int64_t>(divisor.digits_.size()));
    if (power < 0) return false;
    std::uint64_t by = 0;
    std::from_chars(divisor.digits_.data(), divisor.digits_.data() + divisor.digits_.size(), by);
    std::uint64_t rest = 0;
    for (const char digit : digits_) rest = (rest * 10 + static_cast<std::uint64_t>(digit - '0')) % by;
    for (std::int64_t zero = 0; zero < power && rest != 0; ++zero) rest = rest * 10 % by;
    return rest == 0;
}

std::string Decimal::text() const {
    constexpr std::int64_t plain_max = 40;
    if (digits_.empty()) return "0";
    const auto count = static_cast<std::int64_t>(digits_.size());
    const std::string sign = negative_ ? "-" : "";
    if (is_whole()) {
        if (point_ > plain_max) return fmt::format("{}{}e{}", sign, digits_, point_ - count);
        return sign + digits_ + std::string(static_cast<std::size_t>(point_ - count), '0');
    }
    if (point_ > 0) {
        const auto at = static_cast<std::size_t>(point_);
        return fmt::format("{}{}.{}", sign, digits_.substr(0, at), digits_.substr(at));
    }
    if (-point_ > plain_max) return fmt::format("{}{}e{}", sign, digits_, point_ - count);
    return sign + "0." + std::string(static_cast<std::size_t>(-point_), '0') + digits_;
}

std::strong_ordering Decimal::operator<=>(const Decimal& other) const {
    const auto sign = [](const Decimal& number) {
        return number.digits_.empty() ? 0 : number.negative_ ? -1 : 1;
    };
    if (sign(*this) != sign(other) || digits_.empty()) return sign(*this) <=> sign(other);
    const auto larger =
        point_ != other.point_ ? point_ <=> other.point_ : digits_.compare(other.digits_) <=> 0;
    if (!negative_) return larger;
    if (std::is_eq(larger)) return larger;
    return std::is_lt(larger) ? std::strong_ordering::greater : std::strong_ordering::less;
}

std::int64_t written_digits(std::string_view text) {
    const Parts parts = split(text);
    const Decimal number(text);
    const std::int64_t behind =
        std::max<std::int64_t>(0, static_cast<std::int64_t>(parts.fraction.size()) - parts.exponent);
    return std::max<std::int64_t>(1, number.point()) + behind;
}

}  // namespace tasker::templates
