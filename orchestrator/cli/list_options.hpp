// What `tasker task list`, `tasker dlq list` and `tasker batch list` are all narrowed by.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "orchestrator/api/query.hpp"
#include "orchestrator/cli/exit_code.hpp"

namespace tasker::cli {

/// The options as they were given.
struct ListOptions {
    api::ListFilter filter;
    std::string reference;  // NS/NAME[:VERSION]
    int limit = 50;

    /// Fills `filter` from them. Throws CommandError (usage) for a time or a template's name of another form.
    api::ListFilter read() const;
    /// Whether any of them leaves something out.
    bool narrows() const;
};

/// Adds --limit, --before, --since, --until, --handler, --template and --error.
std::shared_ptr<ListOptions> add_list_options(CLI::App* command);

/// "the newest 50; --before 17 shows older ones", when there may be more than were listed; else an empty text.
std::string more_text(const ListOptions& options, std::size_t listed, const std::string& last_id);

/// What an empty list says: "no task matches these filters", or `none` where nothing was left out.
std::string empty_text(std::string_view thing, bool narrowed, const char* none);

/// The refusal of a word that is none of `words` ("state of a task"): the likely one, and all there are.
CommandError no_such_word(const std::string& word, std::string_view what,
                          const std::vector<std::string>& words);

/// RFC 3339 as it is; "90s", "5m", "2h", "1d" is so long before now. Throws CommandError (usage) naming `option`.
std::string past_time(const std::string& text, const char* option);

}  // namespace tasker::cli
