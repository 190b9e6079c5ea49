"""Parts of the faulty worker (faulty_worker.py): its faults, an attempt, the handler, the wire, the file."""

import fcntl
import json
import os
import secrets
import threading
import time

import zmq

FAULTS = {
    # name: the rule that has to find it
    "resends_other_bytes": "resend_same_bytes",
    "resends_without_doubling": "resend_same_bytes",
    "ignores_acks": "ack_ends_resend",
    "ignores_rejected": "rejected_ends_resend",
    "resends_unwelcomed": "unwelcomed_resends_nothing",
    "forgets_held": "inventories_complete",
    "late_inventory": "inventory_after_batch",
    "runs_batches_twice": "repeated_batch_running",
    "forgets_ended_batches": "repeated_batch_ended",
    "subscribes_by_prefix": "subscriptions_exact",
    "compares_no_topics": "topics_compared",
    "says_hello_once": "hello_repeats",
    "says_hello_each_second": "hello_after_epoch",
    "beats_before_welcome": "only_hello_before_welcome",
    "exits_0_when_refused": "refused_for_good",
    "keeps_its_session": "refused_duplicate",
    "beats_each_second": "heartbeat_interval",
    "seen_n_ahead": "seen_n_follows",
    "obeys_lower_epochs": "lower_epoch_ignored",
    "ignores_other_installations": "other_installation_followed",
    "keeps_the_highest_epoch": "lower_epoch_after_silence",
    "obeys_any_version": "wrong_version_ignored",
    "keeps_its_sockets": "silence_makes_new_sockets",
    "obeys_refusals_of_others": "refused_once_welcomed",
    "obeys_other_nonces": "other_nonce_ignored",
    "ignores_unknown_session": "unknown_session_greets",
    "answers_probes_unwelcomed": "probe_waits_for_welcome",
    "starts_without_grant": "claim_asks_first",
    "window_from_grant": "claim_window_from_request",
    "announces_at_once": "in_progress_after_200_ms",
    "calls_deaf_handlers_stopped": "timeout_handler_runs_on",
    "reports_late_results": "timeout_handler_runs_on",
    "counts_handed_back": "unknown_handler",
    "snoozes_are_failures": "snoozed_handed_back",
    "takes_any_number": "over_capacity",
    "cancels_nothing_held": "cancel_held_and_running",
    "leaves_before_acks": "drain_waits_for_acks",
    "always_drained": "drain_beside_stuck_handler",
    "sends_any_depth": "output_too_deep",
    "writes_fractions": "every_frame_valid",
    "lists_attempts_twice": "timeout_handler_runs_on",
    "wrong_pid": "hello_says_all",
    "same_session": "session_id_is_new",
    "says_hello_for_ever": "hello_ends_with_welcome",
    "retries_at_once": "refused_try_again",
    "answers_some_probes": "every_probe_answered",
    "blocks_while_running": "heartbeat_while_busy",
    "dies_of_garbage": "garbage_ignored",
    "obeys_other_sessions": "other_session_ignored",
    "reads_one_version": "reader_tolerant",
    "reads_ids_as_floats": "numbers_exact",
    "never_accepts": "one_batch",
    "one_kind_of_failure": "outcomes_told_apart",
    "handlers_may_exit": "handler_exit_survived",
    "last_step_first": "order_and_capacity",
    "new_bytes_for_repeats": "repeated_rejection",
    "cancels_any_attempt": "cancel_of_others_ignored",
    "takes_any_size": "batch_too_large",
    "takes_any_depth": "batch_too_deep",
    "sends_any_size": "output_too_large",
    "never_times_out": "timeout_handler_stops",
    "times_waiting": "timeout_counts_from_start",
    "forgets_hand_backs": "hand_back_is_resent",
    "keeps_old_waits": "ready_restarts_waits",
    "answers_no_requests": "report_request_answered",
    "starts_when_full": "outbox_full",
    "gives_up_on_late_grants": "claim_late_grant_of_older",
    "clock_that_sleeps": "claim_after_freeze",
    "ignores_denials": "claim_denied",
    "claims_not_cancelled": "claim_cancelled",
    "new_session_at_epoch": "higher_epoch_followed",
    "forgets_at_epoch": "orchestrator_back",
    "first_endpoint_only": "two_endpoints",
    "leaves_after_freeze": "frozen_past_lease",
    "keeps_held_at_drain": "drain_message",
    "dies_of_sigterm": "drain_sigterm",
    "dies_of_sigint": "drain_sigint",
    "ignores_deadlines": "drain_deadline",
    "ignores_its_limit": "drain_own_limit",
    "reads_after_goodbye": "goodbye_keeps_promise",
    "ignores_second_signals": "second_signal",
    "waits_for_welcome": "drain_without_orchestrator",
    "ignores_wrong_options": "exit_code_of_usage",
    "replays_without_sent_by": "outbox_outlives_kill",
    "names_one_predecessor": "outbox_two_predecessors",
    "refuses_torn_files": "outbox_torn_end",
    "locks_nothing": "outbox_locked",
    "sends_unwritten": "outbox_disk_full",
}


class Attempt:
    """One step that was taken: held, then running (`started`), then ended."""

    def __init__(self, batch, step):
        self.batch, self.step = batch, step
        self.id, self.number = step["step_id"], step["metadata"]["attempt"]
        self.claim = bool(step["metadata"].get("claim_first"))
        self.asked = {}
        self.asked_at = 0.0
        self.started = None
        self.outcome = None
        self.reported = self.announced = False
        self.stop = threading.Event()
        self.stop_reason = ""
        self.made = time.monotonic()
        self.told_at = None

    @property
    def ref(self):
        return {"batch_id": self.batch["id"], "step_id": self.id, "attempt": self.number}


def handle(attempt, fault):
    """The conformance handler: (status, output, error)."""
    config = attempt.step["handler_config"]

    def log(event):
        with open(config["log"], "a", encoding="utf-8") as stream:
            stream.write(f"{event} {attempt.id} {attempt.number}\n")

    def failure(status, text, **more):
        return status, None, {"message": text, "error_type": "Error", "retryable": status == "failed", **more}

    log("start")
    end = time.monotonic() + config.get("busy_ms", 0) / 1000
    while time.monotonic() < end:
        pass
    end = time.monotonic() + config.get("sleep_ms", 0) / 1000
    while time.monotonic() < end or "until" in config and not os.path.exists(config["until"]):
        if attempt.stop.is_set() and not config.get("deaf"):
            return failure("failed", f"stopped: {attempt.stop_reason}")
        time.sleep(0.005)
    log("end")
    if "fail" in config:
        return failure("failed", config["fail"], retry_after_seconds=config.get("retry_after_seconds"))
    if "error" in config:
        return failure("failed" if fault == "one_kind_of_failure" else "error", config["error"])
    if "exit" in config and fault == "handlers_may_exit":
        os._exit(1)
    if "crash" in config or "exit" in config:
        return failure("failed", "crashed")
    if "snooze" in config:
        if fault == "snoozes_are_failures":
            return failure("failed", "snoozed", retry_after_seconds=config["snooze"])
        return "snoozed", config["snooze"], None
    step = attempt.step
    output = {"context": step["task_context"], "previous_results": step["previous_results"]}
    output.update(idempotency_key=step["metadata"]["idempotency_key"], attempt=attempt.number)
    if "output_depth" in config:
        output = json.loads("[" * config["output_depth"] + "1" + "]" * config["output_depth"])
    if "output_bytes" in config:
        output = {"text": "x" * config["output_bytes"]}
    return "completed", config.get("output", output), None


class Wire:
    """Both sockets, the session's names, and what is written to the wire."""

    def __init__(self, options):
        self.fault = options.fault
        self.context = zmq.Context()
        self.endpoints = [
            os.environ[f"TASKER_WORKER_{kind}_ENDPOINT"].split(",") for kind in ("STEPS", "RESULTS")
        ]
        if self.fault == "first_endpoint_only":
            self.endpoints = [listed[:1] for listed in self.endpoints]
        self.sub = self.pub = None
        self.previous = []
        self.rename()

    def rename(self):
        self.session = "00ff00ff00ff00ff" if self.fault == "same_session" else secrets.token_hex(8)
        self.open()

    def open(self):
        if self.sub is not None:
            self.sub.close(0)
            self.pub.close(0)
        self.sub, self.pub = self.context.socket(zmq.SUB), self.context.socket(zmq.PUB)
        self.sub.setsockopt(zmq.RCVHWM, 0)
        for one, endpoints in ((self.sub, self.endpoints[0]), (self.pub, self.endpoints[1])):
            one.setsockopt(zmq.RECONNECT_IVL, 100)
            one.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
            for endpoint in endpoints:
                one.connect(endpoint)
        self.topics = [f"steps.{self.session}", f"control.{self.session}"]
        for topic in self.topics:
            self.sub.subscribe(topic + ("" if self.fault == "subscribes_by_prefix" else " "))
        for session in self.previous:
            self.sub.subscribe(f"control.{session} ")
        if self.fault == "compares_no_topics":
            self.sub.subscribe("")

    def frame(self, topic, kind, **fields):
        body = {"message_type": kind, "protocol_version": "1.0", "session": self.session, **fields}
        return (
            f"{topic} {json.dumps({key: value for key, value in body.items() if value is not None})}".encode()
        )

    def send(self, topic, kind, **fields):
        self.pub.send(self.frame(topic, kind, **fields))

    def close(self):
        self.sub.close(0)
        self.pub.close(500)
        self.context.term()


class OutboxFile:
    """Reports as JSON lines `{"key", "session", "steps", "frame"}` or `{"done"}`; locked while it is used."""

    def __init__(self, path, fault):
        self.lock = open(path + ".lock", "a", encoding="utf-8")
        if fault != "locks_nothing":
            try:
                fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os._exit(2)
        self.file = open(path, "a+b", buffering=0)
        self.file.seek(0)
        self.stored = {}
        self.size = 0
        for line in self.file.read().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                if fault == "refuses_torn_files":
                    os._exit(2)
                self.file.truncate(self.size)
                break
            self.size += len(line)
            record = json.loads(line)
            if "done" in record:
                self.stored.pop(tuple(record["done"]), None)
            else:
                self.stored[tuple(record["key"])] = record

    def write(self, **record):
        """False when the disk is full."""
        data = json.dumps(record).encode() + b"\n"
        try:
            if self.file.write(data) != len(data):
                raise OSError("short write")
            os.fsync(self.file.fileno())
        except OSError:
            self.file.truncate(self.size)
            return False
        self.size += len(data)
        return True
