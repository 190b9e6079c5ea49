"""A seed decides the plan, and every fault can be planned."""

from __future__ import annotations

import json
from pathlib import Path

from tests.chaos.faults import FAULTS, HANDLER_FAULTS
from tests.chaos.load import FAULTY, WEIGHTS, Load, request_for
from tests.chaos.plan import QUIET_AFTER_S, WARM_UP_S, make_plan
from tests.chaos.options import EVERYTHING, parse_options, replay_command
from tests.support.procs import ROOT


def test_a_seed_brings_the_same_plan_and_another_seed_another_one():
    assert make_plan("1", 300, FAULTS) == make_plan("1", 300, FAULTS)
    assert make_plan("1", 300, FAULTS) != make_plan("2", 300, FAULTS)


def test_every_fault_comes_and_only_chosen_ones_do():
    assert {planned.fault for planned in make_plan("3", 300, FAULTS)} == set(FAULTS)
    chosen = {"kill_worker", "drop_acks"}
    assert {planned.fault for planned in make_plan("3", 60, chosen)} == chosen
    assert make_plan("3", 60, []) == []


def test_faults_come_in_order_within_the_time():
    times = [planned.at for planned in make_plan("4", 120, FAULTS)]
    assert times == sorted(times) and times[0] >= WARM_UP_S and times[-1] < 120


def test_nothing_else_is_planned_right_after_a_measured_kill():
    plan = make_plan("5", 300, FAULTS)
    measured = [index for index, planned in enumerate(plan[:-1]) if planned.measured]
    assert {plan[index].fault for index in measured} == {"kill_orchestrator", "kill_worker"}
    for index in measured:
        assert plan[index + 1].at - plan[index].at >= QUIET_AFTER_S - 0.02


def test_parameters_can_be_written_down():
    for planned in make_plan("6", 600, FAULTS):
        assert json.loads(json.dumps(planned.parameters)) == planned.parameters


def test_every_template_is_submitted():
    folders = (ROOT / "config/tasks", ROOT / "tests/chaos/templates")
    names = {path.stem for folder in folders for path in folder.glob("*.yaml")}
    assert {name.split("/")[1] for name in WEIGHTS} == names


def test_faulty_templates_belong_to_a_fault():
    assert set(FAULTY.values()) == set(HANDLER_FAULTS)
    assert set(FAULTY) <= set(WEIGHTS)


def test_a_load_without_faulty_handlers_leaves_their_templates_out():
    load = Load(None, "7", 10, 1.0, set())  # type: ignore[arg-type]
    assert set(load.templates) == set(WEIGHTS) - set(FAULTY)


def test_the_replay_command_is_understood_and_means_the_same():
    options = parse_options(["--seed", "9", "--minutes", "0.5", "--only", "kill_worker,operator"])
    again = parse_options(replay_command(options).split()[1:])
    assert vars(again) == vars(options)


def test_the_help_names_every_fault(capsys):
    try:
        parse_options(["--help"])
    except SystemExit as end:
        assert end.code == 0
    said = capsys.readouterr().out
    assert [name for name in EVERYTHING if name not in said] == []


def test_the_readme_describes_every_fault():
    text = Path(ROOT / "tests/chaos/README.md").read_text()
    assert [name for name in EVERYTHING if f"`{name}`" not in text] == []


def test_hashes_are_those_of_the_command_line():
    request = request_for("bench/single", "k", {"b": 1, "a": "ü"})
    # sha256 of 'key\nk' and of '{"a":"ü","b":1}'
    assert request["identity_hash"][:8] == "7717e695"
    assert request["context_hash"][:8] == "4e7ff408"
