// The templates of templates_dir: read when the process starts, loaded into the database before it serves.
#pragma once

#include <string>

#include "orchestrator/options/options.hpp"
#include "orchestrator/postgres/connection.hpp"

namespace tasker {

class StartTemplates {
  public:
    explicit StartTemplates(const options::Options& options)
        : folder_(options.templates_dir), environment_(options.environment) {}

    /// False when templates_dir is `off`: then there is nothing to do.
    bool wanted() const { return folder_ != options::kOff; }

    /// Reads all files, without a database, so that a bad template is found before anything is touched. Logs
    /// each problem with file, line and field; false when the start must stop.
    bool check() const;

    /// Reads the files anew, since a standby may have waited for long, and registers them in one transaction.
    /// Files that have become bad since check() are logged, and nothing is loaded: those of the database hold
    /// on. Throws postgres::DatabaseError.
    void load(postgres::Connection& connection) const;

  private:
    const std::string folder_;
    const std::string environment_;
};

}  // namespace tasker
