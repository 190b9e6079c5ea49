// The turn is called by name: what the tables of turn_parameters.cpp name is what the function has.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "orchestrator/postgres/named_call.hpp"
#include "orchestrator/store/turn_parameters.hpp"
#include "tests/support/postgres.hpp"

namespace tasker::store {
namespace {

class TurnParameters : public testing::Test {
  protected:
    test::TestDatabase database_;
    postgres::Connection connection_ = database_.connect();
};

TEST_F(TurnParameters, AreThoseOfTheFunctionAndEachOnce) {
    std::set<std::string> expected;
    for (const auto& row :
         connection_.execute("SELECT unnest(p.proargnames[:p.pronargs]) FROM pg_proc p"
                             " WHERE p.oid = (SELECT max(oid) FROM pg_proc WHERE proname = 'tasker_turn')")) {
        expected.insert(row[0].as<std::string>());
    }
    const auto& names = turn_parameter_names();
    EXPECT_EQ(std::set<std::string>(names.begin(), names.end()), expected);
    EXPECT_EQ(names.size(), expected.size());
    EXPECT_EQ(turn_parameters({0, 1, 1, 1, "test", {}}).size(), names.size());
}

TEST_F(TurnParameters, MayComeInAnyOrder) {
    auto names = turn_parameter_names();
    std::reverse(names.begin(), names.end());
    connection_.prepare("turn", postgres::select_from_call("tasker_turn", names));
    connection_.prepare("real_turn", turn_statement());
}

TEST_F(TurnParameters, WithAWrongOneFailAtPrepare) {
    auto names = turn_parameter_names();
    names.back() += "_of_yesterday";
    try {
        connection_.prepare("turn", postgres::select_from_call("tasker_turn", names));
        FAIL() << "a parameter that does not exist was taken";
    } catch (const postgres::DatabaseError& error) {
        EXPECT_EQ(error.sqlstate(), "42883") << error.what();
    }
}

}  // namespace
}  // namespace tasker::store
