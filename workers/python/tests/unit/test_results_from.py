"""`results_from`: the results of ancestors that are no direct parents, without a new dependency."""

import pytest

from tasker_worker.errors import ConfigurationError
from tasker_worker.testing import run_template


def template(**publish):
    steps = [
        {"name": "plan", "handler_class": "P"},
        {"name": "write", "handler_class": "P", "depends_on_step": "plan"},
        {"name": "check", "handler_class": "P", "depends_on_steps": ["write"]},
        {"name": "publish", "handler_class": "P", "depends_on_steps": ["check"], **publish},
        {"name": "aside", "handler_class": "P"},
    ]
    return {"namespace_name": "press", "name": "page", "version": "1.0.0", "step_templates": steps}


def run(ask, **publish):
    def answer(task, sequence, step):
        return {"by": step.name} if step.name != "publish" else ask(sequence)

    names = ["plan", "write", "check", "publish", "aside"]
    return run_template(template(**publish), stubs={name: answer for name in names})


@pytest.mark.parametrize("written", [["plan"], "plan"])
def test_the_results_of_an_ancestor_are_delivered(written):
    result = run(lambda sequence: dict(sequence.previous_results), results_from=written)
    assert result.steps["publish"].results == {"check": {"by": "check"}, "plan": {"by": "plan"}}


def test_what_is_not_delivered_names_what_is():
    result = run(lambda sequence: sequence.get_results("write"), results_from=["plan"])
    error = result.steps["publish"].history[-1].error
    assert error["message"] == (
        "'write' is neither a direct parent of this step nor in its results_from;"
        " there are results of: check, plan"
    )
    assert run(lambda sequence: sequence.find_step_by_name("write")).state == "complete"


@pytest.mark.parametrize("name", ["aside", "publish", "nobody"])
def test_what_is_no_ancestor_is_refused(name):
    with pytest.raises(ConfigurationError, match=f"step publish: results_from names {name}, which is no"):
        run(lambda sequence: None, results_from=[name])


def test_a_misspelt_ancestor_is_suggested():
    with pytest.raises(ConfigurationError, match="did you mean plan"):
        run(lambda sequence: None, results_from=["plann"])
