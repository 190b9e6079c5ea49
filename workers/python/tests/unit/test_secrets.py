"""Secret references: resolved when a handler is built; unknown ones refuse the step; no value is shown."""

import logging

import pytest

from tasker_worker import PermanentError, RetryableError, SecretError, StepHandler, handler
from tasker_worker import log, outcome, registry, secrets, templates
from tasker_worker.errors import ConfigurationError
from tasker_worker.secrets import MASK, Secrets
from tasker_worker.testing import run_step, run_template

VALUE = "sk-live-4eC39HqLyjW"
REFERENCE = {"$secret": "stripe/api_key"}


@handler("Secrets::Charge")
class Charge(StepHandler):
    def process(self, task, sequence, step):
        return {"ends": self.config["api_key"][-4:], "step_has": step.handler_config["api_key"]}


@pytest.fixture(name="shared")
def fixture_shared(monkeypatch):
    """The secrets of this process, for one test."""
    made = Secrets(env={})
    for module in (registry, secrets):
        monkeypatch.setattr(module, "shared", made)
    for module in (outcome, log):
        monkeypatch.setattr(module, "secrets", made)
    monkeypatch.setattr(registry.HandlerEntry.__init__, "__defaults__", (None, None, None, made))
    return made


def test_a_folder_comes_before_the_environment_and_that_before_a_function(tmp_path):
    made = Secrets(str(tmp_path), {"TASKER_SECRET_STRIPE_API_KEY": "of the environment"})
    made.provider = {"stripe/api_key": "of the function", "only": "known to it"}.get
    assert made.value("stripe/api_key") == "of the environment"
    (tmp_path / "stripe").mkdir()
    (tmp_path / "stripe" / "api_key").write_text("of the file\n")
    assert made.value("stripe/api_key") == "of the file"
    assert made.value("only") == "known to it"


@pytest.mark.parametrize("written, read", [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a ", " a ")])
def test_one_line_end_is_no_part_of_a_file(tmp_path, written, read):
    (tmp_path / "one").write_bytes(written.encode())
    assert Secrets(str(tmp_path), {}).value("one") == read


@pytest.mark.parametrize("name", ["one", "deep/er/one", "one/below"])
def test_an_unknown_one_names_what_to_do(tmp_path, name):
    (tmp_path / "one").write_text("\n")  # empty: none
    with pytest.raises(
        SecretError, match=f"there is no secret {name}: write it into {tmp_path}/{name}, or set "
    ):
        Secrets(str(tmp_path), {}).value(name)
    with pytest.raises(SecretError, match="set TASKER_SECRET_.* or start it with --secrets-dir"):
        Secrets(None, {}).value(name)


def test_a_file_that_is_no_text_or_too_large_is_refused_without_its_content(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe" + VALUE.encode())
    (tmp_path / "large").write_bytes(b"x" * (64 * 1024 + 1))
    for name in ("binary", "large"):
        with pytest.raises(SecretError) as refused:
            Secrets(str(tmp_path), {}).value(name)
        assert VALUE not in str(refused.value)


def test_a_configuration_is_resolved_at_every_level_as_a_copy():
    made = Secrets(env={"TASKER_SECRET_A": "first", "TASKER_SECRET_B_PEM": "second"})
    config = {"x": {"$secret": "a"}, "list": [{"$secret": "b.pem"}, 1], "plain": {"a": "$secret"}}
    assert made.resolved(config) == {"x": "first", "list": ["second", 1], "plain": {"a": "$secret"}}
    assert config["x"] == {"$secret": "a"}


@pytest.mark.parametrize(
    "name", ["", "..", "../a", "a/..", "/a", "a/", "a//b", "a b", "a\n", "ä", 5, None, ["a"], "a" * 201]
)
def test_what_is_no_name_is_refused_for_good(name):
    with pytest.raises(PermanentError, match="a secret reference is") as refused:
        Secrets(env={}).resolved({"key": {"$secret": name}})
    assert refused.value.error_code == "bad_secret_reference"
    with pytest.raises(PermanentError):
        Secrets(env={}).resolved({"key": {"$secret": "a", "plain": True}})


def test_a_handler_gets_the_value_and_the_step_keeps_the_reference():
    result = run_step(Charge, handler_config={"api_key": REFERENCE}, secrets={"stripe/api_key": VALUE})
    assert result.output == {"ends": "LyjW", "step_has": REFERENCE}
    steps = [{"name": "c", "handler_class": "Secrets::Charge", "handler_config": {"api_key": REFERENCE}}]
    template = {"namespace_name": "a", "name": "b", "version": "1.0.0", "step_templates": steps}
    run = run_template(template, secrets={"stripe/api_key": VALUE})
    assert run.steps["c"].results["ends"] == "LyjW", run.explain()


def test_an_unknown_one_fails_the_attempt_in_a_way_that_may_pass():
    result = run_step(Charge, handler_config={"api_key": REFERENCE}, secrets={})
    assert (result.status, result.error["error_code"]) == ("failed", "unknown_secret")
    assert result.error["message"].startswith("there is no secret stripe/api_key: set TASKER_SECRET_STRIPE_")


def test_a_later_attempt_finds_what_was_added(shared):
    entry = registry.entry_of("Secrets::Charge", Charge, {"api_key": REFERENCE}, shared)
    with pytest.raises(SecretError):
        entry.build()
    shared.provider = {"stripe/api_key": VALUE}.get
    assert entry.build() is not None


def test_errors_backtraces_and_log_lines_show_a_mask(shared):
    shared.provider = {"stripe/api_key": VALUE}.get
    shared.value("stripe/api_key")
    try:
        raise RetryableError(
            f"401 for {VALUE}", context={"header": [f"Bearer {VALUE}"], VALUE: 1}
        ) from OSError(f"cause {VALUE}")
    except RetryableError as error:
        ended = outcome.failure(error, 0.1)
    assert ended.error["message"] == f"401 for {MASK}"
    assert ended.error["context"] == {"header": [f"Bearer {MASK}"], MASK: 1}
    assert VALUE not in str(ended.error)
    line = log.LogfmtFormatter().format(
        logging.LogRecord("x", logging.INFO, "x.py", 1, "key %s", (VALUE,), None)
    )
    assert VALUE not in line and MASK in line


def test_lines_of_a_long_value_are_masked_too_and_short_values_never():
    pem = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\nshort\n"
    made = Secrets(env={"TASKER_SECRET_PEM": pem, "TASKER_SECRET_PIN": "12"})
    made.value("pem")
    made.value("pin")
    assert made.mask("see MIIEvQIBADANBgkqhkiG of 12 short") == f"see {MASK} of 12 short"
    assert pem.strip() not in made.mask(repr(pem))


def test_the_start_checks_the_secrets_of_templates(shared):
    steps = [
        {"name": "c", "handler_class": "Secrets::Charge", "handler_config": {"api_key": REFERENCE}},
        {"name": "elsewhere", "handler_class": "Other", "handler_config": {"x": {"$secret": "unknown"}}},
    ]
    loaded = templates.parse(
        {"namespace_name": "a", "name": "b", "version": "1.0.0", "step_templates": steps}, "", {}, "b.yaml"
    )
    served = registry.Registry({"Secrets::Charge": Charge})
    with pytest.raises(ConfigurationError, match="b.yaml: step c: handler_config: there is no secret stripe"):
        served.check_secrets([loaded])
    shared.provider = {"stripe/api_key": VALUE}.get
    served.check_secrets([loaded])
