// tasker template schema
#include "orchestrator/cli/template_parts.hpp"
#include "orchestrator/templates/keys.hpp"

namespace tasker::cli {

void add_template_schema(CLI::App& group, Context& context) {
    CLI::App* command =
        group.add_subcommand("schema", "print the JSON Schema of template files, for editors");
    command->footer(
        "It knows every key with its meaning, default and limits. `tasker template check` knows more: names of\n"
        "steps, circles, and the schema of contexts.\n"
        "\n"
        "Example:\n"
        "  tasker template schema > tasker-template.schema.json\n"
        "\n"
        "Editors with a YAML language server take it from the first line of a template:\n"
        "  # yaml-language-server: $schema=tasker-template.schema.json");
    context.on_run(command, [&context] {
        context.print_json(templates::template_schema());
        return ExitCode::ok;
    });
}

}  // namespace tasker::cli
