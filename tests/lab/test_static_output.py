"""What stays of a lab in the notebook's file is put beside it, and kept up to date."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import IPython.display
import pytest

from tests.lab.test_lab import until
from trpolab.lab import static_output

Outputs = dict[str, dict[str, str]]


@pytest.fixture
def outputs(monkeypatch: pytest.MonkeyPatch) -> Outputs:
    """The outputs of a cell by their names, as a front end keeps them."""
    found: Outputs = {}

    def display(bundle: dict[str, str], *, display_id: str, update: bool, **_: Any) -> None:
        assert update == (display_id in found)
        found[display_id] = bundle

    monkeypatch.setattr(IPython.display, "display", display)
    monkeypatch.setattr(static_output, "current_shell", object)
    return found


def test_the_file_holds_table_and_charts_of_a_run_that_holds(make_lab: Any, outputs: Outputs) -> None:
    lab = make_lab()
    lab._repr_mimebundle_()
    table, charts, rollout = outputs.values()
    assert "nothing trained yet" in table["text/html"] and charts == rollout == {"text/plain": ""}
    lab.run(block=True, iterations=4)

    def current() -> bool:
        table, charts, rollout = (dict(bundle) for bundle in list(outputs.values()))
        told = "4 iterations" in table["text/html"] and "image/png" in charts
        return told and b64decode(rollout.get("image/png", "")) == lab.view.poster != b""

    until(current)
    table, charts, _ = outputs.values()
    assert "4 iterations" in table["text/plain"]
    assert b64decode(charts["image/png"]).startswith(b"\x89PNG")
    assert sum(len(text) for bundle in outputs.values() for text in bundle.values()) < 400_000


def test_while_it_runs_the_outputs_change_rarely(outputs: Outputs, make_lab: Any) -> None:
    lab = make_lab()
    lab.run(block=True, iterations=2)
    static = static_output.StaticOutput(lab.summary)
    static.consider("paused", 2, b"")
    assert outputs == {}, "nothing where it was not shown"
    static.place()
    first = dict(outputs)
    static.consider("running", 2, b"")
    second = dict(outputs)
    assert all(second[name] is not first[name] for name in first)
    static.consider("running", 3, b"")
    static.consider("paused", 2, b"")
    third = dict(outputs)
    static.consider("paused", 2, b"")
    assert all(third[name] is outputs[name] is not second[name] for name in first)


def test_a_page_that_was_loaded_again_is_told_what_its_notebook_lacks(outputs: Outputs, make_lab: Any) -> None:
    lab = make_lab()
    lab.run(block=True, iterations=2)
    static = static_output.StaticOutput(lab.summary)
    assert static.answer("newest", {}) is None, "nothing where it was not shown"
    static.place()
    lab.run(block=True, iterations=1)
    static.consider("paused", 3, b"")
    newest, _ = static.answer("newest", {})
    assert newest["outputs"] == list(outputs) and static.answer("newest", newest) is None
    told, _ = static.answer("outputs", {"number": newest["number"] - 1})
    assert {each["metadata"]["trpolab"]["output"]: each["data"] for each in told["outputs"]} == outputs
    assert "3 iterations" in told["outputs"][0]["data"]["text/html"]


def test_without_a_kernel_there_is_nothing(make_lab: Any, capsys: pytest.CaptureFixture[str]) -> None:
    make_lab()._repr_mimebundle_()
    assert capsys.readouterr().out == ""
