"""Runs rules side by side, each with a worker process of its own."""

import shutil
import tempfile
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, List, Sequence

from .errors import NoHello, Stopped, Violation
from .orchestrator import Watch
from .rulebook import Rule
from .trial import Setup, Trial

OK, FAILED, SKIPPED = "ok", "FAILED", "skipped"
#: the rule that must hold before any other can be tried
FIRST = "hello_says_all"
#: the rule that answers for the frames of the whole run
FRAMES = "every_frame_valid"


@dataclass
class Result:
    """How one rule ended. `log`: the last lines of its workers, when it failed."""

    rule: Rule
    state: str
    seen: str
    seconds: float = 0.0
    log: List[str] = field(default_factory=list)
    faults: List[str] = field(default_factory=list)
    no_hello: bool = False


class Engine:
    """Runs rules, `jobs` at a time; `stop` ends all of them from another thread or a signal handler."""

    def __init__(self, setup: Setup, jobs: int) -> None:
        self._setup = setup
        self._jobs = jobs
        self._stop = threading.Event()

    def stop(self) -> None:
        self._stop.set()

    def run(self, rules: Sequence[Rule], show: Callable[[Result], None]) -> List[Result]:
        """Runs the rules and calls `show` with each result, in their order; returns them all."""
        base = tempfile.gettempdir()
        # Below it come the names of sockets, whose paths may have 107 bytes in all.
        folder = Path(tempfile.mkdtemp(prefix="tasker-conformance-", dir=base if len(base) < 40 else "/tmp"))
        try:
            return self._run(list(rules), folder, show)
        finally:
            self._stop.set()
            shutil.rmtree(folder, ignore_errors=True)

    def _run(self, rules: List[Rule], folder: Path, show: Callable[[Result], None]) -> List[Result]:
        results: List[Result] = []
        last = next((rule for rule in rules if rule.name == FRAMES), None)
        rules = [rule for rule in rules if rule is not last]
        if rules and rules[0].name == FIRST:
            results.append(self._one(rules.pop(0), folder))
            show(results[0])
            if results[0].no_hello:
                for rule in [*rules, *([last] if last else [])]:
                    results.append(Result(rule, SKIPPED, "not tried: without hello there is no session"))
                    show(results[-1])
                return results
        with ThreadPoolExecutor(self._jobs) as pool:
            # The longest first, so that none of them ends alone.
            order = sorted(rules, key=lambda rule: -rule.limit_s)
            running: Dict[str, "Future[Result]"] = {}
            try:
                for rule in order:
                    running[rule.name] = pool.submit(self._one, rule, folder)
                for rule in rules:
                    result = running[rule.name].result()
                    results.append(result if last else _answer_for_frames(result))
                    show(results[-1])
            finally:
                # Reached by an exception too (a signal): then what runs must not go on.
                if any(not future.done() for future in running.values()):
                    self._stop.set()
                pool.shutdown(cancel_futures=True)
        if last is not None:
            results.append(self._frames(last, results, folder))
            show(results[-1])
        return results

    def _frames(self, rule: Rule, others: List[Result], folder: Path) -> Result:
        result = _answer_for_frames(self._one(rule, folder))
        faulty = [other for other in others if other.faults]
        if faulty and result.state == OK:
            names = ", ".join(other.rule.name for other in faulty[:4])
            more = f" and {len(faulty) - 4} more" if len(faulty) > 4 else ""
            result.state, result.seen = FAILED, f"{faulty[0].faults[0]} (during {names}{more})"
        return result

    def _one(self, rule: Rule, folder: Path) -> Result:
        lacking = [need for need in rule.needs if need in self._setup.without]
        if lacking:
            return Result(rule, SKIPPED, f"the worker is without {', '.join(lacking)}")
        place = Path(tempfile.mkdtemp(prefix="r", dir=folder))
        start = time.monotonic()
        watch = Watch(rule.limit_s, self._setup.patience, self._stop)
        with Trial(self._setup, place, watch) as trial:
            result = _judged(rule, trial)
            result.faults = [
                fault
                for orchestrator in trial.orchestrators
                for message in orchestrator.received
                for fault in message.faults
            ]
            if result.state == FAILED:
                for number, worker in enumerate(trial.workers, 1):
                    name = f"worker {number}: " if len(trial.workers) > 1 else ""
                    result.log += [name + line for line in worker.last_lines()]
        shutil.rmtree(place, ignore_errors=True)
        result.seconds = time.monotonic() - start
        return result


def _judged(rule: Rule, trial: Trial) -> Result:
    try:
        return Result(rule, OK, rule.check(trial))
    except NoHello as violation:
        return Result(rule, FAILED, str(violation), no_hello=True)
    except Violation as violation:
        return Result(rule, FAILED, str(violation))
    except Stopped:
        return Result(rule, FAILED, "the run was ended")
    except (KeyError, TypeError, ValueError, IndexError) as error:
        # A message without the fields that a rule reads; its fault is named with the frames.
        return Result(rule, FAILED, f"a message could not be read: {type(error).__name__}: {error}")
    except Exception as error:
        return Result(rule, FAILED, f"the rule could not be tried: {type(error).__name__}: {error}")


def _answer_for_frames(result: Result) -> Result:
    if result.faults and result.state == OK:
        result.state, result.seen = FAILED, result.faults[0]
    return result
