"""A small worker of its own, against which the conformance runner is tried: right, or with one planted fault.

It follows protocol/SPEC.md with the standard library and pyzmq alone, and serves Conformance::Handler.
`--fault NAME` plants one of FAULTS; a rule of the runner has to find it.
"""

import argparse
import json
import os
import signal
import socket
import sys
import threading
import time
from datetime import datetime, timezone

import zmq

from faulty_parts import FAULTS, Attempt, OutboxFile, Wire, handle

SILENCE_S = 5.0
HINT_S, GRACE_S = 0.2, 0.1
REFUSED, UNFINISHED = 3, 4


def depth_of(value):
    """How deep arrays and objects are nested; a plain value has depth 0."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if items is None else 1 + max((depth_of(item) for item in items), default=0)


class Worker:
    def __init__(self, options):
        self.options, self.fault = options, options.fault
        self.wire = Wire(options)
        self.batches, self.attempts, self.outbox = {}, [], {}
        self.epoch = self.seen_n = 0
        self.installation, self.silent = None, False
        self.timers = {"heartbeat_ms": 1000, "resend_ms": 1000}
        self.limits = {"batch_bytes": 2**24, "result_bytes": 2**20, "depth": 64}
        self.exit_code = self.drain_by = None
        self.probed = self.turned = 0.0
        self.early_probe = None
        self.nonce = os.urandom(8).hex()
        self.file = OutboxFile(options.outbox, self.fault) if options.outbox else None
        self.blocked_until = 0.0
        self.inherit(self.file.stored if self.file else {})
        self.signals = 0
        self.greet()
        self.heard = time.monotonic()

    # ------------------------------------------------------------------ session

    def greet(self, pause=0.0):
        self.welcomed = False
        self.hellos = 0
        self.hello_at = time.monotonic() + pause
        self.beat_at = time.monotonic() + 0.3

    def inherit(self, stored):
        """Takes over what predecessors left: sent by this session in their name."""
        for key, record in stored.items():
            frame = record["frame"].encode()
            if frame.startswith(b"results ") and self.fault != "replays_without_sent_by":
                body = {**json.loads(frame.partition(b" ")[2]), "sent_by": self.wire.session}
                frame = b"results " + json.dumps(body).encode()
            entry = {"frame": frame, "steps": record["steps"], "pause": 1.0, "due": 0.0, "written": True}
            self.outbox[key] = {**entry, "made": time.monotonic()}
        sessions = list(dict.fromkeys(record["session"] for record in stored.values()))
        self.wire.previous = sessions
        self.previous = sessions[:1] if self.fault == "names_one_predecessor" else sessions
        self.wire.open()

    def inventory(self):
        held = [one.ref for one in self.attempts if one.started is None]
        running = [one for one in self.attempts if one.started is not None]
        keys = [(one.batch["id"], one.id) for one in running]
        unacked = [ref for entry in self.outbox.values() for ref in entry["steps"]]
        if self.fault != "lists_attempts_twice":
            unacked = [ref for ref in unacked if (ref["batch_id"], ref["step_id"]) not in keys]
        if self.fault == "forgets_held":
            held = []
        return held, running, unacked

    def hello(self):
        held, running, unacked = self.inventory()
        fields = {"held": held, "running": [one.ref for one in running], "unacked": unacked}
        fields.update(
            worker_id="w", language="test", sdk_version="0", namespaces=["*"], host=socket.gethostname()
        )
        self.wire.send(
            "workers",
            "hello",
            handlers=["Conformance::*"],
            capacity=self.options.capacity,
            prefetch=2,
            pid=os.getpid() + (self.fault == "wrong_pid"),
            previous_sessions=self.previous or None,
            hello_nonce=self.nonce,
            **fields,
        )
        self.hellos += 1
        soon = self.hellos == 1 and self.fault != "says_hello_each_second"
        self.hello_at = time.monotonic() + (0.1 if soon else 1.0)
        if self.fault == "says_hello_once" and self.hellos == 2:
            self.hello_at = float("inf")

    def beat(self):
        held, running, unacked = self.inventory()
        now = time.monotonic()
        ages = [{**one.ref, "age_ms": int((now - one.started) * 1000)} for one in running]
        oldest = min((entry["made"] for entry in self.outbox.values()), default=now)
        fields = {"held": held, "running": ages, "unacked": unacked}
        fields["free"] = (
            0.5 if self.fault == "writes_fractions" else max(0, self.options.capacity - len(running))
        )
        fields["seen_n"] = self.seen_n + (self.fault == "seen_n_ahead")
        self.wire.send("workers", "worker_heartbeat", oldest_unacked_ms=int((now - oldest) * 1000), **fields)
        self.beat_at = (
            now + (1000 if self.fault == "beats_each_second" else self.timers["heartbeat_ms"]) / 1000
        )

    def receive(self, frame):
        topic, _, text = frame.partition(b" ")
        name = topic.decode("latin-1")
        if name in [f"control.{session}" for session in self.wire.previous]:
            body = json.loads(text)
            if body["message_type"] == "ack":
                self.on_ack(body)
            return
        if name not in self.wire.topics and self.fault != "compares_no_topics":
            return
        try:
            numbers = (lambda digits: int(float(digits))) if self.fault == "reads_ids_as_floats" else None
            body = json.loads(text.decode("utf-8"), parse_int=numbers)
            kind = "".join(
                "_" * bool(i) * c.isupper() + c.lower() for i, c in enumerate(body["message_type"])
            )
            version = str(body.get("protocol_version") or "1.0")
            later = version[:2] == "1." and version[2:].isdigit()
            if version != "1.0" and self.fault == "reads_one_version":
                return
            if not later and self.fault != "obeys_any_version" or body["epoch"] < 0:
                return
            anew = self.starts_anew(body)
            if anew is False and self.fault != "obeys_lower_epochs":
                return
            other = body.get("session", self.wire.session) != self.wire.session
            if other and self.fault != "obeys_other_sessions":
                return
            takes = getattr(self, "on_" + kind, None)
            on_steps = name == self.wire.topics[0]
            if (
                takes is None
                or on_steps != (kind in ("step_batch_request", "probe"))
                and self.fault != "compares_no_topics"
            ):
                return
            body["bytes"] = len(text)
            required = {"probe": "nonce", "heartbeat": "n", "step_batch_request": "steps"}.get(kind)
            if required and (body[required] is None or body[required] == -1):
                return
        except (ValueError, KeyError, TypeError, RecursionError):
            if self.fault == "dies_of_garbage":
                os._exit(1)
            return
        self.heard = time.monotonic()
        self.silent = False
        self.installation = body.get("installation") or self.installation
        if anew or body["epoch"] > self.epoch:
            if self.epoch and self.fault == "new_session_at_epoch":
                self.wire.rename()
            if self.epoch and self.fault == "forgets_at_epoch":
                self.outbox.clear()
            self.epoch, self.seen_n = body["epoch"], 0
            if kind not in ("welcome", "refused"):
                self.greet()
        takes(body)

    def starts_anew(self, body):
        """None for a message of what is known; else whether that is silent, so that this one is followed."""
        named = body.get("installation")
        if None not in (named, self.installation) and named != self.installation:
            if self.fault == "ignores_other_installations":
                return False
            return time.monotonic() - self.heard >= 2 * self.timers["heartbeat_ms"] / 1000
        if body["epoch"] < self.epoch:
            return self.silent and self.fault != "keeps_the_highest_epoch"
        return None

    def is_for_another(self, body):
        nonce = body.get("hello_nonce")
        return nonce not in (None, self.nonce) and self.fault != "obeys_other_nonces"

    def on_welcome(self, body):
        if self.is_for_another(body):
            return
        self.timers = {name: body[name] for name in ("heartbeat_ms", "resend_ms")}
        self.limits = body["limits"]
        if not self.welcomed:
            self.restart_waits(self.timers["resend_ms"] / 1000)
        self.welcomed = True
        self.beat_at = min(self.beat_at, time.monotonic() + self.timers["heartbeat_ms"] / 1000)
        early, self.early_probe = self.early_probe, None
        if early:
            self.on_probe(early)

    def on_refused(self, body):
        unknown = body["code"] == "unknown_session"
        if self.is_for_another(body) or (unknown and self.fault == "ignores_unknown_session"):
            return
        if self.welcomed and not unknown and self.fault != "obeys_refusals_of_others":
            return
        if body["code"] in ("version", "not_allowed"):
            self.exit_code = 0 if self.fault == "exits_0_when_refused" else REFUSED
        elif body["code"] == "duplicate_session":
            if self.fault != "keeps_its_session":
                self.wire.rename()
            self.greet()
        else:
            self.greet(0 if self.fault == "retries_at_once" else body["retry_ms"] / 1000)

    def on_probe(self, body):
        if not self.welcomed and self.fault != "answers_probes_unwelcomed":
            self.early_probe = body
            return
        now = time.monotonic()
        if self.fault == "answers_some_probes" and now - self.probed < 0.05:
            return
        self.probed = now
        held, running, unacked = self.inventory()
        if self.fault == "late_inventory":
            held, running = [], []
        lists = {"held": held, "running": [one.ref for one in running], "unacked": unacked}
        self.wire.send("workers", "ready", nonce=body["nonce"], **lists)
        if self.fault != "keeps_old_waits":
            self.restart_waits(0)

    def on_heartbeat(self, body):
        self.seen_n = body["n"]

    def on_drain(self, body):
        self.drain(body["deadline_ms"] / 1000)

    # ------------------------------------------------------------------ work

    def on_step_batch_request(self, body):
        known = self.batches.get(body["batch_id"])
        if known is not None and self.fault != "runs_batches_twice":
            self.answer_again(known)
            return
        batch = {
            "id": body["batch_id"],
            "sequence": 0,
            "open": 0,
            "summaries": [],
            "rejections": [],
            "back": 0,
        }
        self.batches[batch["id"]] = batch
        taken, refused = [], []
        for step in body["steps"]:
            reason = self.refusal(body, step, len(self.attempts) + len(taken))
            if reason:
                refused.append(
                    {"step_id": step["step_id"], "attempt": step["metadata"]["attempt"], "reason": reason}
                )
            else:
                taken.append(Attempt(batch, step))
        batch["open"], batch["accepted"] = len(taken), bool(taken)
        if taken and self.fault != "never_accepts":
            self.wire.send("workers", "batch_accepted", batch_id=batch["id"])
        self.attempts += taken
        if refused:
            self.hand_back(batch, refused)

    def refusal(self, body, step, in_hand):
        """Why a step cannot be taken, or None."""
        if self.drain_by is not None:
            return "draining"
        if body["bytes"] > self.limits["batch_bytes"] and self.fault != "takes_any_size":
            return "too_large"
        if depth_of(body) > self.limits["depth"] and self.fault != "takes_any_depth":
            return "too_large"
        if step["handler_class"] != "Conformance::Handler":
            return "unknown_handler"
        full = in_hand >= 2 * self.options.capacity and self.fault != "takes_any_number"
        return "over_capacity" if full else None

    def answer_again(self, batch):
        if batch["accepted"]:
            self.wire.send("workers", "batch_accepted", batch_id=batch["id"])
        else:
            for frame in batch["rejections"]:
                self.wire.pub.send(frame + b" " if self.fault == "new_bytes_for_repeats" else frame)
            return
        self.send_again(lambda key, entry: key[0] == batch["id"])

    def hand_back(self, batch, steps):
        batch["back"] += len(steps)
        kept = None if self.fault == "forgets_hand_backs" else steps
        frame = self.report(batch, "workers", "batch_rejected", kept, steps=steps)
        batch["rejections"].append(frame)

    def take_back(self, attempt, reason):
        self.attempts.remove(attempt)
        attempt.batch["open"] -= 1
        self.hand_back(attempt.batch, [{"step_id": attempt.id, "attempt": attempt.number, "reason": reason}])
        self.complete(attempt.batch)

    def snooze(self, attempt):
        attempt.batch["open"] -= 1
        step = {"step_id": attempt.id, "attempt": attempt.number, "reason": "snoozed"}
        self.hand_back(attempt.batch, [{**step, "wait_seconds": attempt.outcome[1]}])
        self.complete(attempt.batch)

    def start(self):
        slots = self.options.capacity - sum(1 for one in self.attempts if one.started is not None)
        full = len(self.outbox) >= self.options.outbox_limit and self.fault != "starts_when_full"
        if full or any(not entry["written"] for entry in self.outbox.values()):
            slots = 0
        last_first = self.fault == "last_step_first"
        for attempt in self.attempts[:: -1 if last_first else 1]:
            if slots <= 0:
                return
            if attempt.started is None:
                slots -= 1
                if attempt.claim and self.fault != "starts_without_grant":
                    self.ask(attempt)
                else:
                    self.run(attempt)

    def run(self, attempt):
        attempt.started = time.monotonic()

        def work():
            attempt.outcome = handle(attempt, self.fault)

        if self.fault == "blocks_while_running":
            work()
            return
        threading.Thread(target=work, daemon=True).start()

    def ask(self, attempt):
        if time.monotonic() >= attempt.asked_at:
            attempt.asked_at = time.monotonic() + self.timers["resend_ms"] / 1000
            number = len(attempt.asked) + 1
            attempt.asked[number] = self.claim_clock()
            self.wire.send("workers", "start_request", n=number, **attempt.ref)

    def claim_clock(self):
        """Runs on while the process, or the machine, stands still."""
        sleeps = self.fault == "clock_that_sleeps"
        return time.process_time() if sleeps else time.clock_gettime(time.CLOCK_BOOTTIME)

    def asking(self, body):
        for one in self.attempts:
            if (
                one.ref == {name: body[name] for name in one.ref}
                and one.started is None
                and body["n"] in one.asked
            ):
                return one
        return None

    def on_start_granted(self, body):
        attempt = self.asking(body)
        if attempt is None:
            return
        waited = self.claim_clock() - attempt.asked[body["n"]]
        if waited * 1000 < body["start_window_ms"] or self.fault == "window_from_grant":
            self.run(attempt)
        elif body["n"] == len(attempt.asked) or self.fault == "gives_up_on_late_grants":
            self.take_back(attempt, "start_window_missed")

    def on_start_denied(self, body):
        attempt = self.asking(body)
        if attempt is not None and self.fault != "ignores_denials":
            self.take_back(attempt, "start_denied")

    def on_cancel(self, body):
        named = [one for one in self.attempts if one.ref in body["steps"]]
        if self.fault == "cancels_any_attempt":
            ids = [(ref["batch_id"], ref["step_id"]) for ref in body["steps"]]
            named = [one for one in self.attempts if (one.batch["id"], one.id) in ids]
        if self.fault == "claims_not_cancelled":
            named = [one for one in named if not one.claim]
        for held in (True, False):
            for attempt in named:
                if (attempt.started is None) != held:
                    continue
                if not held:
                    attempt.stop_reason = body["reason"]
                    attempt.stop.set()
                elif self.fault != "cancels_nothing_held":
                    self.take_back(attempt, "cancelled")

    def watch(self):
        now = time.monotonic()
        for attempt in [one for one in self.attempts if one.started is not None]:
            age = now - attempt.started
            if attempt.outcome is not None:
                self.attempts.remove(attempt)
                if attempt.outcome[0] == "snoozed":
                    self.snooze(attempt)
                elif not attempt.reported or self.fault == "reports_late_results":
                    self.end(attempt, *attempt.outcome)
                continue
            hint = 0.02 if self.fault == "announces_at_once" else HINT_S
            if age >= hint and not attempt.announced:
                attempt.announced = True
                self.partial(attempt, "in_progress", None, None)
            timed = now - attempt.made if self.fault == "times_waiting" else age
            over = timed >= attempt.step["metadata"]["timeout_ms"] / 1000 and self.fault != "never_times_out"
            if over and attempt.told_at is None:
                attempt.told_at, attempt.stop_reason = now, "timeout"
                attempt.stop.set()
            if attempt.told_at is not None and now >= attempt.told_at + GRACE_S and not attempt.reported:
                self.end(attempt, *self.timeout(self.fault == "calls_deaf_handlers_stopped"))

    @staticmethod
    def timeout(stopped):
        error = {
            "message": "timed out",
            "error_type": "Timeout",
            "retryable": True,
            "handler_stopped": stopped,
        }
        return "failed", None, error

    def end(self, attempt, status, output, error):
        if attempt.told_at is not None and error is not None and not attempt.reported and attempt.outcome:
            status, output, error = self.timeout(True)
        size = len(json.dumps(output))
        if output is not None and size > self.limits["result_bytes"] and self.fault != "sends_any_size":
            error = {"message": "too large", "error_type": "Output", "error_code": "output_too_large"}
            status, output, error["retryable"] = "error", None, False
        if output is not None and json.dumps(output).count("[") > 60 and self.fault != "sends_any_depth":
            status, output, error = (
                "error",
                None,
                {"message": "too deep", "error_type": "Output", "retryable": False},
            )
        attempt.reported = True
        self.partial(attempt, status, output, error)
        summary = {"step_id": attempt.id, "attempt": attempt.number, "final_status": status}
        attempt.batch["summaries"].append(summary)
        attempt.batch["open"] -= 1
        self.complete(attempt.batch)

    def partial(self, attempt, status, output, error):
        now = datetime.now(timezone.utc).isoformat()
        age = int((time.monotonic() - attempt.started) * 1000)
        fields = {"step_id": attempt.id, "attempt": attempt.number, "status": status, "output": output}
        error = {key: value for key, value in error.items() if value is not None} if error else None
        fields.update(error=error, worker_id="w", timestamp=now, execution_time_ms=age)
        kept = None if status == "in_progress" else [attempt.ref]
        self.report(attempt.batch, "results", "partial_result", kept, **fields)

    def complete(self, batch):
        if batch["open"] != 0 or not batch["summaries"]:
            return
        done = sum(1 for one in batch["summaries"] if one["final_status"] == "completed")
        total = len(batch["summaries"])
        fields = {"completed_steps": done, "failed_steps": total - done, "in_progress_steps": 0}
        fields["total_steps"] = total + (batch["back"] if self.fault == "counts_handed_back" else 0)
        fields.update(step_summaries=batch["summaries"], completed_at=datetime.now(timezone.utc).isoformat())
        self.report(batch, "results", "batch_completion", [], worker_id="w", **fields)
        if self.fault == "forgets_ended_batches":
            del self.batches[batch["id"]]

    # ------------------------------------------------------------------ outbox

    def report(self, batch, topic, kind, kept, **fields):
        """Sends a report and keeps it until its ack; `kept`: the steps it is about, None for a hint."""
        batch["sequence"] += 1
        frame = self.wire.frame(topic, kind, batch_id=batch["id"], sequence=batch["sequence"], **fields)
        if kept is None:
            self.wire.pub.send(frame)
            return frame
        refs = [
            {"batch_id": batch["id"], "step_id": one["step_id"], "attempt": one["attempt"]} for one in kept
        ]
        pause, key, now = self.timers["resend_ms"] / 1000, (batch["id"], batch["sequence"]), time.monotonic()
        entry = {
            "frame": frame,
            "steps": refs,
            "pause": pause,
            "due": now + pause,
            "made": now,
            "written": True,
        }
        self.outbox[key] = entry
        if self.file is not None:
            entry["written"] = self.write(key, entry)
        if entry["written"]:
            self.wire.pub.send(frame)
        return frame

    def write(self, key, entry):
        record = {"key": key, "session": self.wire.session, "steps": entry["steps"]}
        written = self.file.write(frame=entry["frame"].decode(), **record)
        return written or self.fault == "sends_unwritten"

    def write_again(self):
        """What did not fit on the disk is tried again, and sent when it is there."""
        for key, entry in self.outbox.items():
            if not entry["written"] and self.write(key, entry):
                entry["written"] = True
                self.wire.pub.send(entry["frame"])

    def restart_waits(self, pause):
        for entry in self.outbox.values():
            entry["pause"] = self.timers["resend_ms"] / 1000
            entry["due"] = time.monotonic() + pause
            if pause == 0:
                entry["pause"] /= 2

    def send_again(self, wanted):
        for key, entry in self.outbox.items():
            if entry["written"] and wanted(key, entry):
                frame = entry["frame"]
                if self.fault == "resends_other_bytes":
                    frame = frame[:-1] + b" }"
                self.wire.pub.send(frame)

    def resend_due(self):
        now = time.monotonic()
        due = [entry for entry in self.outbox.values() if now >= entry["due"]]
        self.send_again(lambda _key, entry: entry in due)
        for entry in due:
            entry["pause"] *= 1 if self.fault == "resends_without_doubling" else 2
            entry["due"] = now + entry["pause"]

    def on_ack(self, body):
        acked = [(batch["batch_id"], number) for batch in body["batches"] for number in batch["sequences"]]
        refused = [(one["batch_id"], one["sequence"]) for one in body["rejected"]]
        if self.fault == "ignores_acks":
            acked = []
        for key in acked + (refused if self.fault != "ignores_rejected" else []):
            if self.outbox.pop(key, None) and self.file is not None:
                self.file.write(done=key)

    def on_report_request(self, body):
        if self.fault == "answers_no_requests":
            return
        numbers, steps = body.get("sequences"), body.get("step_ids")

        def wanted(key, entry):
            named = key[1] in (numbers or []) or any(
                ref["step_id"] in (steps or []) for ref in entry["steps"]
            )
            return key[0] == body["batch_id"] and (named or numbers is None and steps is None)

        self.send_again(wanted)

    # ------------------------------------------------------------------ the end

    def drain(self, limit_s):
        if self.drain_by is None:
            own = 30.0 if self.fault == "ignores_its_limit" else self.options.drain_timeout
            self.drain_by = time.monotonic() + (
                own if self.fault == "ignores_deadlines" else min(limit_s, own)
            )
            for attempt in [one for one in self.attempts if one.started is None]:
                if self.fault != "keeps_held_at_drain":
                    self.take_back(attempt, "draining")

    def finish_drain(self):
        if self.fault == "waits_for_welcome" and not self.welcomed:
            return
        unfinished = [one for one in self.attempts if not one.reported]
        acked = not self.outbox or self.fault == "leaves_before_acks"
        if not unfinished and acked:
            clean = not self.attempts or self.fault == "always_drained"
            self.leave("drained" if clean else "handlers_running", 0)
        elif time.monotonic() >= self.drain_by:
            self.leave("deadline", UNFINISHED)

    def leave(self, reason, code):
        if self.welcomed:
            self.wire.send("workers", "goodbye", reason=reason)
        self.exit_code = code
        if self.fault == "reads_after_goodbye":
            self.drain_by = None
            while self.wire.sub.poll(100):
                self.receive(self.wire.sub.recv())
                self.start()

    def turn(self):
        self.wire.sub.poll(5)
        if self.fault == "leaves_after_freeze" and 1 < time.monotonic() - self.turned < 1000:
            self.exit_code = 1
        self.turned = time.monotonic()
        if self.signals > 1 and self.fault != "ignores_second_signals":
            return self.leave("interrupted", UNFINISHED)
        for _ in range(200):
            try:
                frame = self.wire.sub.recv(zmq.NOBLOCK)
            except zmq.Again:
                break
            self.receive(frame)
            if self.drain_by is not None:
                self.finish_drain()
            if self.exit_code is not None:
                return None
        now = time.monotonic()
        if self.signals:
            self.drain(float("inf"))
        if now - self.heard > SILENCE_S and self.fault != "keeps_its_sockets":
            self.wire.open()
            self.heard = now
            self.silent = True
            self.greet()
        for_ever = self.fault == "says_hello_for_ever"
        if (not self.welcomed or for_ever) and now >= self.hello_at:
            self.hello()
        if (self.welcomed or self.fault == "beats_before_welcome") and now >= self.beat_at:
            self.beat()
        self.watch()
        if self.welcomed or self.fault == "resends_unwelcomed":
            self.resend_due()
        if now >= self.blocked_until:
            self.write_again()
            self.blocked_until = now + 0.2
        if self.drain_by is None:
            self.start()
        else:
            self.finish_drain()
        return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fault", choices=FAULTS)
    parser.add_argument("--capacity", type=int, default=4)
    parser.add_argument("--outbox-limit", type=int, default=10_000)
    parser.add_argument("--drain-timeout", type=float, default=30.0)
    parser.add_argument("--outbox")
    options, unknown = parser.parse_known_args()
    if unknown and options.fault != "ignores_wrong_options":
        parser.error(f"unknown options {unknown}")
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    worker = Worker(options)

    def on_signal(*_):
        worker.signals += 1

    if options.fault != "dies_of_sigterm":
        signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, signal.SIG_DFL if options.fault == "dies_of_sigint" else on_signal)
    while worker.exit_code is None:
        worker.turn()
    worker.wire.close()
    sys.stdout.flush()
    os._exit(worker.exit_code)


if __name__ == "__main__":
    main()
