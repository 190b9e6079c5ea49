import os
import random

import pytest

from tasker_worker import ConfigurationError
from tasker_worker.outbox import Outbox
from tasker_worker.outbox_file import COMPACT_BYTES, MAGIC, OutboxFile

BATCH = "0198c5a4-7d1e-7c3a-9f10-2b6d5e4f3a21"
SESSION = "00ff12ab34cd56ef"


def report(number, size=10):
    return b'results {"x":"' + b"y" * size + b'","n":' + str(number).encode() + b"}"


def fill(path, count, size=10):
    file = OutboxFile(path)
    for number in range(1, count + 1):
        file.add(SESSION, (BATCH, number), ((number, 1),), report(number, size))
    assert file.sync(0.0, durable=True)
    return file


def left_in(path):
    file = OutboxFile(path)
    stored = {key[1]: entry for key, entry in file.stored.items()}
    os.close(file._fd), os.close(file._lock)  # as a killed process leaves them
    return stored


@pytest.fixture
def path(folder):
    return os.path.join(folder, "outbox")


def test_what_is_not_acknowledged_is_found_again_as_it_was(path):
    file = fill(path, 3)
    file.done((BATCH, 2))
    file.close()
    stored = left_in(path)
    assert sorted(stored) == [1, 3]
    entry = stored[3]
    assert (entry.session, entry.key, entry.steps, entry.frame) == (
        SESSION,
        (BATCH, 3),
        ((3, 1),),
        report(3),
    )


def test_a_completion_names_no_step(path):
    file = fill(path, 0)
    file.add(SESSION, (BATCH, 9), (), b"results {}")
    file.sync(0.0, durable=True)
    file.close()
    assert left_in(path)[9].steps == ()


def test_a_file_without_reports_shrinks_to_its_first_line(path):
    file = fill(path, 3)
    for number in (1, 2, 3):
        file.done((BATCH, number))
    file.close()
    assert open(path, "rb").read() == MAGIC


def test_cut_anywhere_it_loses_only_the_record_that_was_cut(path):
    fill(path, 2, size=1).close()
    whole = open(path, "rb").read()
    ends = [len(MAGIC)]
    while ends[-1] < len(whole):
        ends.append(whole.index(b"\n", ends[-1]) + 1)
    for size in range(len(whole) + 1):
        with open(path, "wb") as stream:
            stream.write(whole[:size])
        complete = sum(end <= size for end in ends[1:])
        assert sorted(left_in(path)) == list(range(1, complete + 1)), size
        assert os.path.getsize(path) == ends[complete]


def test_a_torn_end_of_garbage_is_cut_off_and_writing_goes_on_behind_what_is_good(path):
    fill(path, 2).close()
    with open(path, "ab") as stream:
        stream.write(b"A 00000000 " + b"\x00" * 300)
    file = OutboxFile(path)
    file.add(SESSION, (BATCH, 3), ((3, 1),), report(3))
    assert file.sync(0.0, durable=True)
    file.close()
    assert sorted(left_in(path)) == [1, 2, 3]


def test_damage_in_the_middle_is_refused_and_nothing_is_changed(path):
    fill(path, 3).close()
    data = bytearray(open(path, "rb").read())
    data[len(MAGIC) + 30] ^= 1
    with open(path, "wb") as stream:
        stream.write(data)
    with pytest.raises(ConfigurationError, match="line 2 is damaged"):
        OutboxFile(path)
    assert open(path, "rb").read() == bytes(data)


def test_a_file_of_another_kind_is_refused_and_left_alone(path):
    with open(path, "w") as stream:
        stream.write("my thesis\n")
    with pytest.raises(ConfigurationError, match="is no outbox file"):
        OutboxFile(path)
    assert open(path).read() == "my thesis\n"


def test_a_folder_and_a_path_that_leads_nowhere_are_refused(folder):
    for path in (folder, os.path.join(folder, "no", "outbox")):
        with pytest.raises(ConfigurationError, match="--outbox"):
            OutboxFile(path)
        assert not os.path.exists(path + ".lock")


def test_two_owners_of_one_file_are_refused(path):
    file = OutboxFile(path)
    with pytest.raises(ConfigurationError, match=f"another worker uses it .process {os.getpid()}"):
        OutboxFile(path)
    file.close()
    OutboxFile(path).close()


def test_it_does_not_grow_with_what_passes_through(path):
    file = fill(path, 1, size=1000)
    largest = 0
    for number in range(2, 5000):
        file.add(SESSION, (BATCH, number), ((number, 1),), report(number, 1000))
        assert file.sync(0.0, durable=False)
        file.done((BATCH, number))
        largest = max(largest, os.path.getsize(path))
    assert COMPACT_BYTES < largest < COMPACT_BYTES + 20_000
    file.close()
    assert sorted(left_in(path)) == [1]  # carried over by every rewriting


def test_when_all_is_acknowledged_a_large_file_is_emptied(path):
    file = fill(path, 30, size=100_000)
    assert os.path.getsize(path) > COMPACT_BYTES
    for number in range(1, 31):
        file.done((BATCH, number))
    file.sync(0.0, durable=False)
    assert os.path.getsize(path) == len(MAGIC)
    file.close()


def test_any_order_of_reports_and_acks_is_read_back(path):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    live = {}
    file = OutboxFile(path)
    for number in range(1, 400):
        live[number] = report(number, chance.choice((1, 100, 30_000)))
        file.add(SESSION, (BATCH, number), ((number, 1),), live[number])
        if chance.random() < 0.3:
            assert file.sync(0.0, durable=False)
        while live and chance.random() < 0.5:
            gone = chance.choice(list(live))
            del live[gone]
            file.done((BATCH, gone))
        if chance.random() < 0.05:
            file.close()
            file = OutboxFile(path)
            assert {key[1]: entry.frame for key, entry in file.stored.items()} == live
    file.close()
    assert {number: entry.frame for number, entry in left_in(path).items()} == live


# ---------------------------------------------------------------------- the outbox with a file


class Disk:
    """Stands in for the file: says whether a sync succeeds, and remembers the order of things."""

    def __init__(self):
        self.works, self.events, self.retry_at = True, [], None

    @property
    def blocked(self):
        return self.retry_at is not None

    def add(self, session, key, steps, frame):
        self.events.append(("add", key[1]))

    def done(self, key):
        self.events.append(("done", key[1]))

    def sync(self, now, durable):
        if self.works:
            self.events.append("sync")
            self.retry_at = None
        else:
            self.retry_at = now + 1.0
        return self.works


def test_a_report_goes_out_after_it_is_on_the_disk():
    disk = Disk()
    box = Outbox(lambda frame: disk.events.append(("send", frame)), limit=10, file=disk)
    box.add(("b", 1), b"one", ((1, 1),), 0.0)
    box.add(("b", 2), b"two", ((2, 1),), 0.0)
    box.flush(0.0)
    assert disk.events == [("add", 1), ("add", 2), "sync", ("send", b"one"), ("send", b"two")]


def test_while_the_disk_is_full_nothing_goes_out_nothing_is_lost_and_nothing_may_start():
    disk, sent = Disk(), []
    box = Outbox(sent.append, limit=10, file=disk)
    disk.works = False
    box.add(("b", 1), b"one", ((1, 1),), 0.0)
    box.flush(0.0)
    box.make_all_due(0.0)
    box.resend_due(50.0, 10)
    box.resend_some("b", lambda entry: True, 50.0)
    assert sent == [] and box.room == 0 and box.next_flush() == 1.0
    assert box.waits_for_disk(box._entries[("b", 1)].frame)
    assert list(box.unacked()) == [("b", 1, 1)]
    disk.works = True
    box.flush(1.0)
    assert sent == [b"one"] and box.room == 9 and box.next_flush() is None
    assert box.resend_due(2.0, 10) == 1


def test_room_is_bounded_by_bytes_and_comes_back_with_the_acks():
    box = Outbox(lambda frame: None, limit=10, bytes_max=100)
    box.add(("b", 1), b"x" * 60, (), 0.0)
    assert box.room == 9
    box.add(("b", 2), b"x" * 60, (), 0.0)
    assert box.room == 0
    box.acknowledge("b", [1])
    assert box.room == 9 and box.bytes == 60
