"""A person's own functions in the lab: they stay over a reset, and the texts to be copied tell of them."""

from __future__ import annotations

import pytest

pytest.importorskip("ipywidgets", reason='needs the lab: pip install "trpolab[lab]"')

import trpolab
from trpolab.lab.lab import Lab
from trpolab.lab.share import as_command, as_python


def mine(product, b, iterations):
    return trpolab.conjugate_gradient(product, b, iterations=iterations).x


def test_they_stay_over_a_reset_and_are_told(tmp_path) -> None:
    about = {"out": tmp_path, "iterations": 2, "steps_per_iteration": 256, "checkpoint_every": 1}
    lab = Lab("CartPole-v1", conjugate_gradient=mine, **about)
    try:
        lab.run(block=True)
        lab.rewind(1)
        assert lab.session.progress.iteration == 1 and lab.controls.functions == {"conjugate_gradient": "mine"}
        lab.reset()
        assert lab.session.progress.iteration == 0 and lab.controls.functions == {"conjugate_gradient": "mine"}
        text = as_python(lab.session)
        assert "# conjugate_gradient was a function of its own, mine" in text and "conjugate_gradient=mine" in text
        assert "no command" in as_command(lab.session)
    finally:
        lab.close()
