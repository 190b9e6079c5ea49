// A state machine as data: its words and its legal transitions are rows of tables, and only these functions
// look into them. `states.hpp` has the machines of tasks, steps and batches, `sessions/states.hpp`
// that of sessions.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

namespace tasker::core {

/// A state or an event, and its one spelling in C++, SQL, JSON and logs.
template <typename Value>
struct Word {
    Value value;
    std::string_view text;
};

/// `event` leads from `from` to `to`. A transition that has no row is illegal.
template <typename State, typename Event>
struct Transition {
    State from;
    Event event;
    State to;
};

/// The first row of a history: it has no state before it.
template <typename State>
struct FirstTransition {
    std::string_view event;
    State to;
};

/// Specialised for each enumeration of states, with
///   Event         the enumeration of its events
///   kStates       Words of all states, in the order of the enumeration
///   kEvents       Words of all events, likewise
///   kTransitions  every legal Transition
///   kFirst        FirstTransition, where there is a history
template <typename State>
struct Machine;

/// The state reached by `event` in `from`, or nothing when that is illegal. Never throws.
template <typename State>
constexpr std::optional<State> next_state(State from, typename Machine<State>::Event event) {
    for (const auto& row : Machine<State>::kTransitions) {
        if (row.from == from && row.event == event) return row.to;
    }
    return std::nullopt;
}

/// The word of a value; the table lists the values in their order.
template <typename Value, std::size_t size>
constexpr std::string_view text_in(const std::array<Word<Value>, size>& words, Value value) {
    return words[static_cast<std::size_t>(value)].text;
}

/// The value of a word, or nothing for an unknown one.
template <typename Value, std::size_t size>
constexpr std::optional<Value> find_word(const std::array<Word<Value>, size>& words, std::string_view text) {
    for (const auto& word : words) {
        if (word.text == text) return word.value;
    }
    return std::nullopt;
}

/// Whether a table may be asked with `text_in`: each value stands in the place of its number.
template <typename Value, std::size_t size>
constexpr bool is_in_order(const std::array<Word<Value>, size>& words) {
    for (std::size_t i = 0; i < size; ++i) {
        if (static_cast<std::size_t>(words[i].value) != i) return false;
    }
    return true;
}

}  // namespace tasker::core
