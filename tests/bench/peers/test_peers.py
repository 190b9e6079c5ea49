"""The comparison's own parts, without any peer: arguments, figures, tables, and how a driver is watched."""

import json
import os
import re
import sys
from pathlib import Path

import pytest

from tests.bench.peers import catalog, driver, report, run, stores, tasker
from tests.support import procs

NODE = catalog.HERE / "node"


def fake_driver(tmp_path: Path, body: str, limit_s: float = 20) -> driver.Driver:
    script = tmp_path / "driver.py"
    script.write_text(
        "import json, os, subprocess, sys, time\n"
        "def say(event, **facts):\n"
        "    print(json.dumps({'event': event, **facts}), flush=True)\n"
        "    sys.stdin.readline()\n" + body
    )
    return driver.Driver([sys.executable, str(script)], tmp_path, limit_s)


class NoStore:
    def pids(self):
        return []


def test_a_run_gives_rate_and_processor_time_of_the_measured_span_only(tmp_path):
    body = (
        "def burn(seconds):\n"
        "    while time.process_time() < seconds: pass\n"
        "burn(0.3); print('chatter')\n"
        "say('begin'); burn(0.5); say('end', steps=1000, seconds=2.0); burn(0.6)\n"
    )
    with fake_driver(tmp_path, body) as running:
        figures = driver.figures(running, NoStore())
    assert figures["steps_per_s"] == 500
    assert 0.1 <= figures["worker_cpu_s_per_1000"] <= 0.25
    assert figures["store_cpu_s_per_1000"] == 0


def test_a_latency_run_gives_percentiles(tmp_path):
    body = "say('begin'); say('end', steps=100, seconds=1.0, latencies_ms=list(range(100, 0, -1)))"
    with fake_driver(tmp_path, body) as running:
        figures = driver.figures(running, NoStore())
    assert (figures["p50_ms"], figures["p99_ms"]) == (51, 100)
    assert "steps_per_s" not in figures


@pytest.mark.parametrize(
    "body, told",
    [
        ("sys.exit('no store')", 'ended before "begin".*no store'),
        ("say('end', steps=1, seconds=1)", 'said "end" where "begin" was due'),
        ("say('begin'); sys.exit('lost it')", 'ended before "end".*lost it'),
        ("say('begin'); say('end', steps=1, seconds=1); sys.exit(3)", "ended with exit code 3"),
    ],
)
def test_a_driver_that_fails_is_a_failure_with_its_own_words(tmp_path, body, told):
    with pytest.raises(driver.Failed) as failure:
        with fake_driver(tmp_path, body) as running:
            driver.figures(running, NoStore())
    assert re.search(told, str(failure.value), re.DOTALL)


def test_a_driver_that_hangs_ends_with_its_worker(tmp_path):
    body = (
        "worker = subprocess.Popen(['sleep', '1000'])\n"
        "open('worker.pid', 'w').write(str(worker.pid))\n"
        "say('begin'); time.sleep(1000)\n"
    )
    with pytest.raises(driver.Failed, match="did not end within 1 s"):
        with fake_driver(tmp_path, body, limit_s=1) as running:
            driver.figures(running, NoStore())
    worker = int((tmp_path / "worker.pid").read_text())
    procs.wait_until(lambda: not alive(worker), what="the worker has ended")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def some_runs() -> list[dict]:
    runs = []
    for number, (steps_per_s, p50) in enumerate([(9000, 1.0), (10050, 1.5), (12340, 4.0)], 1):
        figures = {"steps_per_s": steps_per_s, "worker_cpu_s_per_1000": 0.1, "store_cpu_s_per_1000": 0.2}
        runs.append({"contestant": "bullmq", "workload": "chain4", "run": number, "figures": figures})
        figures = {"p50_ms": p50, "p99_ms": 2 * p50}
        runs.append({"contestant": "bullmq", "workload": "latency", "run": number, "figures": figures})
    return runs


def a_document() -> dict:
    peers = [catalog.BY_NAME["bullmq"], catalog.BY_NAME["sidekiq"]]
    told = {
        peer.name: {
            "title": peer.title,
            "version": "1.2",
            "store": peer.store_text,
            "durable": peer.durable,
            "tuning": peer.tuning,
            "settings": {"concurrency": 7, "for latency": {"concurrency": 1}},
            "lacks": peer.lacks,
        }
        for peer in peers
    }
    runs = some_runs()
    summary = report.summaries(runs)
    failures = ["sidekiq, latency, run 1: it ended\nlog"]
    measured = {"runs": runs, "summary": summary, "failures": failures}
    return {"at": "now", "machine": ["2 × a"], "contestants": told, **measured}


def test_the_table_has_median_and_spread_and_a_dash_where_nothing_was_measured():
    lines = report.markdown(a_document()).splitlines()
    assert lines[0].count("|") == lines[1].count("|") == lines[2].count("|") == lines[3].count("|")
    assert "| BullMQ 1.2 |" in lines[2]
    assert "10 000 (9 000–12 300)" in lines[2] or "10 100 (9 000–12 300)" in lines[2]
    assert "1.50 (1.00–4.00) / 3.00 (2.00–8.00)" in lines[2]
    assert "| 0.30 |" in lines[2]
    assert "concurrency 7; for latency: concurrency 1. " in lines[2]
    assert "may lose" not in lines[3] and "| – | – | – | – |" in lines[3]
    assert "Sidekiq has no fanout: batches and workflows are in its paid editions." in lines
    assert "Failed: sidekiq, latency, run 1: it ended" in lines


def test_the_plain_table_has_every_contestant_with_what_is_durable():
    text = report.plain(a_document())
    for name in ("bullmq", "sidekiq"):
        assert catalog.BY_NAME[name].durable in text


@pytest.mark.parametrize("value, text", [(425.4, "425"), (9876, "9 880"), (15999, "16 000"), (7, "7")])
def test_rates_have_three_digits(value, text):
    assert report.thousands(value) == text


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["resque"], "no such peer: resque"),
        (["bullmq", "--runs", "0"], "not a whole number above 0"),
        (["bullmq", "--workload", "chain5"], "invalid choice"),
        (["dbos", "--set", "pol=3"], "dbos has concurrency, pool"),
        (["dbos", "--set", "pool=many"], "pool of dbos is a whole number"),
    ],
)
def test_bad_arguments_are_refused_with_what_there_is(arguments, told, capsys):
    with pytest.raises(SystemExit) as refusal:
        run.parse(arguments)
    assert refusal.value.code == 2
    assert told in capsys.readouterr().err


def test_settings_can_be_replaced():
    args = run.parse(["celery", "--set", "pool=solo", "--set", "concurrency=1"])
    assert args.overrides == {"pool": "solo", "concurrency": 1}


def test_tasker_stands_among_the_peers():
    names = [one.name for one in run.Session(run.parse(["--with-tasker"])).contestants()]
    assert sorted(names) == sorted([*catalog.BY_NAME, "tasker-defaults", "tasker-native", "tasker-python"])
    places = [names.index(one.name) for one in tasker.CONTESTANTS]
    assert places[0] > 0 and places[-1] < len(names) - 1, "neither first nor last"
    assert all(later - earlier > 1 for earlier, later in zip(places, places[1:])), "with peers between them"


def test_figures_of_taskers_own_benchmark_are_read():
    parts = {f"{part}_cpu_ms_per_step": {"median": 0.1} for part in ("workers", "postgres", "orchestrator")}
    results = {"steps_per_s": {"median": 15000}, **parts}
    for told in ({"results": results}, {"cases": {"1 → 10 → 1": results}}):
        assert tasker.throughput(told)["steps_per_s"] == 15000
        assert tasker.throughput(told)["orchestrator_cpu_s_per_1000"] == 0.1
    for case in ({"p50_ms": 1.1, "p99_ms": 9.0}, {"p50_ms": {"median": 1.1}, "p99_ms": {"median": 9.0}}):
        assert tasker.latency({"cases": {"1 step": case}}) == {"p50_ms": 1.1, "p99_ms": 9.0}


def test_every_peer_is_whole():
    for peer in catalog.PEERS:
        assert (catalog.HERE / peer.script).exists()
        assert set(peer.tasks) <= set(catalog.WORKLOADS)
        assert peer.durable.endswith(".") and peer.tuning and peer.store_text
        assert bool(peer.lacks) == (not peer.can("fanout"))


def test_the_lock_file_pins_everything_and_names_no_registry():
    wanted = json.loads((NODE / "package.json").read_text())
    text = (NODE / "package-lock.json").read_text()
    locked = json.loads(text)["packages"]
    pinned = {**wanted["dependencies"], **wanted["optionalDependencies"]}
    assert {peer.package for peer in catalog.PEERS if peer.language == "node"} <= set(pinned)
    for name, version in pinned.items():
        assert locked[f"node_modules/{name}"]["version"] == version
    assert all("integrity" in entry for place, entry in locked.items() if place)
    assert '"resolved"' not in text


def test_a_store_that_does_not_start_is_a_failed_run_not_the_end_of_the_session(monkeypatch, capsys):
    ask = stores.Redis.answers

    def ask_and_record(self):
        answer = ask(self)
        (self.folder / "asked").touch()
        return answer

    # It is still running when it is asked for the first time, and answers nothing.
    slow = ["sh", "-c", "echo no room; until [ -e asked ]; do sleep 0.01; done; exit 1"]
    monkeypatch.setattr(stores.Redis, "answers", ask_and_record)
    monkeypatch.setattr(stores.Redis, "start", lambda self: self.launch(slow))
    session = run.Session(run.parse(["bullmq", "--workload", "latency", "--runs", "1"]))
    session.measure()
    assert session.runs == []
    assert "bullmq, latency, run 1: sh" in session.failures[0] and "no room" in session.failures[0]
    assert "no room" in capsys.readouterr().err
