"""SnoozeError: not now. It costs no attempt, and a handler sees how many are left."""

import pytest

from tasker_worker import SnoozeError, StepHandler, handler
from tasker_worker.outcome import SNOOZED, failure
from tasker_worker.testing import run_step, run_template

TEMPLATE = {
    "namespace_name": "bank",
    "name": "transfer",
    "version": "1.0.0",
    "step_templates": [{"name": "pay", "handler_class": "Snooze::Pay", "default_retry_limit": 2}],
}


@handler("Snooze::Pay")
class Pay(StepHandler):
    def process(self, task, sequence, step):
        raise AssertionError("each test brings a stub")


def template(**step):
    return {**TEMPLATE, "step_templates": [{**TEMPLATE["step_templates"][0], **step}]}


@pytest.mark.parametrize("seconds", [-1, "60", None, True, float("nan"), float("inf"), 1e13])
def test_what_is_no_number_of_seconds_is_refused(seconds):
    with pytest.raises(ValueError, match="seconds must be a number >= 0"):
        SnoozeError(seconds)


def test_an_outcome_has_the_seconds_and_the_words_and_no_error():
    outcome = failure(SnoozeError(2.5, "the bank is closed"), 0.1)
    assert (outcome.status, outcome.retry_after, outcome.message) == (SNOOZED, 2.5, "the bank is closed")
    assert outcome.error is None and outcome.output_json is None


def test_a_class_of_its_own_without_seconds_or_text_still_waits():
    class Odd(SnoozeError):
        def __init__(self):  # pylint: disable=super-init-not-called
            pass

        def __str__(self):
            raise RuntimeError("no text")

    outcome = failure(Odd(), 0.1)
    assert (outcome.status, outcome.retry_after, outcome.message) == (SNOOZED, 0, "")


def test_the_lists_of_a_handler_have_no_say():
    class Listed(StepHandler):
        fail_on = ["SnoozeError"]

        def process(self, task, sequence, step):
            raise SnoozeError(1)

    assert run_step(Listed).snoozed


def test_run_step_shows_it():
    def wait(task, sequence, step):
        raise SnoozeError(30, "the bank is closed")

    result = run_step(wait)
    assert result.snoozed and not result.completed and not result.retryable
    assert (result.wait_seconds, result.message) == (30, "the bank is closed")
    assert repr(result) == "<asked to wait 30 s: the bank is closed>"


def test_a_template_delivers_it_again_and_no_attempt_is_used_up():
    seen = []

    def pay(task, sequence, step):
        seen.append((step.attempt, step.tries_left))
        if len(seen) in (1, 3):
            raise SnoozeError(60)
        if len(seen) == 2:
            raise OSError("once")
        return {"paid": True}

    run = run_template(TEMPLATE, stubs={"pay": pay})
    assert run.state == "complete", run.explain()
    # The deliveries rise; what is left falls only with the failure.
    assert seen == [(1, 1), (2, 1), (3, 0), (4, 0)]
    story = run.steps["pay"]
    assert (story.attempts, story.snoozes, len(story.history)) == (2, 2, 4)
    assert "asked to wait 60 s" in run.explain() and "attempt 1 failed: OSError" in run.explain()


@pytest.mark.parametrize("limit", [0, 3])
def test_beyond_max_snoozes_the_step_fails_and_the_reason_says_so(limit):
    def never(task, sequence, step):
        raise SnoozeError(1, "still closed")

    run = run_template(template(max_snoozes=limit), stubs={"pay": never})
    story = run.steps["pay"]
    assert (run.state, story.state, story.snoozes) == ("error", "error", limit)
    error = story.history[-1].error
    assert error["error_code"] == "snoozes_exhausted"
    assert f"more often than max_snoozes allows ({limit}): still closed" in error["message"]


def test_a_step_that_must_not_be_repeated_has_no_tries_left():
    run = run_template(
        template(default_retryable=False, default_retry_limit=5),
        stubs={"pay": lambda task, sequence, step: {"left": step.tries_left}},
    )
    assert run.steps["pay"].results == {"left": 0}


def test_tries_left_of_run_step():
    def left(task, sequence, step):
        return step.tries_left

    assert run_step(left, attempt=2, retry_limit=3).output == 1
    assert run_step(left, attempt=9, retry_limit=3).output == 0
    assert run_step(left, attempt=9, retry_limit=3, tries_left=2).output == 2
