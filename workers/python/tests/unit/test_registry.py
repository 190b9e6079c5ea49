import textwrap

import pytest

from tasker_worker import ConfigurationError, StepHandler, handler, handlers, registry, templates


@handler("Reg::First")
class First(StepHandler):
    def process(self, task, sequence, step):
        return dict(self.config)


@handler("Reg::Second")
class Second(First):
    pass


@handler("Reg::NoProcess")
class NoProcess:
    def __init__(self, config):
        self.config = config


@handler("Reg::Breaks")
class Breaks(StepHandler):
    def __init__(self, config=None):
        raise KeyError("needed_setting")


def template(*steps, name="t", version="1.0.0", **more):
    data = {"namespace_name": "ns", "name": name, "version": version, "step_templates": list(steps), **more}
    return templates.parse(data, "test", {}, source=f"{name}.yaml")


def step(name, cls, **config):
    return {"name": name, "handler_class": cls, "handler_config": config}


def config_of(entry):
    return dict(entry.process.__self__.config)


def test_one_instance_per_template_step_with_its_config():
    found = registry.build([template(step("a", "Reg::First", x=1), step("b", "Reg::First", x=2))])
    assert config_of(found.find("ns", "t", "1.0.0", "a", "Reg::First")) == {"x": 1}
    assert config_of(found.find("ns", "t", "1.0.0", "b", "Reg::First")) == {"x": 2}
    assert found.namespaces == {"ns"}


def test_versions_have_their_own_instances():
    found = registry.build(
        [
            template(step("a", "Reg::First", x=1)),
            template(step("a", "Reg::First", x=2), version="2.0.0"),
        ]
    )
    assert config_of(found.find("ns", "t", "2.0.0", "a", "Reg::First")) == {"x": 2}


def test_steps_of_unknown_templates_are_served_by_class():
    found = registry.build([template(step("a", "Reg::First", x=1))])
    assert config_of(found.find("other", "t", "1", "z", "Reg::First")) == {}
    assert found.find("ns", "t", "1.0.0", "a", "Reg::Unknown") is None


def test_a_step_whose_class_changed_is_served_by_its_class_not_by_its_name():
    found = registry.build([template(step("a", "Reg::First", x=1), step("b", "Reg::Second"))])
    assert found.find("ns", "t", "1.0.0", "a", "Reg::Second").handler_class == "Reg::Second"


def test_without_a_list_what_does_not_resolve_is_served_elsewhere():
    found = registry.build(
        [template(step("a", "Reg::First"), step("b", "Ruby::Only"), step("c", "Ruby::Only"))]
    )
    assert found.handler_classes == ["Reg::First"]
    assert [missing.handler_class for missing in found.elsewhere] == ["Ruby::Only"]


def test_nothing_that_resolves_stops_the_start():
    with pytest.raises(ConfigurationError, match="Ruby::Only.*step b.*t.yaml.*--import"):
        registry.build([template(step("b", "Ruby::Only"))])
    with pytest.raises(ConfigurationError, match="no template"):
        registry.build([])


def test_with_a_list_exactly_those_are_served():
    found = registry.build([template(step("a", "Reg::First"), step("b", "Reg::Second"))], ["Reg::Second"])
    assert found.handler_classes == ["Reg::Second"]
    assert found.elsewhere == []


def test_a_listed_class_that_is_missing_names_file_and_step():
    with pytest.raises(ConfigurationError, match="Ruby::Only is missing: step b of t.yaml"):
        registry.build(
            [template(step("a", "Reg::First"), step("b", "Ruby::Only"))], ["Reg::First", "Ruby::Only"]
        )


def test_a_listed_class_needs_no_template():
    assert registry.build([], ["Reg::First"]).handler_classes == ["Reg::First"]
    with pytest.raises(ConfigurationError, match="Ruby::Only is missing"):
        registry.build([], ["Ruby::Only"])


def test_handlers_that_cannot_be_built_stop_the_start():
    with pytest.raises(ConfigurationError, match="Reg::NoProcess of step a in t.yaml|no method process"):
        registry.build([template(step("a", "Reg::NoProcess"))])
    with pytest.raises(ConfigurationError, match="needed_setting"):
        registry.build([template(step("a", "Reg::Breaks"))])


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


def test_a_missing_directory_is_named():
    with pytest.raises(ConfigurationError, match="/no/such/dir does not exist"):
        templates.load_dir("/no/such/dir", "test")
