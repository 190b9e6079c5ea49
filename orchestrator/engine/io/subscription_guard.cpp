#include "orchestrator/engine/io/subscription_guard.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "orchestrator/util/log.hpp"
#include "protocol/cpp/frame.hpp"

namespace tasker::engine {

namespace log = util::log;
namespace {

using Kind = transport::SubscriptionChange::Kind;
using transport::SubscriptionChange;

enum class Scope { own, old_plain, broad, unused };

bool begins_with(std::string_view text, std::string_view prefix) {
    return text.substr(0, prefix.size()) == prefix;
}

Scope scope_of(std::string_view topic) {
    if (topic == protocol::kPlainSubscription) return Scope::own;
    if (topic == protocol::kStepsTopic) return Scope::old_plain;
    if (!topic.empty() && topic.back() == ' ') {
        const auto parsed = protocol::parse_topic(topic.substr(0, topic.size() - 1));
        if (parsed && (parsed->kind == protocol::TopicKind::session_steps ||
                       parsed->kind == protocol::TopicKind::session_control)) {
            return Scope::own;
        }
    }
    // A subscription is a byte prefix: with one of these a peer receives the messages of several workers.
    for (const std::string_view prefix : {protocol::kStepsSessionPrefix, protocol::kControlSessionPrefix}) {
        if (begins_with(prefix, topic) || begins_with(topic, prefix)) return Scope::broad;
    }
    return Scope::unused;
}

SubscriptionChange nothing() {
    return {Kind::none, {}, -1};
}

void erase_one_gone(std::vector<transport::Peer>& peers) {
    const auto gone = std::find_if_not(peers.begin(), peers.end(), transport::is_connected);
    // Its end may be seen here before the system has closed it.
    if (!peers.empty()) peers.erase(gone == peers.end() ? std::prev(gone) : gone);
}

}  // namespace

SubscriptionChange SubscriptionGuard::judge(SubscriptionChange change, milliseconds now) {
    const Scope scope = change.kind == Kind::foreign ? Scope::broad : scope_of(change.topic);
    if (change.kind == Kind::unsubscribed) {
        if (scope != Scope::own && scope != Scope::old_plain) return nothing();
        return judge_end(std::move(change), scope == Scope::old_plain, now);
    }
    Known* known = resolve(change.descriptor, now);
    const transport::Peer peer = known == nullptr ? transport::Peer{} : known->peer;
    if (change.kind == Kind::foreign) {
        end(peer, "it sent something else than a subscription", change.topic);
        return change;
    }
    if (scope == Scope::broad) {
        end(peer,
            "a prefix brings it the messages of others; a worker subscribes to its whole topic, with the "
            "space that ends it",
            change.topic);
        return nothing();
    }
    if (known != nullptr && !known->subscriptions.take(1, now)) {
        // What it had sent before it was ended still comes in.
        if (!std::exchange(known->is_ended, true)) end(peer, "it subscribes without end", change.topic);
    } else if (scope == Scope::unused) {
        log::info("a peer subscribed to a topic that is never used", {{"subscription", change.topic}});
    }
    if (scope == Scope::unused) return nothing();
    // An end follows each beginning, also that of a connection that was just ended.
    (scope == Scope::old_plain ? old_plain_ : receivers_[change.topic]).push_back(peer);
    return change;
}

SubscriptionChange SubscriptionGuard::judge_end(SubscriptionChange change, bool is_old_plain,
                                                milliseconds now) {
    const auto place = receivers_.find(change.topic);
    auto* peers = is_old_plain ? &old_plain_ : place != receivers_.end() ? &place->second : nullptr;
    // A connection that sent the end itself has a descriptor; where it has just gone, libzmq reports the end and
    // names none.
    const Known* known = resolve(change.descriptor, now);
    const auto may_have_begun = [&](const transport::Peer& peer) {
        return peer.fd < 0 || (known != nullptr ? peer == known->peer : !transport::is_connected(peer));
    };
    if (change.descriptor >= 0 &&
        (peers == nullptr || std::none_of(peers->begin(), peers->end(), may_have_begun))) {
        if (known != nullptr) end(known->peer, "it ends a subscription that it never began", change.topic);
        return nothing();
    }
    if (peers == nullptr) return change;
    const auto own = known == nullptr ? peers->end() : std::find(peers->begin(), peers->end(), known->peer);
    if (own != peers->end()) {
        peers->erase(own);
    } else {
        erase_one_gone(*peers);
    }
    if (!is_old_plain && peers->empty()) receivers_.erase(place);
    return change;
}

void SubscriptionGuard::on_blocked(std::string_view topic) {
    if (!old_plain_.empty()) {
        end_all(old_plain_, "it subscribes to `steps` without the space and does not read", "steps");
        return;
    }
    const auto place = receivers_.find(std::string(topic) + ' ');
    if (place == receivers_.end() || place->second.size() < 2) return;
    const auto living = std::count_if(place->second.begin(), place->second.end(), transport::is_connected);
    if (living < 2) return;
    end_all(place->second, "several subscribe to the topic of one session, and one does not read", topic);
}

SubscriptionGuard::Known* SubscriptionGuard::resolve(int descriptor, milliseconds now) {
    if (descriptor < 0) return nullptr;
    const auto place = known_.find(descriptor);
    if (place != known_.end() && transport::is_connected(place->second.peer)) return &place->second;
    if (place != known_.end()) known_.erase(place);
    const transport::Peer peer = transport::identify(descriptor, endpoint_);
    if (peer.fd < 0) return nullptr;
    if (known_.size() >= known_max_) forget_the_gone();
    return &known_.emplace(descriptor, Known{peer, Bucket(each_, now), false}).first->second;
}

void SubscriptionGuard::forget_the_gone() {
    std::erase_if(known_, [](const auto& entry) { return !transport::is_connected(entry.second.peer); });
    known_max_ = std::max<std::size_t>(64, 2 * known_.size());
}

void SubscriptionGuard::end(const transport::Peer& peer, std::string_view why, std::string_view topic) {
    const std::string name = transport::describe(peer);
    if (!transport::cut(peer)) return;
    ++cut_;
    log::warning("a connection to the steps endpoint was ended",
                 {{"cause", why}, {"subscription", topic}, {"peer", name}});
}

void SubscriptionGuard::end_all(std::vector<transport::Peer>& peers, std::string_view why,
                                std::string_view topic) {
    for (auto& peer : peers) {
        end(peer, why, topic);
        peer = {};  // it stays counted until its end is reported
    }
}

}  // namespace tasker::engine
