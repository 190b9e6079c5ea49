// What the reasons of dead letters mean, and which of them leave open whether the work was done.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tasker::cli {

/// Every reason there is.
std::vector<std::string> dead_letter_reasons();

/// A dead letter's reason as a sentence; "" for a word that is no reason.
std::string_view meaning_of_reason(std::string_view reason);

/// Whether the step may have had its effect: somebody must find out before it is run again.
bool leaves_outcome_unknown(std::string_view reason);

}  // namespace tasker::cli
