#include "orchestrator/cli/show/table.hpp"

#include <gtest/gtest.h>

namespace tasker::cli {
namespace {

TEST(Table, AlignsColumnsByTheirWidestCell) {
    Table table({{"ID", Align::right}, {"NAME"}, {"STATE"}});
    table.add({"7", "validate_order", "complete"});
    table.add({"1234", "pay"});
    EXPECT_EQ(table.text(false),
              "  ID  NAME            STATE\n"
              "   7  validate_order  complete\n"
              "1234  pay             \n");
}

TEST(Table, CountsCharactersNotBytes) {
    Table table({{"NAME"}, {"N"}});
    table.add({"Größe", "1"});
    table.add({"plain", "2"});
    EXPECT_EQ(table.text(false), "NAME   N\nGröße  1\nplain  2\n");
}

TEST(Table, ColourDoesNotMoveColumns) {
    Table table({{"STATE"}, {"N"}});
    table.add({{"ok", Style::good}, "1"});
    EXPECT_EQ(table.text(true), "\x1b[1mSTATE\x1b[0m  \x1b[1mN\x1b[0m\n\x1b[32mok\x1b[0m     1\n");
}

TEST(Table, WithoutRowsIsEmpty) {
    EXPECT_EQ(Table({{"ID"}}).text(false), "");
}

TEST(Table, TextFromWorkersCannotCommandTheTerminal) {
    Table table({{"ERROR"}});
    table.add(
        {"red\x1b[31m\nnext\tline\xc2\x9b"
         "2J"});
    EXPECT_EQ(table.text(false), "ERROR\nred\\u001b[31m next line\\u009b2J\n");
}

}  // namespace
}  // namespace tasker::cli
