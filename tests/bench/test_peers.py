"""The race of the libraries, run by stand-ins, and what is said where a library is missing."""

from __future__ import annotations

import sys
from collections.abc import Generator

import pytest

from trpolab.bench import peers, run


@pytest.mark.parametrize("module", ["sb3_contrib", "tianshou"])
def test_a_library_that_is_missing_is_named_with_its_install_line(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for one in ("sb3_contrib", "tianshou"):
        monkeypatch.setitem(sys.modules, one, None if one == module else sys)
    with pytest.raises(ImportError, match=rf'^trpolab bench peers needs {module}.*pip install "trpolab\[bench\]"$'):
        run("peers")


def test_all_take_turns_and_the_first_rounds_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[str] = []

    def stand_in(name: str) -> Generator[float, None, None]:
        for number in range(100):
            turns.append(name)
            yield number / 10

    monkeypatch.setattr(peers, "trpolab", lambda size: stand_in("ours"))
    for function in ("sb3_contrib_trpo", "tianshou_trpo"):
        monkeypatch.setattr(peers, function, lambda *given, function=function: stand_in(f"{function}{given}"))
    names, seconds, quality = peers.race(64, lambda line: None)
    rounds = peers.WARM_UP + peers.ITERATIONS
    assert len(set(turns)) == len(names) == 7 and turns == turns[:7] * rounds
    assert names[0] == "trpolab" and turns[0] == "ours" and turns[1] == "sb3_contrib_trpo(64, 1, False)"
    assert seconds.shape == (7, peers.ITERATIONS) and (seconds >= 0).all()
    assert quality == pytest.approx([(rounds - 1) / 10] * 7)


def test_our_own_contender_runs_the_iterations_of_a_run() -> None:
    shares = peers.trpolab(256)
    assert [type(next(shares)) for _ in range(2)] == [float, float]
