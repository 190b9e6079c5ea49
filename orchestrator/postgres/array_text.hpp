// PostgreSQL array literals. libpqxx 6.4.5 has no array parameters, so sets travel as text: {1,2,NULL,"a
// \"b\""}.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace tasker::postgres {

/// Builds one array literal element by element. Text must be UTF-8 without NUL bytes.
class ArrayText {
  public:
    void add(std::int64_t value) {
        separate();
        char digits[24];
        const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
        text_.append(digits, end);
    }
    void add_double(double value) {
        separate();
        char digits[40];
        const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
        text_.append(digits, end);
    }
    void add_bool(bool value) {
        separate();
        text_ += value ? 't' : 'f';
    }
    void add_text(std::string_view value) {
        separate();
        text_ += '"';
        // Only these two need an escape inside a quoted element; copy the runs between them whole.
        std::size_t start = 0;
        for (std::size_t at = value.find_first_of("\"\\"); at != std::string_view::npos;
             at = value.find_first_of("\"\\", at + 1)) {
            text_.append(value, start, at - start);
            text_ += '\\';
            start = at;
        }
        text_.append(value, start);
        text_ += '"';
    }
    void add_null() {
        separate();
        text_ += "NULL";
    }
    /// 0 and "" stand for NULL here.
    void add_or_null(std::int64_t value) { value == 0 ? add_null() : add(value); }
    void add_text_or_null(std::string_view value) { value.empty() ? add_null() : add_text(value); }
    void add_or_null(std::optional<bool> value) { value ? add_bool(*value) : add_null(); }
    void add_or_null(std::optional<double> value) { value ? add_double(*value) : add_null(); }

    /// The finished literal; the builder is empty afterwards.
    std::string take() {
        text_ += '}';
        return std::exchange(text_, std::string(1, '{'));
    }

  private:
    void separate() {
        if (text_.size() > 1) text_ += ',';
    }
    std::string text_ = "{";
};

}  // namespace tasker::postgres
