#include "orchestrator/cli/show/dead_letter_text.hpp"

#include <algorithm>
#include <array>

namespace tasker::cli {
namespace {

struct Reason {
    std::string_view word;
    std::string_view meaning;
    bool unknown_outcome;
};
constexpr std::array<Reason, 12> kReasons = {{
    {"session_lost", "its worker went away before it reported; whether the work was done is not known", true},
    {"timed_out", "it did not report within its time; whether the work was done is not known", true},
    {"not_accepted", "its worker never accepted it; whether the work was done is not known", true},
    {"held_unstarted", "its worker held it and did not start it in time", false},
    {"absent",
     "its worker had taken it and does not know it any more; whether the work was done is not known", true},
    {"not_reported", "its worker said that it had reported it, and its report never came", true},
    {"handler_still_running", "its time was over and the handler still ran: a retry would have run beside it",
     true},
    {"retries_exhausted", "it failed in each of its attempts", false},
    {"snoozes_exhausted", "its handler asked for a later time more often than max_snoozes allows", false},
    {"handed_back_too_often", "workers handed it back a hundred times and never started it", false},
    {"request_too_large", "its request is larger than limits.batch_bytes, so it cannot be sent", false},
    {"request_not_built", "the database cannot build its request; the error has the cause", false},
}};

const Reason* find(std::string_view word) {
    const auto* found =
        std::find_if(kReasons.begin(), kReasons.end(), [&](const Reason& one) { return one.word == word; });
    return found == kReasons.end() ? nullptr : found;
}

}  // namespace

std::vector<std::string> dead_letter_reasons() {
    std::vector<std::string> words;
    for (const Reason& one : kReasons) words.emplace_back(one.word);
    return words;
}

std::string_view meaning_of_reason(std::string_view reason) {
    const Reason* found = find(reason);
    return found == nullptr ? "" : found->meaning;
}

bool leaves_outcome_unknown(std::string_view reason) {
    const Reason* found = find(reason);
    return found != nullptr && found->unknown_outcome;
}

}  // namespace tasker::cli
