"""What the player records when a person asks, and what it says of what it can't play."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trpolab
from trpolab.lab import played_runs
from trpolab.lab.kept_policies import InMemory
from trpolab.lab.pictures.rollout import Rollout, ScreenRollout, record
from trpolab.lab.played_runs import PlayedRun
from trpolab.lab.player import Player
from trpolab.policies import Policy, make_policy
from trpolab.runs.reader import RunFolderError
from trpolab.settings import PlainError
from trpolab.simulators import find_task, make
from trpolab.training.config import resolve
from trpolab.training.session import Session


def policy_of(task: str, seed: int = 0) -> Policy:
    about = find_task(task)
    rng = np.random.default_rng(seed)
    return make_policy(about.observation_space, about.action_space, resolve(about).policy, rng, own_spaces=about.spaces)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three iterations."""
    session = Session("CartPole-v1", out=tmp_path_factory.mktemp("runs"), iterations=3, steps_per_iteration=200)
    list(session.iterate())
    return session.path


@pytest.fixture
def player(folder: Path) -> Iterator[Player]:
    made = trpolab.play(folder, max_steps=40)
    made._wake = made.stroke  # on this thread
    yield made
    made.close()


def wish(player: Player, **wished: Any) -> None:
    said = {"iterations": [None], "before": False, "vine": None, **wished}
    player.view._handle_custom_msg({"type": "tell", "view": "a", "topic": "wish", "said": said}, [])


def test_a_run_folder_plays_its_newest_policy(folder: Path, player: Player) -> None:
    expected = record(trpolab.load_policy(folder), make("CartPole-v1"), max_steps=40)
    (shown,) = player.rollouts
    assert isinstance(shown, Rollout) and isinstance(expected, Rollout)
    np.testing.assert_array_equal(shown.poses, expected.poses)
    assert player.caption.startswith("iteration 3 · mean action · return") and player.poster().startswith(b"\x89PNG")


def test_any_kept_policy_can_be_asked_for_and_the_one_before_beside_it(player: Player) -> None:
    wish(player, iterations=[1])
    assert player.caption.startswith("iteration 1 ·")
    wish(player, iterations=[2], before=True)
    assert [part.split(" · ")[0] for part in player.caption.split(" | ")] == ["iteration 1", "iteration 2"]
    before, after = player._runs[0].kept.policy(1), player._runs[0].kept.policy(2)
    tracks = player.rollouts[1].tracks
    u_old, u_new = (each.parameters(each.features(tracks.obs)) for each in (before, after))
    np.testing.assert_allclose(tracks.kl, after.distribution.kl(u_old, u_new).numpy(), rtol=1e-5)
    wish(player, iterations=[99])  # a browser that knows more than there is
    assert player.caption.startswith("iteration 3 ·")


@pytest.mark.parametrize("said", [{"iterations": []}, {"iterations": "all"}, {"iterations": [True, "x"]}, {}])
def test_nonsense_from_a_page_changes_nothing(player: Player, said: dict[str, Any]) -> None:
    before = player.caption
    player.view._handle_custom_msg({"type": "tell", "view": "a", "topic": "wish", "said": said}, [])
    assert player.caption == before


def test_a_view_gets_everything_once_and_then_only_what_is_new(player: Player) -> None:
    sent: list[dict[str, Any]] = []
    player.view.send = lambda content, buffers=None: sent.append(content)  # type: ignore[method-assign]
    ask = {"type": "ask", "view": "a", "topic": "panels"}
    player.view._handle_custom_msg({**ask, "have": {}}, [])
    assert sent[-1]["panels"][0]["title"] == "iteration 3"
    player.view._handle_custom_msg({**ask, "have": {"version": sent[-1]["version"]}}, [])
    assert len(sent) == 1
    wish(player, iterations=[1])
    assert [content["panels"][0]["title"] for content in sent] == ["iteration 3", "iteration 1"]


def test_a_newer_policy_waits_until_it_may_be_recorded_but_a_person_does_not() -> None:
    first = policy_of("CartPole-v1")
    kept = InMemory(0, first)
    player = Player([PlayedRun("run", "CartPole-v1", kept)], max_steps=5, wake=lambda: None)
    player.stroke()
    kept.add(1, policy_of("CartPole-v1", 1))
    assert not player.stroke(follow=False) and player.caption.startswith("run · mean action")
    wish(player, iterations=[1])
    assert player.stroke(follow=False) and player.caption.startswith("iteration 1")
    player.close()


def test_two_policies_play_side_by_side(tmp_path: Path) -> None:
    file = tmp_path / "policy.safetensors"
    policy_of("Hopper-v5").save(file, {"task": "Hopper-v5", "iteration": 7})
    player = trpolab.play(file, policy_of("Hopper-v5", 1), task="Hopper-v5", max_steps=10)
    assert player.caption.count(" | ") == 1 and player.caption.startswith("policy · iteration 7 · mean action")
    assert all(len(rollout.rewards) == 10 for rollout in player.rollouts)
    player.close()


def test_what_cannot_be_played_is_said_in_a_sentence(tmp_path: Path, folder: Path) -> None:
    hopper = policy_of("Hopper-v5")
    file = tmp_path / "policy.safetensors"
    hopper.save(file)
    (tmp_path / "empty").mkdir()
    for what, more, said in (
        (tmp_path / "empty", {}, "is not a run folder: it has no run.json"),
        (tmp_path / "nowhere", {}, "is not a folder"),
        (file, {}, "does not tell its own; give it, such as task='Hopper-v5'"),
        (file, {"task": "CartPole-v1"}, "policy does not fit CartPole-v1: it observes arrays of shape"),
        (hopper, {}, "task: give the task that the policy plays"),
        (folder, {"max_steps": 0}, "max_steps = 0: must be a whole number, at least 1"),
        (folder, {"seed": -1}, "seed = -1: must be a whole number, at least 0"),
    ):
        with pytest.raises(PlainError) as error:
            trpolab.play(what, **more)
        assert said in str(error.value) and "\n" not in str(error.value)


def test_an_environment_that_breaks_is_told_and_the_picture_stays() -> None:
    from tests.simulators.gym_adapter.test_pictures import Painter

    class Breaking(Painter):
        broken = False

        def step(self, action: Any) -> Any:
            if Breaking.broken:
                raise RuntimeError("<b>boom</b>")
            return super().step(action)

    about = find_task(Breaking)
    spaces = about.observation_space, about.action_space
    policy = make_policy(*spaces, resolve(about).policy, np.random.default_rng(0), own_spaces=about.spaces)
    kept = InMemory(0, policy)
    player = Player([PlayedRun("run", Breaking, kept)], max_steps=20, wake=lambda: None)
    player.stroke()
    (shown,) = player.rollouts
    assert isinstance(shown, ScreenRollout) and shown.palette[shown.screens[3, 0, 0]].tolist() == [3, 3, 3]
    Breaking.broken = True
    kept.add(1, policy.replace())
    player.stroke()
    assert player.rollouts == [shown]
    assert player.view.answer("choices", {})[0]["trouble"] == "no picture: RuntimeError: <b>boom</b>"  # type: ignore[index]
    player.close()


def test_a_tasks_name_is_its_shipped_policy_or_an_untrained_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results" / "policies").mkdir(parents=True)
    monkeypatch.setattr(played_runs, "kept_results", lambda: tmp_path / "results")
    policy_of("paper/Hopper").save(
        tmp_path / "results" / "policies" / "paper-Hopper.safetensors", {"task": "paper/Hopper", "iteration": 487}
    )
    player = trpolab.play("paper/Hopper", "CartPole-v1", max_steps=5)
    assert [part.split(" · ")[:2] for part in player.caption.split(" | ")] == [
        ["paper-Hopper", "iteration 487"],
        ["CartPole-v1", "mean action"],
    ]
    player.close()
    other = trpolab.play("paper/Hopper", task="paper/Hopper", seed=1, max_steps=5)
    assert (other._runs[0].name, other._runs[0].source) == ("paper-Hopper", "paper/Hopper")
    other.close()
    with pytest.raises(RunFolderError, match="does not fit paper/Walker"):
        trpolab.play("paper/Hopper", task="paper/Walker")
    with pytest.raises(PlainError, match="unknown task 'paper-Hopper'"):  # a file's name is no task's
        trpolab.play("paper-Hopper")
    with pytest.raises(PlainError, match="'runs/mine' is no folder and no file here, and unknown task 'runs/mine'"):
        trpolab.play("runs/mine")
    with pytest.raises(RunFolderError, match="not a folder"):
        trpolab.play(Path("runs/mine"))
