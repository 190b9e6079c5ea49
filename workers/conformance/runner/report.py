"""How results are shown: a line per rule, the logs of what failed, one line at the end; or JSON."""

import json
from typing import Any, Dict, List, Sequence

from .engine import FAILED, OK, SKIPPED, Result
from .rulebook import CAPABILITIES, RULES, Rule


def _columns(rule: Rule) -> str:
    names = max(len(name) for name in RULES)
    sections = max(len(one.section) for one in RULES.values()) + 2
    return f"{rule.name:<{names}}  {f'[{rule.section}]':<{sections}}"


def line(result: Result) -> str:
    return f"{result.state:<8}{_columns(result.rule)}  {result.seen}"


def details(results: Sequence[Result]) -> List[str]:
    """What the rules that failed ask for, and the last lines of their workers' logs."""
    lines: List[str] = []
    for result in results:
        if result.state == FAILED:
            lines += ["", f"-- {result.rule.name}: {result.rule.text}"]
            lines += [f"   {text}" for text in result.log]
    return [*lines, ""] if lines else []


def counts(results: Sequence[Result]) -> Dict[str, int]:
    return {state: sum(1 for result in results if result.state == state) for state in (OK, FAILED, SKIPPED)}


def summary(results: Sequence[Result]) -> str:
    count = counts(results)
    skipped = f", {count[SKIPPED]} skipped" if count[SKIPPED] else ""
    return f"{count[OK]} passed, {count[FAILED]} failed{skipped}"


def conforms(results: Sequence[Result]) -> bool:
    """Nothing failed, and something was tried."""
    count = counts(results)
    return count[FAILED] == 0 and count[OK] > 0


def as_json(command: Sequence[str], results: Sequence[Result]) -> str:
    count = counts(results)
    document: Dict[str, Any] = {
        "command": list(command),
        "conforms": conforms(results),
        "passed": count[OK],
        "failed": count[FAILED],
        "skipped": count[SKIPPED],
        "rules": [
            {
                "name": result.rule.name,
                "section": result.rule.section,
                "state": result.state,
                "seen": result.seen,
                "seconds": round(result.seconds, 3),
                "log": result.log,
            }
            for result in results
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=1)


def listing(rules: Sequence[Rule]) -> List[str]:
    """The rules with what they ask for."""
    lines = []
    for one in rules:
        needs = f" (needs {', '.join(one.needs)})" if one.needs else ""
        lines.append(f"  {_columns(one)}  {one.text}{needs}")
    return lines


def capabilities() -> List[str]:
    return [f"  {name:<18} {text}" for name, text in CAPABILITIES.items()]
