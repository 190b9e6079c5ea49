#include "orchestrator/engine/io/convert.hpp"

#include <algorithm>

namespace tasker::engine {
namespace {

template <typename Ref>
std::vector<core::DeliveredRef> to_refs(const std::vector<Ref>& refs) {
    std::vector<core::DeliveredRef> result;
    result.reserve(refs.size());
    for (const Ref& ref : refs) result.push_back({ref.batch_id, ref.step_id});
    return result;
}

}  // namespace

core::SessionSpec to_spec(const protocol::Hello& hello, const IoOptions& options) {
    core::SessionSpec spec;
    spec.session = hello.session;
    spec.worker_id = hello.worker_id;
    spec.language = hello.language;
    spec.sdk_version = hello.sdk_version;
    spec.namespaces = hello.namespaces;
    spec.handlers = hello.handlers;
    spec.capacity = std::clamp(hello.capacity, 1, options.limits.capacity);
    spec.prefetch = std::clamp(hello.prefetch.value_or(options.delivery.prefetch), 1,
                               std::max(1, kStepsInHandMax / spec.capacity));
    spec.host = hello.host;
    spec.pid = hello.pid;
    spec.hello_nonce = hello.hello_nonce.value_or("");
    return spec;
}

core::Inventory to_inventory(const protocol::Ready& ready) {
    return {to_refs(ready.held), to_refs(ready.running), to_refs(ready.unacked)};
}

core::Inventory to_inventory(const protocol::WorkerHeartbeat& heartbeat) {
    return {to_refs(heartbeat.held), to_refs(heartbeat.running), to_refs(heartbeat.unacked)};
}

}  // namespace tasker::engine
