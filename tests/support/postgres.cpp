#include "tests/support/postgres.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <system_error>

#include "orchestrator/cli/dev/private_postgres.hpp"
#include "orchestrator/postgres/migrator.hpp"

namespace tasker::test {
namespace {

namespace fs = std::filesystem;

/// Directory and server, removed in the right order at the end of the program.
class Server {
  public:
    Server() {
        if (const char* shared = std::getenv("TASKER_TEST_PG_URL"); shared != nullptr && *shared != '\0') {
            url_ = shared;
            return;
        }
        std::string pattern = "/tmp/tasker-test-XXXXXX";
        if (::mkdtemp(pattern.data()) == nullptr) {
            throw std::system_error(errno, std::generic_category(), "cannot create " + pattern);
        }
        directory_ = pattern;
        ::chmod(pattern.c_str(), ::geteuid() == 0 ? 0711 : 0700);
        cli::PrivatePostgresPlan plan;
        plan.data_dir = directory_ / "data";
        plan.socket_dir = directory_ / "socket";
        plan.log_file = directory_ / "log";
        plan.settings = {"fsync=off", "full_page_writes=off", "max_connections=100", "shared_buffers=128MB"};
        plan.durable_initdb = false;
        if (auto made = cli::make_server_directory(plan.socket_dir); !made)
            throw std::runtime_error(made.error());
        auto started = cli::PrivatePostgres::start(std::move(plan));
        if (!started) {
            fs::remove_all(directory_);
            throw std::runtime_error(started.error());
        }
        server_.emplace(std::move(*started));
        url_ = server_->url("postgres");
    }
    ~Server() {
        server_.reset();
        std::error_code ignored;
        if (!directory_.empty()) fs::remove_all(directory_, ignored);
    }
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    const std::string& url() const { return url_; }

  private:
    fs::path directory_;
    std::optional<cli::PrivatePostgres> server_;
    std::string url_;
};

const Server& server() {
    static const Server instance;
    return instance;
}

/// One template per set of migrations: a shared server may serve programs built from different ones.
std::string template_name() {
    postgres::Migration all{0, "all", "", ""};
    for (const auto& migration : postgres::embedded_migrations()) all.up += migration.checksum();
    all.up += postgres::embedded_layer().checksum();
    return "tasker_template_" + all.checksum().substr(0, 16);
}

/// Makes the template database unless it is there. `datistemplate` marks it as finished.
const std::string& migrated_template() {
    static const std::string name = [] {
        const std::string wanted = template_name();
        postgres::Connection admin(server().url());
        // Several test programs may start at once on a shared server.
        admin.execute("SELECT pg_advisory_lock(hashtext('tasker test template'))");
        const auto finished =
            admin.query("SELECT 1 FROM pg_database WHERE datname = $1 AND datistemplate", wanted);
        if (finished.empty()) {
            admin.execute("DROP DATABASE IF EXISTS " + wanted);
            admin.execute("CREATE DATABASE " + wanted);
            {
                postgres::Connection connection(postgres::with_database(server().url(), wanted));
                const auto done = postgres::Migrator(connection).up();
                if (!done) throw std::runtime_error(done.error().message);
            }
            admin.execute("ALTER DATABASE " + wanted + " IS_TEMPLATE true");
        }
        return wanted;
    }();
    return name;
}

std::string fresh_name() {
    static std::atomic<int> counter = 0;
    std::random_device random;
    return fmt::format("tasker_test_{}_{}_{:08x}", ::getpid(), ++counter, random());
}

}  // namespace

TestDatabase::TestDatabase(Schema schema) : name_(fresh_name()) {
    const std::string origin = schema == Schema::migrated ? migrated_template() : "template0";
    postgres::Connection admin(server().url());
    admin.execute("CREATE DATABASE " + name_ + " TEMPLATE " + origin);
    url_ = postgres::with_database(server().url(), name_);
}

TestDatabase::~TestDatabase() {
    try {
        postgres::Connection admin(server().url());
        admin.execute("DROP DATABASE IF EXISTS " + name_ + " WITH (FORCE)");
    } catch (const postgres::DatabaseError& error) {
        std::cerr << "the test database " << name_ << " was not dropped: " << error.what() << '\n';
    }
}

postgres::Connection TestDatabase::connect(postgres::ConnectionSettings settings) const {
    return postgres::Connection(url_, std::move(settings));
}

std::string server_url() {
    return server().url();
}

}  // namespace tasker::test
