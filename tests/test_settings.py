"""Bad input as a notebook shows it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from trpolab.cli import main
from trpolab.runs.reader import RunFolderError
from trpolab.sampling.config import SinglePath
from trpolab.settings import ConfigError, PlainError, describe_kind, names_elsewhere, unknown_setting, whole_number
from trpolab.simulators import UnknownTask, UnsupportedSpace
from trpolab.training.config import Config, settings


def shown_by_ipython(code: str) -> str:
    """What a cell that raises puts out."""
    testing = pytest.importorskip("IPython.testing.globalipapp")
    from IPython.utils.capture import capture_output

    shell = testing.get_ipython() or testing.start_ipython()
    with capture_output() as shown:
        shell.run_cell(code)
    return shown.stdout + shown.stderr


def test_a_notebook_shows_the_sentence_and_the_callers_line_only() -> None:
    shown = shown_by_ipython("import trpolab\ntrpolab.train('CartPole-v1', out=None,\n    delta=-1, gama=0.9)")
    assert "ConfigError" in shown and "delta = -1: must be > 0" in shown and "did you mean gamma" in shown
    assert "trpolab.train('CartPole-v1'" in shown
    assert "session.py" not in shown and "config.py" not in shown


@pytest.mark.parametrize("kind", [ConfigError, UnknownTask, UnsupportedSpace, RunFolderError])
def test_every_kind_of_bad_input_is_plain(kind: type) -> None:
    assert issubclass(kind, PlainError) and issubclass(kind, ValueError)


def test_the_frames_of_the_library_are_left_out() -> None:
    with pytest.raises(ConfigError) as caught:
        Config().replace(delta=-1)
    lines = caught.value._render_traceback_()
    assert any("test_settings.py" in line for line in lines)
    assert not any("training/config.py" in line for line in lines)
    assert lines[-1] == "ConfigError: delta = -1: must be > 0"


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("seed", np.int64(3), 3),
        ("iterations", np.uint16(7), 7),
        ("slots", np.array(8), 8),
        ("delta", np.float32(0.5), 0.5),
        ("line_search", np.bool_(False), False),
        ("hidden", np.array([32, 16]), (32, 16)),
        ("hidden", [np.int32(32), np.int8(16)], (32, 16)),
        ("method", np.str_("cem"), "cem"),
        ("sampler", SinglePath(steps_per_iteration=np.int64(4000), lam=np.float64(0.5)), "single-path"),
    ],
)
def test_numbers_of_numpy_are_taken_as_pythons(name: str, given, kept) -> None:
    config = Config().replace(**{name: given})
    assert config.get(name) == kept and type(config.get(name)) is type(kept)
    json.dumps(config.settings())


@pytest.mark.parametrize(
    "name", [name for name, about in settings().items() if "whole number" in describe_kind(about.kind)]
)
@pytest.mark.parametrize("value", [2**70, -(2**70), 10**400, np.float64(2.0**70)])
def test_whole_numbers_without_end_are_refused_in_a_sentence(name: str, value) -> None:
    given = (value,) if "list" in describe_kind(settings()[name].kind) else value
    with pytest.raises(ConfigError, match=rf"^{name} = .*must be "):
        Config().replace(**{name: given})


@pytest.mark.parametrize("value", [np.int64(3), np.uint8(3), 3])
def test_an_argument_that_is_a_whole_number(value) -> None:
    assert whole_number("count", value, 1) == 3 and type(whole_number("count", value)) is int


@pytest.mark.parametrize("value", [0, -1, 2**63, 2**70, 1.0, np.float64(2), True, "3", None])
def test_an_argument_that_is_none(value) -> None:
    with pytest.raises(
        PlainError, match=r"count = .*: must be a whole number, at least 1 and at most 9223372036854775807"
    ):
        whole_number("count", value, 1)


# What others call it, and what the answer must contain.
FOREIGN = {
    "target_kl": "`target_kl` is called `delta` here",
    "gae_lambda": "called `lam`",
    "n_steps": "`steps_per_iteration` counts the steps of all slots together",
    "num_envs": "called `slots`",
    "learning_rate": "no learning rate",
    "total_timesteps": "`steps`",
    "batch_size": "the whole batch",
    "cg_max_steps": "called `cg_iterations`",
    "cg_damping": "called `damping`",
    "line_search_shrinking_factor": "called `shrink`",
    "line_search_max_iter": "called `max_tries`",
    "n_critic_updates": "called `value.fit_steps`",
    "sub_sampling_factor": "1 / sub_sampling_factor",
    "policy_kwargs": "give `hidden` and `activation`",
    "normalize_advantage": "called `path.standardize`",
    "discount_factor": "called `gamma`",
    "max_backtracks": "called `max_tries`",
    "ent_coef": "no entropy bonus",
    "env": "called `task`",
}


@pytest.mark.parametrize(("name", "told"), FOREIGN.items(), ids=FOREIGN)
def test_other_libraries_names_are_answered_with_ours(name: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config().replace(**{name: 1})
    assert told in str(caught.value) and name in str(caught.value)


@pytest.mark.parametrize("words", [["--set", "target_kl=0.01"], ["--config", "run.toml"]])
def test_the_terminal_and_files_are_answered_alike(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run.toml").write_text("[trust]\ntarget-kl = 0.01\n")
    assert main(["train", "CartPole-v1", *words]) != 0
    assert "is called `delta` here" in capsys.readouterr().err


def test_every_name_that_is_answered_with_is_a_setting_and_none_that_is_asked_for_is() -> None:
    known = settings()
    for name, ours in names_elsewhere().items():
        named = re.findall("`([^`]+)`", ours) if " " in ours else [ours]
        assert named or " " in ours
        assert all(setting in known for setting in named), name
    assert not known.keys() & names_elsewhere().keys()


def test_a_part_of_a_name_and_its_spelling_do_not_matter() -> None:
    assert unknown_setting("trust.Max-KL", settings()) == "unknown setting: `trust.Max-KL` is called `delta` here"
    assert unknown_setting("detla", settings()).startswith("unknown setting 'detla'; did you mean delta")
