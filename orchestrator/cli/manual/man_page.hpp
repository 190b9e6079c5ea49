// A man page in roff, made from a command's definitions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "orchestrator/cli/manual/command_tree.hpp"

namespace tasker::cli {

/// Section ("1", "8"), the program's version for the foot, and other pages as "tasker-task(1)".
struct ManPageFacts {
    std::string section = "1";
    std::string version;
    std::vector<std::string> see_also;
};

/// The page of `command`, named after its path ("tasker-task"): name, synopsis, options, and the commands
/// directly below it, each with its own options and text. UTF-8; preconv or man reads it.
std::string man_page(const CommandText& command, const ManPageFacts& facts);

/// "tasker-task" for "tasker task".
std::string man_page_name(const CommandText& command);

/// `text` so that roff prints it as it is, whatever it begins with.
std::string roff_text(std::string_view text);

}  // namespace tasker::cli
