"""Submits Celery's work, hosts its worker, says "begin" and "end"; see node/common.mjs for what that is."""

import json
import os
import subprocess
import sys
import time

OPTIONS = json.loads(sys.argv[1])
os.environ["PEER_SETTINGS"] = json.dumps(OPTIONS["settings"])
os.environ["PEER_REDIS"] = OPTIONS["redis"]

import redis  # noqa: E402
from celery import chain, chord  # noqa: E402

import celery_app  # noqa: E402

QUEUE = "celery"
HELD = "held"
STEPS_PER_TASK = {"chain4": len(celery_app.CHAIN), "fanout": celery_app.WIDTH + 2}
WARM_UP_TASKS = 50
WARM_UP_SAMPLES = 20
client = redis.Redis(unix_socket_path=OPTIONS["redis"])


def say(event: str, **facts) -> None:
    print(json.dumps({"event": event, **facts}), flush=True)
    sys.stdin.readline()


def start_worker() -> subprocess.Popen:
    settings = OPTIONS["settings"]
    command = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "celery", "-A", "celery_app", "worker"]
    command += ["--concurrency", str(settings["concurrency"]), "--pool", settings["pool"]]
    command += ["--loglevel", "ERROR", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    worker = subprocess.Popen(command, cwd=os.path.dirname(celery_app.__file__), stdout=sys.stderr)
    deadline = time.monotonic() + 30
    while not celery_app.app.control.ping(timeout=0.3):
        if worker.poll() is not None or time.monotonic() > deadline:
            raise SystemExit("the Celery worker did not come up")
    return worker


def chained(order: dict):
    following = [celery_app.following.s() for _ in celery_app.CHAIN[1:]]
    return chain(celery_app.first.s(order), *following)


def diamond(order: dict):
    middles = [celery_app.following.s() for _ in range(celery_app.WIDTH)]
    return celery_app.first.s(order) | chord(middles, celery_app.join.s())


def submit(make, count: int) -> list[str]:
    """The keys of the last steps' results."""
    orders = ({"order": number, "note": "benchmark"} for number in range(count))
    return [f"celery-task-meta-{make(order).apply_async().id}" for order in orders]


def wait_for(keys: list[str]) -> None:
    """Looks at 200 results at a time, from the end: cheap for Redis, and exact for the last one."""
    left = list(keys)
    while left:
        part = left[-200:]
        if client.exists(*part) == len(part):
            del left[-200:]
        else:
            time.sleep(0.005)


def check(keys: list[str]) -> None:
    for text in client.mget(keys):
        result = json.loads(text or "{}")
        if result.get("status") != "SUCCESS":
            raise SystemExit(f"a task failed: {result}")


def throughput() -> None:
    make = {"chain4": chained, "fanout": diamond}[OPTIONS["workload"]]
    keys = submit(make, OPTIONS["tasks"])
    # The backlog is put aside until the worker has started and is warm.
    client.rename(QUEUE, HELD)
    worker = start_worker()
    try:
        wait_for(submit(make, WARM_UP_TASKS))
        say("begin")
        started = time.perf_counter()
        client.rename(HELD, QUEUE)
        wait_for(keys)
        seconds = time.perf_counter() - started
        say("end", steps=OPTIONS["tasks"] * STEPS_PER_TASK[OPTIONS["workload"]], seconds=seconds)
        check(keys)
    finally:
        end(worker)


def latency() -> None:
    worker = start_worker()
    try:
        for _ in range(WARM_UP_SAMPLES):
            one()
        say("begin")
        begun = time.perf_counter()
        samples = [one() for _ in range(OPTIONS["samples"])]
        seconds = time.perf_counter() - begun
        say("end", steps=len(samples), seconds=seconds, latencies_ms=samples)
    finally:
        end(worker)


def one() -> float:
    started = time.perf_counter()
    celery_app.work(celery_app.first.delay({"order": 1, "note": "benchmark"}).get(timeout=10))
    return (time.perf_counter() - started) * 1000


def end(worker: subprocess.Popen) -> None:
    worker.terminate()
    try:
        worker.wait(15)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()


if __name__ == "__main__":
    latency() if OPTIONS["workload"] == "latency" else throughput()
