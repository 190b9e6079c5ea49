"""The list of rules: a function each, with the section of SPEC.md that it checks."""

from dataclasses import dataclass
from typing import Callable, Dict, Tuple

from .trial import Trial

#: What a worker may lack (--without), and what that is.
CAPABILITIES = {
    "capacity": "the option --capacity N (how many steps run at once)",
    "outbox_limit": "the option --outbox-limit N (how many unacknowledged reports may wait)",
    "outbox_file": "the option --outbox PATH (reports survive the process)",
    "drain_timeout": "the option --drain-timeout SECONDS (how long an orderly end may take)",
    "several_endpoints": "several endpoints of a kind, comma-separated (an orchestrator and its standby)",
    "claim_first": "steps that ask before they start",
    "snooze": "handlers that ask to be called again later",
}
#: What --no-options stands for.
OPTIONS = ("capacity", "outbox_limit", "outbox_file", "drain_timeout")
LIMIT_S = 30.0

Check = Callable[[Trial], str]


@dataclass(frozen=True)
class Rule:
    """`check` returns what was seen, or raises a Violation."""

    name: str
    section: str
    text: str
    check: Check
    needs: Tuple[str, ...]
    limit_s: float


RULES: Dict[str, Rule] = {}


def rule(section: str, needs: Tuple[str, ...] = (), limit_s: float = LIMIT_S) -> Callable[[Check], Check]:
    """Enters a function into the list under its own name; its docstring says what a worker has to do."""

    def enter(check: Check) -> Check:
        text = " ".join((check.__doc__ or "").split())
        assert text and check.__name__ not in RULES, f"{check.__name__} needs a docstring and its own name"
        RULES[check.__name__] = Rule(check.__name__, section, text, check, needs, limit_s)
        return check

    return enter
