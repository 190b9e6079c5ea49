import functools
import textwrap
import threading

import pytest

from tasker_worker import ConfigurationError, StepHandler, handler, handlers, registry, templates
from tasker_worker.outcome import Limits, run_handler
from tasker_worker.testing import run_step
from tasker_worker.values import CancelFlag
from tasker_worker.wire.orchestrator_messages import StepRequest
from tasker_worker.wire.schema import read_record
from tests.support.fake_orchestrator import a_step


@handler("Reg::First")
class First(StepHandler):
    def process(self, task, sequence, step):
        return dict(self.config)


@handler("Reg::Second")
class Second(First):
    pass


@handler("Reg::Breaks")
class Breaks(StepHandler):
    def __init__(self, config):
        self.url = config["url"]

    def process(self, task, sequence, step):
        return self.url


def template(*steps, name="t", version="1.0.0", **more):
    data = {"namespace_name": "ns", "name": name, "version": version, "step_templates": list(steps), **more}
    return templates.parse(data, "test", {}, source=f"{name}.yaml")


def step(name, cls, **config):
    return {"name": name, "handler_class": cls, "handler_config": config}


def request(cls, config=None, **fields):
    return read_record(StepRequest, a_step(1, cls, handler_config=config or {}, **fields))


def instance(entry):
    if entry.process is None:
        entry.build()
    return entry.process.__self__


def test_one_instance_for_each_configuration_whatever_the_template():
    found = registry.build(["Reg::First"])
    one = found.find_for(request("Reg::First", {"x": 1}, task_name="a", task_version="1"))
    assert found.find_for(request("Reg::First", {"x": 1}, task_name="b", task_version="2")) is one
    other = found.find_for(request("Reg::First", {"x": 2}))
    assert instance(one).config == {"x": 1} and instance(other).config == {"x": 2}
    assert instance(one) is instance(one)
    assert found.find_for(request("Reg::Unknown")) is None


def test_configurations_are_told_apart_by_type_and_depth():
    found = registry.build(["Reg::First"])
    configs = [{"x": 1}, {"x": True}, {"x": 1.0}, {"x": "1"}, {"x": [1]}, {"x": {"y": 1}}, {}, {"x": None}]
    configs += [{"x": "a" * 100 + end} for end in "bc"]
    entries = [found.find_for(request("Reg::First", config)) for config in configs]
    assert len({id(entry) for entry in entries}) == len(configs)
    for entry, config in zip(entries, configs):
        assert repr(instance(entry).config) == repr(config)


def test_an_instance_has_a_copy_of_its_own():
    found = registry.build(["Reg::First"])
    config = {"list": [1]}
    entry = found.find_for(request("Reg::First", config))
    config["list"].append(2)
    assert instance(entry).config == {"list": [1]}


def test_the_instances_used_last_are_kept():
    found = registry.Registry({"Reg::First": First}, instances_max=2)
    one, two = (found.find_for(request("Reg::First", {"x": x})) for x in (1, 2))
    assert found.find_for(request("Reg::First", {"x": 1})) is one
    found.find_for(request("Reg::First", {"x": 3}))
    assert found.find_for(request("Reg::First", {"x": 1})) is one
    assert found.find_for(request("Reg::First", {"x": 2})) is not two


def test_threads_build_an_instance_once():
    built, gate = [], threading.Barrier(4)

    class Slow(StepHandler):
        def __init__(self, config):
            built.append(config)

        def process(self, task, sequence, step):
            return None

    entry = registry.entry_of("X", Slow, {})

    def work():
        gate.wait(10)
        entry.build()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert built == [{}]


def test_a_constructor_that_fails_ends_the_attempt_and_is_tried_again():
    assert registry.build(["Reg::Breaks"]).handler_classes == ["Reg::Breaks"]
    result = run_step(Breaks)
    assert result.status == "failed" and "url" in result.error["message"]
    assert run_step(Breaks, handler_config={"url": "http://x"}).output == "http://x"
    tries = []

    class SecondTime(StepHandler):
        def __init__(self, config):
            tries.append(1)
            if len(tries) == 1:
                raise OSError("not yet")

        def process(self, task, sequence, step):
            return "built"

    entry = registry.entry_of("X", SecondTime, {})
    outcomes = [run_handler(entry, request("X"), CancelFlag(), Limits()) for _ in range(2)]
    assert [outcome.status for outcome in outcomes] == ["failed", "completed"]


def test_without_a_list_all_that_is_declared_is_served():
    served = registry.build().handler_classes
    assert {"Reg::First", "Reg::Second", "Reg::Breaks"} <= set(served)


def test_with_a_list_exactly_those_are_served():
    assert registry.build(["Reg::Second"]).handler_classes == ["Reg::Second"]
    with pytest.raises(ConfigurationError, match="Reg::Secnd is missing.*did you mean Reg::Second"):
        registry.build(["Reg::Secnd"])


def test_nothing_to_serve_stops_the_start(monkeypatch):
    monkeypatch.setattr(handlers, "_registered", {})
    monkeypatch.setattr(handlers, "_loaded", {})
    with pytest.raises(ConfigurationError, match="no handler to serve.*--import"):
        registry.build()


def test_templates_are_compared_with_what_is_served():
    found = registry.build(["Reg::First", "Reg::Second"])
    compared = found.compare([template(step("a", "Reg::Frist"), step("b", "Ruby::Only"))])
    assert [(name.handler_class, name.did_you_mean) for name in compared.unasked] == [
        ("Reg::First", "Reg::Frist"),
        ("Reg::Second", None),
    ]
    assert [(name.handler_class, name.did_you_mean) for name in compared.elsewhere] == [
        ("Reg::Frist", "Reg::First"),
        ("Ruby::Only", None),
    ]


def test_another_namespace_is_suggested_by_the_last_part():
    assert registry.suggestion("Orders::ShipHandler", ["Shop::Steps::ShipHandler", "X"]) == (
        "Shop::Steps::ShipHandler"
    )
    assert registry.suggestion("shop.steps.Ship", ["Orders::Ship"]) == "Orders::Ship"
    assert registry.suggestion("Orders::Ship", []) is None


class Base(StepHandler):
    pass


def with_method(name, method, base=StepHandler, **more):
    return type("Odd", (base,), {name: method, **more})


def yields(self, task, sequence, step):
    yield 1


async def yields_later(self, task, sequence, step):
    yield 1


async def coroutine(self, task, sequence, step):
    return 1


@pytest.mark.parametrize(
    "cls, problem",
    [
        (Base, "has no method process"),
        (with_method("proces", lambda self, t, q, s: 1), "did you mean process instead of proces"),
        (with_method("run", lambda self, t, q, s: 1), r"step\)$"),
        (with_method("process", lambda self, task: 1), r"process\(self, task\) is called with 3 arguments"),
        (with_method("process", lambda self, t, q, s, more: 1), "is called with 3 arguments.*more"),
        (with_method("process", lambda self, t, q, s, *, key: 1), "key"),
        (with_method("process", lambda t, q, s: 1), "is called with 3 arguments"),
        (with_method("process", staticmethod(lambda t, q: 1)), "is called with 3 arguments"),
        (with_method("process", yields), "yields"),
        (with_method("process", yields_later), "yields"),
        (with_method("process", coroutine, process_results=lambda self, output: 1), "process_results"),
        (with_method("process", lambda self, t, q, s: 1, base=object), "cannot be built with config"),
        (with_method("process", lambda self, t, q, s: 1, __init__=lambda self: None), "__init__"),
    ],
)
def test_classes_that_cannot_be_handlers_stop_the_start(cls, problem):
    with pytest.raises(ConfigurationError, match=problem):
        handlers.check("X", cls)


@pytest.mark.parametrize(
    "method",
    [
        lambda self, task, sequence, step: 1,
        lambda self, *everything: 1,
        lambda self, task, sequence, step, more=1: 1,
        staticmethod(lambda task, sequence, step: 1),
        classmethod(lambda cls, task, sequence, step: 1),
        coroutine,
        functools.partial(print, "a"),
    ],
)
def test_all_forms_of_a_right_signature_are_taken(method):
    handlers.check("X", with_method("process", method))


@pytest.mark.parametrize("name", ["", "a b", "A::\x00", "ü", "x" * 256, "\udc80", 7])
def test_a_name_that_no_template_may_have_is_refused(name):
    with pytest.raises(ConfigurationError, match="is no handler class"):
        handler(name)


def test_a_name_declared_twice_is_refused():
    with pytest.raises(ConfigurationError, match="declared twice"):

        @handler("Reg::First")
        class Another(StepHandler):
            pass


def test_dotted_paths_resolve_without_decorator(tmp_path, monkeypatch):
    (tmp_path / "shop_steps.py").write_text("class Ship:\n    pass\n")
    (tmp_path / "shop_broken.py").write_text("import does_not_exist_anywhere\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert handlers.resolve("shop_steps.Ship").__name__ == "Ship"
    assert handlers.resolve("shop_steps.Nothing") is None
    assert handlers.resolve("no_such_module.Ship") is None
    with pytest.raises(ConfigurationError, match="does_not_exist_anywhere"):
        handlers.resolve("shop_broken.Ship")


def test_files_and_modules_are_imported_once(tmp_path):
    source = "from tasker_worker import handler, StepHandler\nfrom reg_helper import NAME\n\n"
    source += "@handler(NAME)\nclass Loaded(StepHandler):\n    pass\n"
    (tmp_path / "reg_loaded.py").write_text(source)
    (tmp_path / "reg_helper.py").write_text("NAME = 'Reg::Loaded'\n")
    handlers.load(str(tmp_path / "reg_loaded.py"))
    handlers.load(str(tmp_path / "reg_loaded.py"))
    assert handlers.resolve("Reg::Loaded").__name__ == "Loaded"
    for target in (str(tmp_path / "absent.py"), "no.such.module"):
        with pytest.raises(ConfigurationError, match="--import"):
            handlers.load(target)
    (tmp_path / "reg_syntax.py").write_text("def broken(:\n")
    with pytest.raises(ConfigurationError, match="SyntaxError"):
        handlers.load(str(tmp_path / "reg_syntax.py"))
    (tmp_path / "reg_key.py").write_text("\n{}['nope']\n")
    with pytest.raises(ConfigurationError, match=r"KeyError: 'nope' \(reg_key.py:2\)"):
        handlers.load(str(tmp_path / "reg_key.py"))
    (tmp_path / "reg_exit.py").write_text("import sys\nsys.exit(0)\n")
    with pytest.raises(ConfigurationError, match=r"SystemExit: 0 \(reg_exit.py:2\)"):
        handlers.load(str(tmp_path / "reg_exit.py"))


@pytest.mark.parametrize(
    "environments",
    [
        {"test": {"step_templates": [{"name": "a", "handler_config": {"x": 9, "deep": {"p": 2}}}]}},
        {"test": {"step_overrides": {"a": {"handler_config": {"x": 9, "deep": {"p": 2}}}}}},
    ],
)
def test_both_dialects_of_overrides_are_merged(environments):
    one = step("a", "Reg::First", x=1, y=2, deep={"p": 1, "q": 1})
    loaded = template(one, environments=environments)
    assert loaded.steps[0].handler_config == {"x": 9, "y": 2, "deep": {"p": 2, "q": 1}}
    other = templates.parse(
        {
            "namespace_name": "ns",
            "name": "t",
            "version": 1,
            "step_templates": [one],
            "environments": environments,
        },
        "production",
        {},
    )
    assert other.steps[0].handler_config["x"] == 1


def test_variables_are_filled_in():
    one = step("a", "Reg::First", url="http://${HOST}/x", port="${PORT:-80}", none="${EMPTY:-}")
    data = {"namespace_name": "ns", "name": "t", "version": "1", "step_templates": [one]}
    loaded = templates.parse(data, "test", {"HOST": "h"})
    assert loaded.steps[0].handler_config["url"] == "http://h/x"
    assert loaded.steps[0].handler_config["port"] == 80
    with pytest.raises(ConfigurationError, match="HOST is not set"):
        templates.parse(data, "test", {})


@pytest.mark.parametrize(
    "text, problem",
    [
        ("[]", "must be a mapping"),
        ("name: t", "step_templates"),
        ("name: t\nversion: 1\nstep_templates: [{name: a, handler_class: X}]", "namespace_name"),
        ("name: t\nnamespace_name: n\nversion: 1\nstep_templates: [{name: a}]", "step a: handler_class"),
        (
            "name: t\nnamespace_name: n\nversion: 1\nstep_templates: [{handler_class: a}]",
            r"step_templates\[0\].name",
        ),
        (
            "name: t\nnamespace_name: n\nversion: 1\n"
            "step_templates: [{name: a, handler_class: X, handler_config: 3}]",
            "handler_config must be a mapping",
        ),
        (
            "name: t\nnamespace_name: n\nversion: 1\nstep_templates: [{name: a, handler_class: X}]\n"
            "environments: {test: {step_overrides: {b: {}}}}",
            "there is no step b",
        ),
        ("name: [", "not valid YAML"),
    ],
)
def test_bad_templates_name_file_and_field(tmp_path, text, problem):
    (tmp_path / "bad.yaml").write_text(textwrap.dedent(text))
    with pytest.raises(ConfigurationError, match=problem) as caught:
        templates.load_dir(str(tmp_path), "test", {})
    assert "bad.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_only_the_folder_itself_is_read_as_the_command_line_does(tmp_path):
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "settings.yaml").write_text("no: template\n")
    (tmp_path / "folder.yaml").mkdir()
    assert templates.load_dir(str(tmp_path), "test", {}) == []


def test_a_missing_directory_is_named():
    with pytest.raises(ConfigurationError, match="/no/such/dir does not exist"):
        templates.load_dir("/no/such/dir", "test")
