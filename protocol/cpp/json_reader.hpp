// Internal to the codec: reads simdjson values into message structs by tables of fields. The text has already
// passed check_json, so what can still go wrong is a missing field, a wrong type or an impossible value; the
// first fault ends the reading and collects its path on the way out.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "protocol/cpp/error.hpp"
#include "protocol/cpp/messages.hpp"

namespace tasker::protocol {

using JsonValue = simdjson::ondemand::value;
using JsonObject = simdjson::ondemand::object;

class JsonReader {
  public:
    /// Records the fault and returns false, so that readers can `return reader.fail(…)`.
    bool fail(ErrorCode code, std::string message);
    bool fail(DecodeError error);
    bool fail_type(std::string_view expected);
    bool fail_simdjson(simdjson::error_code code);
    /// Puts a member name or an index in front of the path of the recorded fault.
    void within(std::string_view member);
    void within(std::size_t index);
    DecodeError take_error() { return std::move(error_); }

  private:
    DecodeError error_;
};

// Readers of scalars. Each leaves `out` undefined when it returns false.

/// Any text.
bool read_text(JsonReader& reader, JsonValue& value, std::string& out);
/// A name or code: text that is not empty and holds no U+0000 (PostgreSQL text could not store it).
bool read_name(JsonReader& reader, JsonValue& value, std::string& out);
bool read_batch_id(JsonReader& reader, JsonValue& value, std::string& out);
bool read_session_id(JsonReader& reader, JsonValue& value, std::string& out);
bool read_time(JsonReader& reader, JsonValue& value, std::string& out);
bool read_status(JsonReader& reader, JsonValue& value, ReportStatus& out);
bool read_bool(JsonReader& reader, JsonValue& value, bool& out);
/// A finite number that is not negative.
bool read_seconds(JsonReader& reader, JsonValue& value, double& out);
/// Raw text of any JSON value, or of an object.
bool read_raw(JsonReader& reader, JsonValue& value, std::string& out);
bool read_raw_object(JsonReader& reader, JsonValue& value, std::string& out);
/// A whole number, written without fraction and exponent.
bool read_integer(JsonReader& reader, JsonValue& value, std::int64_t minimum, std::int64_t maximum,
                  std::int64_t& out);

/// With the range of `Bound`, a whole number type, from `Minimum` on.
template <std::int64_t Minimum, typename Bound, typename Integer = Bound>
bool read_int(JsonReader& reader, JsonValue& value, Integer& out) {
    static_assert(sizeof(Bound) <= sizeof(Integer));
    std::int64_t wide = 0;
    if (!read_integer(reader, value, Minimum, std::numeric_limits<Bound>::max(), wide)) return false;
    out = static_cast<Integer>(wide);
    return true;
}
/// Ids and attempts count from 1, durations and clocks from 0. Sequences, counts and process ids are held to
/// 32 bits: no honest worker needs more, and not every column that stores them holds more.
inline constexpr auto kReadId = read_int<1, std::int64_t>;
inline constexpr auto kReadDuration = read_int<0, std::int64_t>;
inline constexpr auto kReadAttempt = read_int<1, std::int32_t>;
inline constexpr auto kReadSequence = read_int<1, std::int32_t, std::int64_t>;
inline constexpr auto kReadCount = read_int<0, std::int32_t, std::int64_t>;

template <auto ReadElement, typename Element>
bool read_list(JsonReader& reader, JsonValue& value, std::vector<Element>& out) {
    simdjson::ondemand::array array;
    if (value.get_array().get(array)) return reader.fail_type("an array");
    out.clear();
    for (auto item : array) {
        JsonValue element;
        if (const auto code = item.get(element)) return reader.fail_simdjson(code);
        if (!ReadElement(reader, element, out.emplace_back())) {
            reader.within(out.size() - 1);
            return false;
        }
    }
    return true;
}

/// One member of a message: its wire name, whether it must be there, and how it is read and reset.
template <typename T>
struct FieldSpec {
    std::string_view name;
    bool required;
    bool (*read)(JsonReader&, JsonValue&, T&);
    void (*clear)(T&);
};

template <typename T>
struct MemberTraits;
template <typename T, typename M>
struct MemberTraits<M T::*> {
    using Owner = T;
    using Type = M;
};

template <typename T>
inline constexpr bool kIsOptional = false;
template <typename T>
inline constexpr bool kIsOptional<std::optional<T>> = true;

template <auto Member, auto Read>
constexpr auto field_spec(std::string_view name, bool required) {
    using Owner = typename MemberTraits<decltype(Member)>::Owner;
    using Type = typename MemberTraits<decltype(Member)>::Type;
    return FieldSpec<Owner>{name, required,
                            [](JsonReader& reader, JsonValue& value, Owner& out) {
                                if constexpr (kIsOptional<Type>) {
                                    return Read(reader, value, (out.*Member).emplace());
                                } else {
                                    return Read(reader, value, out.*Member);
                                }
                            },
                            [](Owner& out) { out.*Member = Type{}; }};
}
template <auto Member, auto Read>
constexpr auto required(std::string_view name) {
    return field_spec<Member, Read>(name, true);
}
template <auto Member, auto Read>
constexpr auto optional(std::string_view name) {
    return field_spec<Member, Read>(name, false);
}

/// Index of `name` in the table, or its size. `hint` is where writers that keep our order have it.
template <typename T>
std::size_t find_field(std::span<const FieldSpec<T>> specs, std::string_view name, std::size_t hint) {
    if (hint < specs.size() && specs[hint].name == name) return hint;
    std::size_t index = 0;
    while (index < specs.size() && specs[index].name != name) ++index;
    return index;
}

/// Reads an object by its table. Unknown members are skipped; of a member given twice the last one counts;
/// null is the same as absent.
template <typename T>
bool read_fields(JsonReader& reader, JsonObject& object, std::span<const FieldSpec<T>> specs, T& out) {
    std::uint32_t seen = 0;
    std::size_t hint = 0;
    std::map<std::size_t, DecodeError> faults;  // by field: a later member of the same name overrules them
    for (auto item : object) {
        simdjson::ondemand::field member;
        if (const auto code = std::move(item).get(member)) return reader.fail_simdjson(code);
        std::string_view name;
        // A name with half a surrogate pair cannot be unescaped; no field of ours is called so.
        if (member.unescaped_key().get(name)) continue;
        const std::size_t index = find_field(specs, name, hint);
        if (index == specs.size()) continue;
        hint = index + 1;
        const FieldSpec<T>& spec = specs[index];
        JsonValue value = member.value();
        simdjson::ondemand::json_type type{};
        if (const auto code = value.type().get(type)) return reader.fail_simdjson(code);
        if (type == simdjson::ondemand::json_type::null) {
            spec.clear(out);
            faults.erase(index);
            seen &= ~(std::uint32_t{1} << index);
            continue;
        }
        faults.erase(index);
        if (!spec.read(reader, value, out)) {
            reader.within(spec.name);
            faults.emplace(index, reader.take_error());
        }
        seen |= std::uint32_t{1} << index;
    }
    if (!faults.empty()) return reader.fail(std::move(faults.begin()->second));
    for (std::size_t i = 0; i < specs.size(); ++i) {
        if (specs[i].required && (seen & (std::uint32_t{1} << i)) == 0) {
            reader.fail(ErrorCode::missing_field, "is missing or null");
            reader.within(specs[i].name);
            return false;
        }
    }
    return true;
}

/// Reads a value that must be an object, by the table `Specs` (an array with static storage).
template <const auto& Specs, typename T>
bool read_struct(JsonReader& reader, JsonValue& value, T& out) {
    static_assert(std::size(Specs) <= 32, "`seen` in read_fields has 32 bits");
    JsonObject object;
    if (value.get_object().get(object)) return reader.fail_type("an object");
    return read_fields<T>(reader, object, Specs, out);
}

// The tables of StepRef and StepError serve several messages.
bool read_step_ref(JsonReader& reader, JsonValue& value, StepRef& out);
/// An error object: its raw text, and the fields the orchestrator acts on.
bool read_error(JsonReader& reader, JsonValue& value, std::string& raw, std::optional<StepError>& out);

/// One message type of a direction: its wire name and how its object is read into the variant.
template <typename Variant>
struct MessageSpec {
    std::string_view type;
    bool (*read)(JsonReader&, JsonObject&, Variant&);
};

template <typename Variant, typename T, const auto& Specs>
constexpr MessageSpec<Variant> message_spec(std::string_view type) {
    static_assert(std::size(Specs) <= 32, "`seen` in read_fields has 32 bits");
    return {type, [](JsonReader& reader, JsonObject& object, Variant& out) {
                return read_fields<T>(reader, object, Specs, out.template emplace<T>());
            }};
}

std::span<const MessageSpec<WorkerMessage>> session_message_specs();  // topic `workers `
std::span<const MessageSpec<WorkerMessage>> report_message_specs();   // topic `results `
std::span<const MessageSpec<OrchestratorMessage>> orchestrator_message_specs();

}  // namespace tasker::protocol
