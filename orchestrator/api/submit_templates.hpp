// Which template revision a task request means, with its definition and its compiled context schema at hand.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "orchestrator/api/submit.hpp"
#include "orchestrator/postgres/connection.hpp"
#include "orchestrator/templates/context_validator.hpp"
#include "orchestrator/templates/template.hpp"

namespace tasker::api {

/// One template revision as it is stored; it never changes.
struct TemplateRevision {
    templates::Template definition;
    templates::ContextValidator validator;
};

/// The revisions met so far. Which one is the newest is asked of the database each time.
class TemplateRevisions {
  public:
    /// The task_template_id that each request means, 0 where its outcome is a refusal. Requests whose
    /// template or version does not exist are refused. The revisions named are loaded.
    std::vector<std::int64_t> resolve(postgres::Connection& connection, std::span<const TaskRequest> requests,
                                      std::vector<RequestOutcome>& outcomes);
    /// One that resolve() has named.
    const TemplateRevision& at(std::int64_t task_template_id) const {
        return *revisions_.at(task_template_id);
    }

  private:
    void load(postgres::Connection& connection, const std::vector<std::int64_t>& task_template_ids);

    std::map<std::int64_t, std::unique_ptr<TemplateRevision>> revisions_;
};

}  // namespace tasker::api
