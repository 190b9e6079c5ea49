"""bin/demo's second half: starts the parts, submits the orders, shows their outcome, stops everything."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TASKER = os.environ.get("TASKER_BUILD_DIR", str(ROOT / "build")) + "/bin/tasker"
TEMPLATE = "fulfillment/order_fulfillment"
STEPS = ["validate_order", "reserve_inventory", "process_payment", "ship_order"]
HANDLERS = "OrderFulfillment::StepHandlers::"
COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ
START_LIMIT_S = 60
RUN_LIMIT_S = 60


def paint(code: str, text: str) -> str:
    return f"\033[{code}m{text}\033[0m" if COLOUR else text


def headline(text: str) -> None:
    print("\n" + paint("1;36", f"── {text} "), flush=True)


def fail(text: str) -> None:
    raise SystemExit(paint("1;31", "demo failed: ") + text)


class Demo:
    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tasker-demo."))
        self.folder.chmod(0o755)
        self.processes: list[tuple[str, subprocess.Popen]] = []
        self.variables = dict(os.environ)
        self.variables.pop("TASKER_DATABASE_URL", None)

    # ------------------------------------------------------------------ the parts

    def start(self, name: str, command: list[str], extra: dict | None = None) -> subprocess.Popen:
        log = open(self.folder / f"{name}.log", "w")
        process = subprocess.Popen(
            command, cwd=ROOT, env={**self.variables, **(extra or {})}, stdout=log, stderr=subprocess.STDOUT
        )
        log.close()
        self.processes.append((name, process))
        return process

    def log_of(self, name: str) -> str:
        return "\n".join((self.folder / f"{name}.log").read_text(errors="replace").splitlines()[-15:])

    def start_dev(self) -> None:
        state_file = self.folder / "dev" / "dev.json"
        dev = self.start("dev", [TASKER, "dev", "--dir", str(self.folder / "dev")])
        self.wait_until(lambda: self.health_ok(), dev, "dev", "tasker dev")
        state = json.loads(state_file.read_text())
        self.variables["TASKER_DATABASE_URL"] = state["database_url"]
        self.variables["TASKER_STEPS_ENDPOINT"] = state["endpoints"]["steps"]
        self.variables["TASKER_RESULTS_ENDPOINT"] = state["endpoints"]["results"]
        self.variables["TASKER_COMMAND_ENDPOINT"] = state["endpoints"]["command"]
        for part, endpoint in state["endpoints"].items():
            print(f"  {part:8} {endpoint}")

    def health_ok(self) -> bool:
        state_file = self.folder / "dev" / "dev.json"
        if not state_file.exists():
            return False
        url = json.loads(state_file.read_text())["database_url"]
        return self.tasker("health", check=False, url=url).returncode == 0

    def start_workers(self) -> None:
        def handlers(*names: str) -> str:
            return ",".join(HANDLERS + name for name in names)

        ruby = [str(ROOT / "workers/ruby/exe/tasker-worker"), "--worker-id", "ruby-demo"]
        ruby += ["--require", str(ROOT / "workers/ruby/examples/order_fulfillment.rb")]
        ruby += ["--handlers", handlers("ValidateOrderHandler", "ShipOrderHandler")]
        python = ["/usr/bin/python3", "-m", "tasker_worker", "--worker-id", "python-demo"]
        python += ["--import", str(ROOT / "workers/python/examples/order_fulfillment.py")]
        python += ["--handlers", handlers("ReserveInventoryHandler", "ProcessPaymentHandler")]
        templates = ["--templates", str(ROOT / "config/tasks")]
        first = self.start("ruby", ruby + templates)
        second = self.start("python", python + templates, {"PYTHONPATH": str(ROOT / "workers/python")})
        for process, name in ((first, "ruby"), (second, "python")):
            self.wait_until(
                lambda n=name: f"{n}-demo" in self.ready_workers(), process, name, f"{name} worker"
            )
        print(self.tasker("worker", "list").stdout.rstrip())

    def ready_workers(self) -> list[str]:
        workers = json.loads(self.tasker("worker", "list", "--json").stdout)
        rows = workers["workers"] if isinstance(workers, dict) else workers
        return [row["worker_id"] for row in rows if row["state"] == "ready"]

    def wait_until(self, condition, process: subprocess.Popen, name: str, what: str) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while not condition():
            if process.poll() is not None:
                fail(f"{what} ended with exit code {process.returncode}:\n{self.log_of(name)}")
            if time.monotonic() > deadline:
                fail(f"{what} was not ready within {START_LIMIT_S} s:\n{self.log_of(name)}")
            time.sleep(0.05)

    def tasker(
        self, *arguments: str, check: bool = True, url: str | None = None
    ) -> subprocess.CompletedProcess:
        variables = {**self.variables, **({"TASKER_DATABASE_URL": url} if url else {})}
        done = subprocess.run([TASKER, *arguments], cwd=ROOT, env=variables, capture_output=True, text=True)
        if check and done.returncode != 0:
            fail(f"tasker {' '.join(arguments)} exited with {done.returncode}:\n{done.stderr}{done.stdout}")
        return done

    # ------------------------------------------------------------------ the orders

    def submit(self) -> list[int]:
        orders = ROOT / "examples" / "orders.json"
        reply = json.loads(self.tasker("task", "submit", TEMPLATE, "--many", f"@{orders}", "--json").stdout)
        rows = reply["tasks"] if isinstance(reply, dict) else reply
        return [row["task_id"] for row in rows]

    def watch(self, ids: list[int]) -> list[dict]:
        deadline = time.monotonic() + RUN_LIMIT_S
        last = ""
        while True:
            tasks = [json.loads(self.tasker("task", "show", str(i), "--json").stdout) for i in ids[-1:]]
            listed = json.loads(self.tasker("task", "list", "--json", "--limit", "1000").stdout)
            rows = listed["tasks"] if isinstance(listed, dict) else listed
            states = {row["task_id"]: row["state"] for row in rows if row["task_id"] in ids}
            ended = [s for s in states.values() if s not in ("pending", "in_progress")]
            line = self.progress_line(len(ended), len(ids), states)
            if line != last:
                print(("\r\033[K" if COLOUR else "") + line, end="" if COLOUR else "\n", flush=True)
                last = line
            if len(ended) == len(ids):
                print() if COLOUR else None
                break
            if time.monotonic() > deadline:
                fail(f"{len(ids) - len(ended)} tasks had not ended after {RUN_LIMIT_S} s: {tasks}")
            time.sleep(0.05)
        return [json.loads(self.tasker("task", "show", str(i), "--json").stdout) for i in ids]

    @staticmethod
    def progress_line(done: int, total: int, states: dict) -> str:
        width = 30
        filled = width * done // max(total, 1)
        counts = {}
        for state in states.values():
            counts[state] = counts.get(state, 0) + 1
        words = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
        return f"  [{'█' * filled}{'·' * (width - filled)}] {done}/{total} ended   {words}"

    def show(self, tasks: list[dict]) -> None:
        for task in tasks:
            good = task["state"] == "complete"
            mark = ("✔ " if good else "✘ ") + task["state"]
            print(
                f"  {paint('32' if good else '31', f'{mark:11}')} "
                f"task {task['task_id']}  {task['context']['order_id']}"
            )
            for name in STEPS:
                print("      " + self.step_line(next(s for s in task["steps"] if s["name"] == name)))

    @staticmethod
    def step_line(step: dict) -> str:
        text = f"{step['name']:18} {step['state']:10}"
        if step["attempts"] > 1:
            text += paint("33", f" after {step['attempts']} attempts")
        if step["results"]:
            text += "  " + json.dumps(step["results"], ensure_ascii=False)[:110]
        elif step["error"]:
            text += "  " + paint("31", step["error"].get("message", "")[:110])
        return text

    def show_batches(self, tasks: list[dict]) -> None:
        retried = next(t for t in tasks if any(s["attempts"] > 1 for s in t["steps"]))
        print(self.tasker("batch", "list", "--task", str(retried["task_id"])).stdout.rstrip())
        listed = json.loads(self.tasker("batch", "list", "--task", str(retried["task_id"]), "--json").stdout)
        rows = listed["batches"] if isinstance(listed, dict) else listed
        newest = max(row["batch_id"] for row in rows)
        print(self.tasker("batch", "show", str(newest)).stdout.rstrip())

    @staticmethod
    def judge(tasks: list[dict]) -> None:
        complete = [t for t in tasks if t["state"] == "complete"]
        failed = [t for t in tasks if t["state"] == "error"]
        retried = [t for t in complete if any(s["attempts"] > 1 for s in t["steps"])]
        print(
            f"  {len(complete)} orders shipped, {len(retried)} of them after a payment was retried; "
            f"{len(failed)} refused by validation"
        )
        if len(complete) + len(failed) != len(tasks) or not retried or not failed:
            fail("that is not what these orders should come to")

    # ------------------------------------------------------------------ the end

    def stop(self) -> None:
        for _, process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    demo = Demo()
    started = time.monotonic()
    try:
        headline("starting PostgreSQL and the orchestrator")
        demo.start_dev()
        headline("starting a Ruby worker and a Python worker")
        demo.start_workers()
        headline("submitting the orders of examples/orders.json")
        tasks = demo.watch(demo.submit())
        headline("what became of them")
        demo.show(tasks)
        headline("one task's batches, its ledger and the reconciliation verdict")
        demo.show_batches(tasks)
        headline("the database, checked")
        print(demo.tasker("db", "check").stdout.rstrip())
        demo.judge(tasks)
        headline("stopping")
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        raise SystemExit(130) from None
    finally:
        demo.stop()
    print(f"  everything is stopped; the demo took {time.monotonic() - started:.1f} s", flush=True)


if __name__ == "__main__":
    main()
