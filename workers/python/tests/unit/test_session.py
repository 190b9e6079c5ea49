"""The conversation with a hand-cranked clock and a list in place of the sockets."""

import json

import pytest

from tasker_worker import __version__, introduction
from tasker_worker.errors import ConfigurationError
from tasker_worker.outbox import Outbox
from tasker_worker.session import Refused, Session
from tasker_worker.settings import Settings
from tasker_worker.wire import codec

FROM = {"orchestrator_id": "o", "protocol_version": "1.0"}
WELCOME_LIMITS = {"batch_bytes": 2000, "result_bytes": 1000, "depth": 20}


class StubWork:
    """A worker without steps."""

    session = ""
    free = 10

    def inventory(self, now=None):
        return {"held": [], "running": [], "unacked": []}

    def leave_session(self, session, now):
        self.session = session
        return 0


class Life:
    """A session, what it sent (with the time), and how often it opened its sockets."""

    def __init__(self, connects=True):
        self.now = 0.0
        self.sent = []
        self.opened = []
        self.outbox = Outbox(self.send, 100)
        self.session = Session(
            Settings("w-1", silence_ms=5000),
            StubWork(),
            self.outbox,
            self.send,
            lambda session, others: self.opened.append(session),
            ["A"],
            ["n"],
        )
        self.session.start(0.0)
        if connects:
            self.connected()

    def connected(self):
        """The orchestrator's subscriptions arrive."""
        self.session.results_path_open([b"results ", b"workers "], self.now)

    def send(self, frame):
        self.sent.append((round(self.now, 3), json.loads(codec.split_frame(frame)[1])))

    def until(self, end):
        """Ticks exactly when the session asks for it, as the loop does."""
        while (due := self.session.next_due()) <= end:
            self.now = max(self.now, due)
            self.session.tick(self.now)
        self.now = end

    def receive(self, message_type, epoch=1, **fields):
        body = json.dumps({"message_type": message_type, "epoch": epoch, **FROM, **fields})
        message = codec.decode_orchestrator_message(body.encode())
        if self.session.receive(message, self.now):
            handle = getattr(self.session, f"on_{message_type}", None)
            if handle:
                handle(message, self.now)

    def welcome(self, epoch=1):
        self.receive(
            "welcome",
            epoch,
            session=self.session.id,
            heartbeat_ms=1000,
            lease_ms=8000,
            resend_ms=500,
            limits=WELCOME_LIMITS,
        )

    def hellos(self, since=0.0):
        return [
            round(at - since, 3)
            for at, body in self.sent
            if body["message_type"] == "hello" and at >= round(since, 3)
        ]


@pytest.fixture
def life():
    return Life()


SERIES = [0.0, 0.1, 1.1, 2.1, 3.1]


def test_hello_comes_at_once_then_after_100_ms_then_each_second_until_it_is_answered(life):
    life.until(3.5)
    assert life.hellos() == SERIES
    life.welcome()
    life.until(6.0)
    assert life.hellos() == SERIES
    hello = life.sent[0][1]
    assert (hello["sdk_version"], hello["language"], hello["session"]) == (
        __version__,
        "python",
        life.session.id,
    )


def test_without_a_sign_that_somebody_listens_hello_keeps_its_times():
    life = Life(connects=False)
    life.until(2.5)
    assert life.hellos() == [0.1, 1.1, 2.1]
    life.connected()  # an orchestrator that starts late gets its hello at once
    life.until(4.0)
    assert life.hellos(since=2.5) == [0.0, 0.1, 1.1]


def test_the_first_orchestrator_is_no_reason_to_begin_anew(life):
    life.receive("heartbeat", epoch=7, n=1)
    life.until(2.5)
    assert life.hellos() == SERIES[:4] and life.session.epoch == 7


def test_a_higher_epoch_begins_the_series_anew(life):
    life.welcome()
    life.until(2.0)
    life.receive("heartbeat", epoch=2, n=1)
    life.until(5.5)
    assert life.hellos(since=2.0) == SERIES
    assert life.session.epoch == 2 and not life.session.welcomed


def test_a_welcome_of_a_higher_epoch_is_the_answer_already(life):
    life.welcome()
    life.until(2.0)
    life.welcome(epoch=2)
    life.until(3.0)
    assert life.hellos(since=1.0) == [] and life.session.welcomed


def test_a_lower_epoch_is_dropped(life):
    life.welcome(epoch=3)
    seen = len(life.sent)
    life.receive("probe", epoch=2, nonce="n")
    assert len(life.sent) == seen
    life.receive("probe", epoch=3, nonce="n")
    assert life.sent[-1][1]["message_type"] == "ready"


def test_a_lower_epoch_is_followed_when_the_higher_one_has_fallen_silent(life):
    life.welcome(epoch=3)
    life.receive("heartbeat", epoch=2, n=1)
    assert life.session.epoch == 3
    life.until(4.9)
    life.receive("heartbeat", epoch=2, n=1)  # it is no sign of life either
    life.until(5.0)
    assert life.opened == [life.session.id] * 2
    life.receive("heartbeat", epoch=2, n=7)
    life.until(6.2)
    assert life.session.epoch == 2 and life.hellos(since=5.0) == [0.0, 0.1, 1.1]
    life.welcome(epoch=2)
    life.until(7.0)
    beats = [body for _, body in life.sent if body["message_type"] == "worker_heartbeat"]
    assert life.session.welcomed and beats


def test_another_installation_is_followed_at_any_epoch(life):
    life.receive("heartbeat", epoch=3, n=1, installation="one")
    life.welcome(epoch=3)
    life.until(3.0)
    for epoch in (1, 3):
        life.receive("heartbeat", epoch=epoch, n=1, installation="two")
        assert life.session.epoch == epoch and not life.session.welcomed
        assert life.sent[-1][1]["message_type"] == "hello"
        life.receive("heartbeat", epoch=epoch, n=2, installation="two")
        life.welcome(epoch=epoch)
        assert life.session.welcomed
        life.until(life.now + 3)
        life.receive("heartbeat", epoch=3, n=1, installation="one")
        life.until(life.now + 3)


def test_an_installation_that_answers_is_not_left_for_another_one(life):
    life.receive("heartbeat", epoch=3, n=1, installation="one")
    life.welcome(epoch=3)
    seen = len(life.hellos())
    for _ in range(10):
        life.until(life.now + 1.0)
        life.receive("heartbeat", epoch=3, n=2, installation="one")
        life.until(life.now + 0.1)
        life.receive("heartbeat", epoch=9, n=3, installation="two")
    assert len(life.hellos()) == seen and life.session.epoch == 3
    life.receive("heartbeat", epoch=4, n=4)  # an orchestrator that names none is judged by its epoch
    assert life.session.epoch == 4


def test_silence_brings_new_sockets_and_begins_the_series_anew(life):
    life.until(0.5)
    life.welcome()
    life.until(5.4)
    assert len(life.opened) == 1
    life.receive("heartbeat", n=1)
    life.until(10.4)  # nothing was received from 5.4 on
    life.connected()
    life.until(13.9)
    assert life.opened == [life.session.id] * 2
    assert life.hellos(since=10.4) == SERIES


def test_the_orchestrators_subscription_begins_the_series_anew_until_it_has_welcomed(life):
    life.until(0.7)
    life.session.results_path_open([b"results "], life.now)
    life.until(0.8)
    life.session.results_path_open([b"workers "], life.now)
    life.until(2.5)
    assert life.hellos() == [0.0, 0.1, 0.8, 0.9, 1.9]
    life.welcome()
    life.session.results_path_open([b"workers "], life.now)
    life.until(3.0)
    assert len(life.hellos()) == 5


def test_after_a_passing_refusal_hello_comes_after_retry_ms_and_then_each_second(life):
    life.receive("refused", code="draining", message="later", retry_ms=700)
    life.until(3.0)
    assert life.hellos() == [0.0, 0.7, 1.7, 2.7]


def test_a_duplicate_session_begins_the_series_anew_under_another_id(life):
    old = life.session.id
    life.until(0.5)
    life.receive("refused", code="duplicate_session", message="in use", retry_ms=5000)
    life.connected()
    life.until(2.0)
    assert life.session.id != old and life.opened == [old, life.session.id]
    assert life.hellos(since=0.5) == [0.0, 0.1, 1.1]
    assert life.sent[-1][1]["previous_sessions"] == [old]


@pytest.mark.parametrize("code", ["version", "not_allowed"])
def test_a_final_refusal_is_raised(life, code):
    with pytest.raises(Refused) as caught:
        life.receive("refused", code=code, message="because", retry_ms=0)
    assert caught.value.code == code and "because" in str(caught.value)


def test_a_welcome_sets_the_pace_of_the_heartbeats(life):
    life.welcome()
    life.until(3.5)
    beats = [at for at, body in life.sent if body["message_type"] == "worker_heartbeat"]
    assert beats == [1.0, 2.0, 3.0]


def test_nothing_is_sent_again_while_nobody_answers(life):
    life.outbox.add(("b", 1), b'results {"message_type":"x"}', ((1, 1),), 0.0)
    life.until(3.0)
    reports = lambda: [at for at, body in life.sent if body["message_type"] == "x"]  # noqa: E731
    assert reports() == [0.0]
    life.welcome()
    life.until(6.5)
    assert reports() == [0.0, 4.0, 6.0]  # waits of 1 s and 2 s from the welcome on


def test_goodbye_is_sent_only_to_somebody_who_knows_this_session(life):
    life.session.goodbye("drained")
    assert [body["message_type"] for _, body in life.sent] == ["hello"]
    life.welcome()
    life.session.goodbye("drained")
    assert life.sent[-1][1] == {
        "message_type": "goodbye",
        "protocol_version": "1.0",
        "session": life.session.id,
        "reason": "drained",
    }


def nonce_of(life):
    return next(body["hello_nonce"] for _, body in reversed(life.sent) if body["message_type"] == "hello")


def refuse(life, code, epoch=1, **fields):
    life.receive("refused", epoch, code=code, message="", retry_ms=100, **fields)


@pytest.mark.parametrize("code", ["duplicate_session", "not_allowed", "version", "draining"])
def test_a_refusal_of_another_processs_hello_is_ignored(life, code):
    session = life.session.id
    refuse(life, code, hello_nonce="another")
    assert life.session.id == session and len(life.hellos()) == 1
    life.welcome()
    refuse(life, code)
    assert life.session.welcomed and life.session.id == session, "once welcomed, it is not ours"
    refuse(life, code, hello_nonce=nonce_of(life))
    assert life.session.welcomed and life.session.id == session


def test_a_refusal_of_a_higher_epoch_counts_although_the_lower_one_had_welcomed(life):
    life.welcome()
    session = life.session.id
    refuse(life, "duplicate_session", 2, hello_nonce="another")
    assert life.session.id == session and not life.session.welcomed, "a hello is due all the same"
    refuse(life, "duplicate_session", 2, hello_nonce=nonce_of(life))
    assert life.session.id != session


def test_a_session_that_is_not_known_any_more_introduces_itself(life):
    life.welcome()
    life.until(0.5)
    refuse(life, "unknown_session")
    assert not life.session.welcomed
    life.until(2.0)
    assert life.hellos(since=0.5) == [0.1, 1.1]


def test_a_probe_before_the_welcome_is_answered_after_it(life):
    life.receive("probe", nonce="early")
    assert [body for _, body in life.sent if body["message_type"] == "ready"] == []
    life.welcome()
    assert [body["nonce"] for _, body in life.sent if body["message_type"] == "ready"] == ["early"]
    life.receive("probe", nonce="later")
    assert [body["nonce"] for _, body in life.sent if body["message_type"] == "ready"] == ["early", "later"]


def test_a_hello_that_is_too_large_stops_the_worker(life):
    life.receive(
        "welcome",
        session=life.session.id,
        heartbeat_ms=1000,
        lease_ms=8000,
        resend_ms=500,
        limits={**WELCOME_LIMITS, "inventory_bytes": 150},
    )
    life.until(1.5)
    assert [body["message_type"] for _, body in life.sent] == [
        "hello"
    ], "a heartbeat that is too large is not sent"
    with pytest.raises(ConfigurationError, match="hello of this worker has .* bytes"):
        life.receive("heartbeat", 2, n=1)


@pytest.mark.parametrize(
    "name, fault",
    [("a\nb", "control"), ("a\u202eb", "control"), ("a\x9b", "control"), ("x" * 256, "256 characters")],
)
def test_names_that_no_hello_may_hold_stop_the_start(name, fault):
    for arguments in ((name, ["n"], ["A"]), ("w", [name], ["A"]), ("w", ["n"], [name])):
        with pytest.raises(ConfigurationError, match=fault):
            introduction.check(*arguments)
    introduction.check("käufer-🛒", ["x" * 255], ["Order::*"])


def test_more_names_than_a_hello_holds_stop_the_start():
    with pytest.raises(ConfigurationError, match="bytes, at most"):
        introduction.check("w", ["n"], [f"{i:06d}" + "x" * 190 for i in range(10_000)])


def complaints(caplog):
    return [record.fields for record in caplog.records if record.getMessage() == "no orchestrator answers"]


def test_a_worker_that_reaches_nobody_says_so_every_30_seconds(caplog):
    life = Life(connects=False)
    life.until(95.0)
    said = complaints(caplog)
    assert [fields["silent_ms"] for fields in said] == [30_000, 60_000, 90_000]
    assert said[0]["steps_endpoints"] == "tcp://127.0.0.1:5555"
    assert said[0]["results_endpoints"] == "tcp://127.0.0.1:5556"
    assert "tasker health" in said[0]["advice"]
    life.welcome()
    for second in range(96, 200):
        life.until(float(second))
        life.receive("heartbeat", n=second)
    assert len(complaints(caplog)) == 3
    life.until(231.0)
    assert [fields["silent_ms"] for fields in complaints(caplog)[3:]] == [30_000]
