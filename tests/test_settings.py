"""Bad input as a notebook shows it."""

from __future__ import annotations

import pytest

from trpolab.runs.reader import RunFolderError
from trpolab.settings import ConfigError, PlainError
from trpolab.simulators import UnknownTask, UnsupportedSpace
from trpolab.training.config import Config


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
