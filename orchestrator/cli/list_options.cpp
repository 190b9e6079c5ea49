#include "orchestrator/cli/list_options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "orchestrator/cli/numbers.hpp"
#include "orchestrator/cli/show/table.hpp"
#include "orchestrator/cli/template_name.hpp"
#include "orchestrator/util/similar.hpp"
#include "orchestrator/util/time.hpp"

namespace tasker::cli {
namespace {

/// "2025-06-30" or "2025-06-30T12:00", with whatever follows: PostgreSQL reads the rest.
bool begins_with_date(const std::string& text) {
    constexpr std::string_view shape = "0000-00-00";
    if (text.size() < shape.size()) return false;
    return std::equal(shape.begin(), shape.end(), text.begin(), [](char wanted, char found) {
        return wanted == '0' ? found >= '0' && found <= '9' : wanted == found;
    });
}

}  // namespace

std::string past_time(const std::string& text, const char* option) {
    if (const auto seconds = span_seconds(text)) {
        const auto span = std::chrono::duration_cast<std::chrono::system_clock::duration>(
            std::chrono::duration<double>(*seconds));
        return util::rfc3339_utc(std::chrono::system_clock::now() - span);
    }
    if (begins_with_date(text)) return text;
    throw CommandError(ExitCode::usage, fmt::format("{}: \"{}\" is no time", option, printable(text)),
                       "write 2025-06-30T12:00:00Z, or 90s, 5m, 2h, 1d for so long ago");
}

api::ListFilter ListOptions::read() const {
    api::ListFilter narrowed = filter;
    if (filter.since) narrowed.since = past_time(*filter.since, "--since");
    if (filter.until) narrowed.until = past_time(*filter.until, "--until");
    if (!reference.empty()) {
        const TemplateName name = parse_template_name(reference);
        narrowed.template_namespace = name.namespace_name;
        narrowed.template_name = name.name;
        narrowed.template_version = name.version;
    }
    return narrowed;
}

bool ListOptions::narrows() const {
    return filter.before || filter.since || filter.until || filter.handler || filter.error ||
           !reference.empty();
}

std::string empty_text(std::string_view thing, bool narrowed, const char* none) {
    return narrowed ? fmt::format("no {} matches these filters", thing) : none;
}

CommandError no_such_word(const std::string& word, std::string_view what,
                          const std::vector<std::string>& words) {
    const auto near = util::most_similar(word, words);
    return {ExitCode::usage, fmt::format("\"{}\" is no {}", printable(word), what),
            fmt::format("{}there are {}", near ? fmt::format("did you mean {}? ", *near) : "",
                        fmt::join(words, ", "))};
}

std::shared_ptr<ListOptions> add_list_options(CLI::App* command) {
    auto options = std::make_shared<ListOptions>();
    command->add_option("--limit", options->limit, "how many (default 50)")
        ->type_name("N")
        ->check(CLI::Range(1, 100'000).description(""));
    command->add_option("--before", options->filter.before, "only ids below this one: the next page")
        ->type_name("ID");
    command
        ->add_option("--since", options->filter.since, "made then or later: a time, or 2h for two hours ago")
        ->type_name("TIME");
    command->add_option("--until", options->filter.until, "made before then")->type_name("TIME");
    command->add_option("--handler", options->filter.handler, "with this handler class")->type_name("CLASS");
    command->add_option("--template", options->reference, "of this template")->type_name("NS/NAME[:VERSION]");
    command
        ->add_option("--error", options->filter.error,
                     "with this in the type, code or message of an error, in any case of letters")
        ->type_name("TEXT");
    return options;
}

std::string more_text(const ListOptions& options, std::size_t listed, const std::string& last_id) {
    if (listed < static_cast<std::size_t>(options.limit)) return "";
    return fmt::format("the newest {}; --before {} shows older ones", options.limit, last_id);
}

}  // namespace tasker::cli
