#include "orchestrator/api/done_channel.hpp"

#include "orchestrator/api/sql.hpp"

namespace tasker::api {

std::string done_channel(postgres::Connection& connection) {
    return connection.execute(sql::done_channel).at(0)[0].as<std::string>();
}

}  // namespace tasker::api
