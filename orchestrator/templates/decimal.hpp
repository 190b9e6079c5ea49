// Numbers of JSON as they are written, without the limits of a double.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace tasker::templates {

/// Most digits a number of a context may have, written out without an exponent: one before the point at least, and all
/// behind it. tasker_json_problem() repeats it.
constexpr int kNumberDigitsMax = 1000;

/// Most digits of a `multipleOf`, zeros at either end aside.
constexpr std::size_t kDivisorDigitsMax = 18;

/// An exact decimal number: ±0.DIGITS × 10^point. Equal numbers are equal objects, however they are written: 1, 1.0 and
/// 10e-1 are one; so are 0 and -0.0. Comparing and dividing take linear time.
class Decimal {
  public:
    Decimal() = default;
    /// `text` must be a number as JSON's grammar has it. Exponents beyond ±10^9 count as that.
    explicit Decimal(std::string_view text);

    bool is_whole() const { return point_ >= static_cast<std::int64_t>(digits_.size()); }
    bool is_positive() const { return !negative_ && !digits_.empty(); }
    std::size_t digits() const { return digits_.size(); }
    /// Digits before the point; 0 or less for what is nearer to zero than 0.1.
    std::int64_t point() const { return point_; }

    /// Whether this is a whole multiple of `divisor`, which is positive, has at most kDivisorDigitsMax digits, and like
    /// this number at most kNumberDigitsMax written out.
    bool is_multiple_of(const Decimal& divisor) const;

    /// The one spelling that equal numbers share: 1, 0.5, -120; longer ones as 123e20.
    std::string text() const;

    std::strong_ordering operator<=>(const Decimal& other) const;
    bool operator==(const Decimal& other) const = default;

  private:
    bool negative_ = false;
    std::string digits_;  // neither begins nor ends with 0; empty for zero
    std::int64_t point_ = 0;
};

/// How many digits the number of JSON `text` has when it is written out without an exponent, as PostgreSQL does.
std::int64_t written_digits(std::string_view text);

}  // namespace tasker::templates
