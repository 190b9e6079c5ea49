#include "orchestrator/templates/compiled_schema.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <stdexcept>

#include "orchestrator/templates/decimal.hpp"

namespace tasker::templates {

namespace {

void require(bool good, const std::string& path, std::string_view what) {
    if (!good)
        throw std::invalid_argument(fmt::format("The schema cannot be used: {} is not {}.", path, what));
}

bool is_count(const ExactJson& value) {
    if (value.number() == nullptr) return false;
    const Decimal number(value.number()->text);
    return number.is_whole() && !(number < Decimal());
}

bool is_divisor(const ExactJson& value) {
    if (value.number() == nullptr) return false;
    const Decimal number(value.number()->text);
    return number.is_positive() && number.digits() <= kDivisorDigitsMax;
}

bool is_type(const ExactJson& value) {
    constexpr std::string_view types[] = {"object",  "array",   "string", "number",
                                          "integer", "boolean", "null"};
    const auto known = [&](const ExactJson& one) {
        return one.text() != nullptr &&
               std::find(std::begin(types), std::end(types), *one.text()) != std::end(types);
    };
    if (value.list() == nullptr) return known(value);
    return !value.list()->empty() && std::all_of(value.list()->begin(), value.list()->end(), known);
}

}  // namespace

std::size_t count_of(const ExactJson& value) {
    const std::string text = Decimal(value.number()->text).text();
    std::size_t count = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), count);
    const bool whole = code == std::errc{} && end == text.data() + text.size();
    return whole ? count : std::numeric_limits<std::size_t>::max();
}

CompiledSchema::CompiledSchema(ExactJson schema) : root_(std::move(schema)) {
    waiting_.push_back({&root_, "#"});
    // Where a reference leads waits for its turn, so that no chain of them recurses.
    while (!waiting_.empty()) {
        const Place next = std::move(waiting_.back());
        waiting_.pop_back();
        this->schema(next);
    }
    seen_.clear();
}

void CompiledSchema::schema(const Place& place) {
    if (place.value->truth() != nullptr || !seen_.insert(place.value).second) return;
    require(place.value->object() != nullptr, place.path, "a schema");
    for (const ExactJson::Member& member : *place.value->object()) {
        const KnownKeyword* known = find_keyword(member.key);
        if (known != nullptr)
            keyword(known->kind, {&member.value, fmt::format("{}/{}", place.path, member.key)});
    }
}

void CompiledSchema::keyword(Keyword kind, const Place& place) {
    const ExactJson& value = *place.value;
    switch (kind) {
        case Keyword::anything:
            return;
        case Keyword::text:
        case Keyword::format:
            return require(value.text() != nullptr, place.path, "text");
        case Keyword::truth:
            return require(value.truth() != nullptr, place.path, "true or false");
        case Keyword::number:
            return require(value.number() != nullptr, place.path, "a number");
        case Keyword::positive_number:
            return require(is_divisor(value), place.path,
                           fmt::format("a number above 0 of at most {} digits", kDivisorDigitsMax));
        case Keyword::count:
            return require(is_count(value), place.path, "a whole number from 0 on");
        case Keyword::pattern:
            require(value.text() != nullptr, place.path, "text");
            return add_pattern(*value.text(), place.path);
        case Keyword::reference:
            return reference(place);
        case Keyword::type:
            return require(is_type(value), place.path, "a type or a list of types");
        case Keyword::names:
            return names(place);
        case Keyword::list:
            return require(value.list() != nullptr, place.path, "a list");
        case Keyword::schema:
            return schema(place);
        case Keyword::schema_or_list:
            return value.list() != nullptr ? schema_list(place) : schema(place);
        case Keyword::schema_list:
            return schema_list(place);
        case Keyword::schema_map:
        case Keyword::pattern_map:
        case Keyword::dependencies:
            return schema_map(kind, place);
    }
}

void CompiledSchema::schema_list(const Place& place) {
    const auto* list = place.value->list();
    require(list != nullptr && !list->empty(), place.path, "a list of at least one schema");
    for (std::size_t index = 0; index < list->size(); ++index) {
        schema({&(*list)[index], fmt::format("{}/{}", place.path, index)});
    }
}

void CompiledSchema::schema_map(Keyword kind, const Place& place) {
    require(place.value->object() != nullptr, place.path, "a map of schemas");
    for (const ExactJson::Member& member : *place.value->object()) {
        const Place inner{&member.value, fmt::format("{}/{}", place.path, member.key)};
        if (kind == Keyword::pattern_map) add_pattern(member.key, inner.path);
        if (kind == Keyword::dependencies && member.value.list() != nullptr) {
            names(inner);
        } else {
            schema(inner);
        }
    }
}

void CompiledSchema::names(const Place& place) const {
    const auto* list = place.value->list();
    const bool good = list != nullptr && std::all_of(list->begin(), list->end(), [](const ExactJson& one) {
                          return one.text() != nullptr;
                      });
    require(good, place.path, "a list of names");
}

void CompiledSchema::reference(const Place& place) {
    require(place.value->text() != nullptr, place.path, "text");
    const auto steps = reference_steps(*place.value->text());
    require(steps.has_value(), place.path, "a reference inside this schema (#/…)");
    const ExactJson* at = &root_;
    for (const std::string& step : *steps) {
        const auto* list = at->list();
        if (list == nullptr) {
            at = at->find(step);
        } else {
            std::size_t index = list->size();
            const auto [end, code] = std::from_chars(step.data(), step.data() + step.size(), index);
            const bool usable =
                code == std::errc{} && end == step.data() + step.size() && index < list->size();
            at = usable ? &(*list)[index] : nullptr;
        }
        require(at != nullptr, place.path, "a reference that leads somewhere");
    }
    targets_[place.value] = at;
    waiting_.push_back({at, *place.value->text()});
}

void CompiledSchema::add_pattern(const std::string& text, const std::string& path) {
    if (patterns_.contains(text)) return;
    auto compiled = compile_pattern(text);
    require(compiled.has_value(), path, "a usable pattern");
    patterns_.emplace(text, std::move(*compiled));
}

}  // namespace tasker::templates
