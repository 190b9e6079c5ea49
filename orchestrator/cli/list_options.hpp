// What `tasker task list`, `tasker dlq list` and `tasker batch list` are all narrowed by.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "orchestrator/api/query.hpp"

namespace tasker::cli {

/// The options as they were given.
struct ListOptions {
    api::ListFilter filter;
    std::string reference;  // NS/NAME[:VERSION]
    int limit = 50;

    /// Fills `filter` from them. Throws CommandError (usage) for a time or a template's name of another form.
    api::ListFilter read() const;
};

/// Adds --limit, --before, --since, --until, --handler, --template and --error.
std::shared_ptr<ListOptions> add_list_options(CLI::App* command);

/// "the newest 50; --before 17 shows older ones", when there may be more than were listed; else an empty text.
std::string more_text(const ListOptions& options, std::size_t listed, const std::string& last_id);

/// RFC 3339 as it is; "90s", "5m", "2h", "1d" is so long before now. Throws CommandError (usage) naming `option`.
std::string past_time(const std::string& text, const char* option);

}  // namespace tasker::cli
