from tasker_worker.outbox import Outbox


class Wire:
    def __init__(self):
        self.frames = []
        self.outbox = Outbox(self.frames.append, limit=100, resend_s=1.0)

    def add(self, number, now, batch="b", steps=((1, 1),)):
        self.outbox.add((batch, number), f"{batch}{number}".encode(), steps, now)

    def taken(self):
        frames, self.frames[:] = list(self.frames), []
        return frames


def test_a_report_is_sent_at_once_and_again_with_doubling_delay_up_to_30_s():
    wire = Wire()
    wire.add(1, 0.0)
    assert wire.taken() == [b"b1"]
    now, delays = 0.0, []
    for _ in range(8):
        due = wire.outbox.next_due()
        assert wire.outbox.resend_due(due - 0.001, 10) == 0
        assert wire.outbox.resend_due(due, 10) == 1
        assert wire.taken() == [b"b1"]
        delays.append(round(due - now, 3))
        now = due
    assert delays == [1, 2, 4, 8, 16, 30, 30, 30]


def test_acknowledged_reports_are_not_sent_again():
    wire = Wire()
    for number in (1, 2, 3):
        wire.add(number, 0.0)
    wire.outbox.acknowledge("b", [1, 3, 99])
    wire.outbox.acknowledge("other", [2])
    wire.taken()
    assert wire.outbox.resend_due(5.0, 10) == 1
    assert wire.taken() == [b"b2"]
    assert len(wire.outbox) == 1


def test_when_all_is_acknowledged_nothing_is_due():
    wire = Wire()
    wire.add(1, 0.0)
    wire.outbox.acknowledge("b", [1])
    assert wire.outbox.next_due() is None
    assert wire.outbox.oldest_age_s(9.0) == 0.0


def test_a_burst_is_limited_and_goes_on_next_time():
    wire = Wire()
    for number in range(1, 8):
        wire.add(number, 0.0)
    wire.taken()
    assert wire.outbox.resend_due(1.0, 5) == 5
    assert wire.outbox.next_due() <= 1.0
    assert wire.outbox.resend_due(1.0, 5) == 2
    assert wire.taken() == [f"b{number}".encode() for number in range(1, 8)]
    assert wire.outbox.resend_due(1.0, 5) == 0


def test_a_new_handshake_makes_everything_due_oldest_first_and_starts_the_delays_anew():
    wire = Wire()
    wire.add(1, 0.0)
    wire.outbox.resend_due(1.0, 10)
    wire.outbox.resend_due(3.0, 10)
    wire.add(2, 3.1)
    wire.taken()
    wire.outbox.make_all_due(4.0)
    assert wire.outbox.resend_due(4.0, 10) == 2
    assert wire.taken() == [b"b1", b"b2"]
    assert wire.outbox.next_due() == 6.0  # both are at their second delay


def test_report_requests_resend_what_is_wanted_of_one_batch():
    wire = Wire()
    wire.add(1, 0.0, batch="b")
    wire.add(2, 0.0, batch="b", steps=((7, 1),))
    wire.add(1, 0.0, batch="c")
    wire.taken()
    assert wire.outbox.resend_some("b", lambda entry: entry.steps == ((7, 1),), 0.5) == 1
    assert wire.taken() == [b"b2"]


def test_the_inventory_names_every_reported_step():
    wire = Wire()
    wire.add(1, 0.0, steps=((5, 2),))
    wire.add(2, 0.0, steps=())
    wire.add(3, 0.0, steps=((6, 1), (7, 1)))
    assert list(wire.outbox.unacked()) == [("b", 5, 2), ("b", 6, 1), ("b", 7, 1)]


def test_a_changed_first_delay_applies_to_what_waits():
    wire = Wire()
    wire.add(1, 0.0)
    wire.outbox.set_resend(5.0)
    assert wire.outbox.next_due() == 5.0
    assert wire.outbox.resend_due(4.9, 10) == 0
    assert wire.outbox.resend_due(5.0, 10) == 1


def test_moving_to_a_new_session_rewrites_or_drops():
    wire = Wire()
    wire.add(1, 0.0)
    wire.add(2, 0.0)
    dropped = wire.outbox.move_to_session(lambda entry: None if entry.key[1] == 1 else entry.frame + b"!")
    wire.taken()
    assert dropped == 1
    assert wire.outbox.resend_due(1.0, 10) == 1
    assert wire.taken() == [b"b2!"]
