"""Chapter "Work", claim_first: nothing starts without a grant that holds."""

from typing import Any, Dict, Tuple

from ..frames import Received
from ..orchestrator import Orchestrator
from ..rulebook import rule
from ..trial import Trial, reasons, ref, require
from .hello import gaps, shown
from .work import require_in_sequence

CLAIM = "Work: claim_first"
NEEDS = ("claim_first",)


def _claiming(trial: Trial, **settings: Any) -> Tuple[Orchestrator, str, Received]:
    """(orchestrator, batch, first request) of a worker that asks to start step 1."""
    orchestrator, _worker = trial.session(**settings)
    batch = orchestrator.batch([trial.step(1, claim_first=True)])
    orchestrator.wait("start_request", lambda: orchestrator.of("start_request") or trial.starts())
    require(not trial.starts(), "the step started without asking")
    request = orchestrator.of("start_request", batch_id=batch)[0]
    require(request.body["n"] == 1, f"the first start_request has n {request.body['n']}")
    return orchestrator, batch, request


def _answer(
    orchestrator: Orchestrator, request: Received, kind: str = "start_granted", **changes: Any
) -> None:
    fields = {name: request.body[name] for name in ("batch_id", "step_id", "attempt", "n")}
    more: Dict[str, Any] = {"start_window_ms": 5000} if kind == "start_granted" else {"reason": "not current"}
    orchestrator.control(kind, **{**fields, **more, **changes})


def _require_handed_back(trial: Trial, orchestrator: Orchestrator, batch: str, reason: str) -> None:
    """Step 1 was handed back for this reason, and never runs, whatever is granted later."""
    orchestrator.wait("batch_rejected", lambda: orchestrator.of("batch_rejected") or trial.starts())
    require(not trial.starts(), f"the step started; it had to be handed back as {reason}")
    rejected = orchestrator.get("batch_rejected", batch_id=batch)
    require(reasons(rejected) == {1: reason}, f"handed back: {reasons(rejected)}")
    for request in orchestrator.of("start_request", batch_id=batch):
        _answer(orchestrator, request, start_window_ms=60_000)
    other = orchestrator.batch([trial.step(2)])
    orchestrator.final(other, 2)
    orchestrator.pass_time(0.2)
    require(1 not in trial.starts(), f"a step that was handed back as {reason} started all the same")
    require(
        not orchestrator.of("batch_completion", batch_id=batch),
        "a batch that was handed back whole was completed",
    )
    require_in_sequence(orchestrator, batch)


@rule(CLAIM, NEEDS)
def claim_asks_first(trial: Trial) -> str:
    """A claim_first step asks with n = 1, again each resend_ms with the next n, and starts only on a grant
    that echoes a request of this attempt."""
    orchestrator, batch, _request = _claiming(trial, resend_ms=400)
    orchestrator.get("start_request", count=4, batch_id=batch)
    requests = orchestrator.of("start_request", batch_id=batch)[:4]
    numbers = [request.body["n"] for request in requests]
    pauses = gaps(requests)
    require(numbers == [1, 2, 3, 4], f"the start_requests have n {numbers}")
    high = 0.4 + 0.4 * trial.setup.patience
    require(all(0.3 <= pause <= high for pause in pauses), f"it asked each {shown(pauses)}; resend_ms is 400")
    _answer(orchestrator, requests[-1], n=77)
    _answer(orchestrator, requests[-1], attempt=2)
    _answer(orchestrator, requests[-1], batch_id="0198c5a4-7d1e-7c3a-9f10-2b6d5e4f3a21")
    orchestrator.beat_of_now()
    require(not trial.starts(), "it started without a grant for a request that it had sent")
    _answer(orchestrator, orchestrator.of("start_request")[-1])
    orchestrator.get("batch_completion", batch_id=batch)
    require(trial.starts() == [1], f"the handler ran {len(trial.starts())} times")
    return f"asked each {shown(pauses)}, started on the grant"


@rule(CLAIM, NEEDS)
def claim_window_from_request(trial: Trial) -> str:
    """The window counts from the sending of the request: a grant that comes after it is too late, and the
    step is handed back as `start_window_missed`."""
    orchestrator, batch, request = _claiming(trial, resend_ms=20_000)
    orchestrator.pass_time(0.6)
    _answer(orchestrator, request, start_window_ms=400)
    _require_handed_back(trial, orchestrator, batch, "start_window_missed")
    return "a window of 400 ms, granted 600 ms after the request: handed back"


@rule(CLAIM, NEEDS)
def claim_after_freeze(trial: Trial) -> str:
    """A worker that was frozen past its window does not start what it was granted in time."""
    orchestrator, batch, request = _claiming(trial, resend_ms=20_000)
    worker = trial.workers[-1]
    worker.freeze()
    _answer(orchestrator, request, start_window_ms=500)
    orchestrator.pass_time(1.0)
    worker.thaw()
    _require_handed_back(trial, orchestrator, batch, "start_window_missed")
    return "granted for 500 ms, frozen for 1 s: handed back"


@rule(CLAIM, NEEDS)
def claim_late_grant_of_older(trial: Trial) -> str:
    """A late grant of an older request is ignored while a later request is under way."""
    orchestrator, batch, request = _claiming(trial, resend_ms=500)
    second = orchestrator.get("start_request", count=2, batch_id=batch)
    _answer(orchestrator, request, start_window_ms=1)
    orchestrator.beat_of_now()
    require(not trial.starts(), "it started on a grant whose window was over")
    require(
        not orchestrator.of("batch_rejected"), "it handed the step back while a later request was under way"
    )
    _answer(orchestrator, orchestrator.of("start_request", batch_id=batch)[-1])
    orchestrator.final(batch, 1)
    return f"ignored while n = {second.body['n']} waits, which is granted then"


@rule(CLAIM, NEEDS)
def claim_denied(trial: Trial) -> str:
    """A step whose start is denied is handed back as `start_denied` and never runs."""
    orchestrator, batch, request = _claiming(trial)
    _answer(orchestrator, request, "start_denied")
    _require_handed_back(trial, orchestrator, batch, "start_denied")
    return "denied, handed back"


@rule(CLAIM, NEEDS)
def claim_cancelled(trial: Trial) -> str:
    """A step that asks and is cancelled is handed back as `cancelled`; a grant that comes later starts
    nothing."""
    orchestrator, batch, _request = _claiming(trial, resend_ms=20_000)
    orchestrator.control("cancel", steps=[ref(batch, 1)], reason="nobody wants it")
    _require_handed_back(trial, orchestrator, batch, "cancelled")
    return "cancelled while it asked, handed back"
