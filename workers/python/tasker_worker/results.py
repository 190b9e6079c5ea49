"""What runs in memory come to; see testing."""

import json
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Tuple

from .outcome import SNOOZED

SHOWN_CHARACTERS_MAX = 200
SHOWN_FRAMES_MAX = 3


@dataclass(frozen=True, repr=False)
class StepResult:
    """How one attempt ended. `status` and `error` as on the wire; `output` after a way through JSON.

    `snoozed` stands for a handler that raised SnoozeError: it asked to wait `wait_seconds`, because of
    `message`.
    """

    status: str
    output: Any
    error: Optional[Dict[str, Any]]
    seconds: float
    wait_seconds: Optional[float] = None
    message: str = ""

    def __repr__(self) -> str:
        if self.snoozed:
            return f"<{self.snooze_text}>"
        return f"<{self.status} {_shown(self.output) if self.error is None else _described(self.error)}>"

    @property
    def snooze_text(self) -> str:
        """`asked to wait 30 s: the bank is closed`"""
        return f"asked to wait {self.wait_seconds:g} s" + (f": {self.message}" if self.message else "")

    @property
    def snoozed(self) -> bool:
        """Whether the step would be delivered again after `wait_seconds`, at no cost."""
        return self.status == SNOOZED

    @property
    def completed(self) -> bool:
        return self.status == "completed"

    @property
    def retryable(self) -> bool:
        """Whether the orchestrator would try again, attempts permitting."""
        return self.status == "failed" and (self.error or {}).get("retryable") is not False


@dataclass(frozen=True, repr=False)
class StepStory:
    """What became of one step of a template: `complete`, `error`, or `pending` when a parent failed.

    `waits_for` names the parents that keep a pending step from running.
    """

    name: str
    state: str
    attempts: int
    results: Any
    history: List[StepResult] = field(default_factory=list)
    waits_for: Tuple[str, ...] = ()
    #: how often its handler asked to wait; these deliveries are in `history`, and are no attempts
    snoozes: int = 0

    def __repr__(self) -> str:
        return f"<{self.name} {self._outcome()}>"

    def _outcome(self) -> str:
        if self.state == "pending":
            return f"pending, waits for {', '.join(self.waits_for)}"
        attempts = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
        error = self.history[-1].error if self.history else None
        if error is None:
            return f"{self.state}, {attempts}"
        return f"{self.state} after {attempts}: {_described(error)}"

    def explain(self) -> List[str]:
        """Lines for people: the outcome, why earlier attempts failed, and where the last one did."""
        lines = [f"{self.name}: {self._outcome()}"]
        number = 0
        for result in self.history[:-1]:
            if result.snoozed:
                lines.append(f"  {result.snooze_text}")
                continue
            number += 1
            if result.error is not None:
                lines.append(f"  attempt {number} failed: {_described(result.error)}")
        error = self.history[-1].error if self.history else None
        lines += [f"    {line}" for line in (error or {}).get("backtrace", [])[:SHOWN_FRAMES_MAX]]
        return lines


@dataclass(frozen=True, repr=False)
class TemplateResult:
    """`state` is complete or error; `steps` by name, `order` as they first ran."""

    state: str
    steps: Dict[str, StepStory]
    order: List[str]
    template: str = ""

    def __repr__(self) -> str:
        steps = ", ".join(f"{step.name} {step.state}" for step in self.steps.values())
        return f"<{self.template} {self.state}: {steps}>"

    def explain(self) -> str:
        """What became of each step, and why, for the message of an assertion."""
        lines = [line for step in self.steps.values() for line in step.explain()]
        return "\n".join([f"{self.template}: {self.state}", *(f"  {line}" for line in lines)])


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARACTERS_MAX else text[: SHOWN_CHARACTERS_MAX - 1] + "…"


def _described(error: Mapping[str, Any]) -> str:
    """The message of a report's error, with its type and code."""
    kind, message, code = str(error["error_type"]), str(error["message"]), error.get("error_code")
    text = message if message.startswith(kind) else f"{kind}: {message}"
    return f"{text} [{code}]" if code else text
