// A real PostgreSQL for tests. The server is private: started in a temporary directory by the first test that
// needs it and gone when the program ends; or, when TASKER_TEST_PG_URL is set (bin/test does it), one server
// shared by many test programs. Either way each TestDatabase is a database of its own, so tests never see
// each other.
#pragma once

#include <string>

#include "orchestrator/postgres/connection.hpp"

namespace tasker::test {

enum class Schema {
    migrated,  // copied from a template database that was migrated once
    none,      // empty, not even tasker_schema_migrations
};

/// A fresh database, dropped at the end together with whoever is still connected. A migrated one takes some
/// 50 ms. Use it in the main thread (the private server ends with the thread that started it).
///
///     tasker::test::TestDatabase database;
///     store::Connection connection = database.connect();
class TestDatabase {
  public:
    explicit TestDatabase(Schema schema = Schema::migrated);
    ~TestDatabase();
    TestDatabase(const TestDatabase&) = delete;
    TestDatabase& operator=(const TestDatabase&) = delete;

    const std::string& url() const { return url_; }
    postgres::Connection connect(postgres::ConnectionSettings settings = {
                                     .application_name = "tasker test"}) const;

  private:
    std::string name_;
    std::string url_;
};

/// The superuser's URL of the server itself (database postgres), for tests that end backends or count
/// sessions.
std::string server_url();

}  // namespace tasker::test
