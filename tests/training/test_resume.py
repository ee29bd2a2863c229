"""What a run is resumed on: the environments that it was made of, or a sentence; and what is said of its episodes."""

from __future__ import annotations

import json
import shutil
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from gymnasium.wrappers import NormalizeObservation, NormalizeReward, TransformReward

import trpolab
from trpolab.runs.reader import RunFolderError, read_lines, read_metrics, read_run
from trpolab.selftest.expect import expect_same
from trpolab.settings import ConfigError
from trpolab.training import recorder
from trpolab.training.checkpoint import CheckpointError
from trpolab.training.session import Session, train

SMALL = {"steps_per_iteration": 256, "slots": 4, "hidden": (4,), "value.hidden": (4,)}


def scaled(factor: float = 1e-3) -> gymnasium.Env:
    return TransformReward(gymnasium.make("Pendulum-v1"), lambda reward: reward * factor)


def events_of(session: Session, kind: str) -> list[dict[str, Any]]:
    return [event for event in session.events if event["event"] == kind]


@pytest.fixture
def wrapped(tmp_path: Path) -> Path:
    """A run of one's own environments, with the name of a registered task."""
    path = train(scaled, out=tmp_path, iterations=2, **SMALL).path
    assert path is not None and read_run(path)["task"] == "Pendulum-v1"
    return path


def test_a_run_of_a_callable_says_so(wrapped: Path) -> None:
    made_of = read_run(wrapped)["environment"]
    assert made_of["callable"] == "scaled" and "TransformReward(func=<lambda><0.001>)" in made_of["wrappers"]
    assert set(made_of) == {"callable", "environment", "wrappers", "observation space", "action space"}


@pytest.mark.parametrize("task", [None, "Pendulum-v1"])
@pytest.mark.parametrize("resume", [Session, partial(trpolab.Lab, iterations=4)])
def test_without_the_callable_it_is_refused_with_the_line_that_works(wrapped: Path, task: Any, resume: Any) -> None:
    with pytest.raises(CheckpointError) as refused:
        resume(task, resume=wrapped)
    line = f"trpolab.Session(make_env, resume={str(wrapped)!r})"
    assert line in str(refused.value) and "scaled" in str(refused.value)
    again = eval(line, {"trpolab": trpolab, "make_env": scaled})  # noqa: S307
    again.controls.replace(iterations=4)
    expect_same(again.run(), train(scaled, out=None, iterations=4, **SMALL))
    assert len(read_metrics(wrapped)) == 4


def test_another_environment_is_refused_or_said(wrapped: Path) -> None:
    other = partial(scaled, 1e-2)
    with pytest.raises(
        CheckpointError,
        match=r"other environments \(wrappers: .*0\.001.* then, .*0\.01.* now\).*changed_environment=True",
    ):
        Session(other, resume=wrapped)
    again = Session(other, resume=wrapped, changed_environment=True, iterations=3).run()
    (told,) = events_of(again, "environment")
    assert "it goes on with other environments (wrappers: " in told["message"]
    assert Session("Pendulum-v1", resume=wrapped, changed_environment=True, iterations=4).run().state == "finished"


def test_a_run_keeps_its_verdict_on_restoring(tmp_path: Path) -> None:
    """The environment shares its noise with its copies, but on the day of the resumption nobody sees it."""
    seen = [True]

    class Moody(Slow):
        def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
            self.age = getattr(self, "age", 0) + 1
            return np.full(1, time.time_ns() % 1001 if seen[0] else self.age), 0.0, False, False, {}

    path = train(Moody, out=tmp_path, iterations=1, **SMALL).path
    seen[0] = False
    assert Session(Moody, out=None).task.can_restore
    again = Session(Moody, resume=path)
    assert not again.task.can_restore and "does not repeat its future" in again.task.restore_reason
    with pytest.raises(ConfigError, match="can't be restored exactly"):
        again.controls.replace(sampler="vine")


def test_an_id_that_now_means_something_else_is_told(tmp_path: Path) -> None:
    def register(limit: int) -> None:
        gymnasium.register("Mine-v0", "gymnasium.envs.classic_control:PendulumEnv", max_episode_steps=limit)

    register(50)
    path = train("Mine-v0", out=tmp_path, iterations=1, **SMALL).path
    assert "callable" not in read_run(path)["environment"]
    assert Session(resume=path).task.time_limit == 50
    del gymnasium.registry["Mine-v0"]
    register(60)
    with pytest.raises(CheckpointError, match=r"max_episode_steps=50\).* then, .*max_episode_steps=60\).* now"):
        Session(resume=path)
    del gymnasium.registry["Mine-v0"]


def test_a_run_of_ours_is_not_gone_on_with_by_somebody_elses_environments(tmp_path: Path) -> None:
    path = train("CartPole-v1", out=tmp_path, iterations=1, **SMALL).path
    with pytest.raises(CheckpointError, match=r"environment: none then, CartPoleEnv\(id='CartPole-v1'"):
        Session(lambda: gymnasium.make("CartPole-v1"), resume=path)
    again = Session(lambda: gymnasium.make("CartPole-v1"), resume=path, changed_environment=True, iterations=2).run()
    (cut,) = events_of(again, "episodes_cut")
    assert "can't be brought back" in cut["message"]


def test_an_older_run_is_resumed_and_that_nothing_was_compared_is_said(wrapped: Path) -> None:
    about = read_run(wrapped)
    del about["environment"]
    (wrapped / "run.json").write_text(json.dumps(about))
    again = Session(resume=wrapped, iterations=3).run()
    (told,) = events_of(again, "environment")
    assert "older version, which did not record what its environments were made of" in told["message"]


# What is repeated


@pytest.mark.parametrize(("wrapper", "field"), [(NormalizeReward, "score"), (NormalizeObservation, "observation")])
def test_numbers_that_hang_on_earlier_episodes_are_cut_and_said(wrapper: Any, field: str, tmp_path: Path) -> None:
    def source() -> gymnasium.Env:
        return wrapper(gymnasium.make("Pendulum-v1"))

    told: list[str] = []
    path = train(source, out=tmp_path, iterations=4, **SMALL).path
    again = Session(source, resume=path, iterations=5)
    again.on_trouble(told.append)
    again.run()
    (cut,) = events_of(again, "episodes_cut")
    assert f"does not come to the same {field} from the same seed and actions" in cut["message"]
    assert f"episodes cut: {cut['message']}" in told


def test_the_same_is_said_where_no_episode_is_under_way(tmp_path: Path) -> None:
    def source() -> gymnasium.Env:
        return NormalizeReward(gymnasium.make("Pendulum-v1", max_episode_steps=20))

    whole = {**SMALL, "path.whole": True, "advantage": "monte_carlo"}
    path = train(source, out=tmp_path, iterations=1, **whole).path
    again = Session(source, resume=path, iterations=2).run()
    (told,) = events_of(again, "episodes_not_repeated")
    assert "carries something from one episode to the next" in told["message"]


class Slow(gymnasium.Env):
    """A millisecond a step, without an end."""

    observation_space, action_space = Box(-1, 1, (1,)), Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        return np.zeros(1, np.float32), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        time.sleep(0.001)
        return np.zeros(1, np.float32), float(action), False, False, {}


@pytest.mark.parametrize("how", ["session", "lab"])
def test_a_replay_is_said_and_stops_within_a_second(how: str, tmp_path: Path) -> None:
    path = train(Slow, out=tmp_path, iterations=2, slots=8, steps_per_iteration=1024).path
    assert path is not None
    lab = trpolab.Lab(Slow, resume=path, iterations=9) if how == "lab" else None
    session = Session(Slow, resume=path, iterations=9) if lab is None else lab.session
    runner = threading.Thread(target=session.run)
    lab.run() if lab is not None else runner.start()
    while not events_of(session, "replaying"):
        time.sleep(0.01)
    time.sleep(0.05)
    assert "replaying 2,304 steps of 8 episodes" in session.trouble
    assert lab is None or lab.state == "waiting"
    session.controls.stop()
    began = time.perf_counter()
    while session.state != "stopped" and time.perf_counter() - began < 5:
        time.sleep(0.01)
    assert time.perf_counter() - began < 1
    if lab is not None:
        lab.close()
    else:
        runner.join()
    assert len(read_metrics(path)) == 2 and session.trouble == ""


def test_a_replay_that_is_too_long_is_not_begun_and_the_run_goes_on(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("trpolab.sampling.running_episodes.MOST_STEPS", 300)
    path = train("Pendulum-v1", out=tmp_path, iterations=2, **SMALL).path
    again = Session(resume=path, iterations=3).run()
    (cut,) = events_of(again, "episodes_cut")
    assert "would have to be replayed; at most 300 are" in cut["message"] and again.state == "finished"


# What can be rebuilt


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"state": "gone"}', '{"state": "running", "iteration": "two"}', "\udcff"]
)
def test_a_damaged_status_keeps_no_run_from_going_on(content: str, wrapped: Path) -> None:
    (wrapped / "status.json").write_bytes(content.encode(errors="surrogateescape"))
    again = Session(scaled, resume=wrapped, iterations=3).run()
    (told,) = events_of(again, "taken_over")
    assert told["iteration"] == 2 and "status.json is damaged" in told["message"]
    assert len(again.history) == 3


@pytest.mark.parametrize("name", ["events.jsonl", "metrics.jsonl"])
@pytest.mark.parametrize(
    "line", [b"", b"\xff\xfe", b"[1]", b'{"segment": "x", "iteration": "y"}', b'{"segment": 0, "iteration": 1, x']
)
def test_a_damaged_line_keeps_no_run_from_going_on(name: str, line: bytes, wrapped: Path) -> None:
    content = (wrapped / name).read_bytes()
    (wrapped / name).write_bytes(line + b"\n" + content)
    again = Session(scaled, resume=wrapped, iterations=3).run()
    assert [row["iteration"] for row in again.history] == [1, 2, 3]
    assert again.events[-1]["segment"] == 1
    told = events_of(again, "metrics_damaged")
    assert bool(told) == (name == "metrics.jsonl") and all(
        "line 1 is not a JSON object" in each["message"] for each in told
    )


ODD = ["²", "000012²", "٣", "1", "000003-copy", "-1", "1e9", "9" * 40, " ", "000099.safetensors", "nul"]


@pytest.mark.parametrize("kept", [None, 0, 1, 1.5])
def test_iterations_whose_numbers_are_lost_are_counted(kept: float | None, wrapped: Path) -> None:
    """The file of metrics is gone, empty, or cut after a line or in one."""
    path = wrapped / "metrics.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.unlink()
    if kept is not None:
        path.write_bytes(b"".join(lines[: int(kept)]) + (lines[1][:20] if kept % 1 else b""))
    again = Session(scaled, resume=wrapped, iterations=3).run()
    (told,) = events_of(again, "metrics_damaged")
    assert told["message"].startswith(
        f"metrics.jsonl lacks {len(lines) - int(kept or 0)} of the {len(lines)} iterations"
    )
    assert [row["iteration"] for row in again.history] == [*range(1, int(kept or 0) + 1), 3]


def test_a_run_without_any_checkpoint_begins_anew_and_says_so(wrapped: Path) -> None:
    for folder in (wrapped / "ckpt").iterdir():
        shutil.rmtree(folder)
    again = Session(scaled, resume=wrapped, iterations=1).run()
    (told,) = events_of(again, "metrics_damaged")
    assert told["message"] == "no checkpoint is left of its 2 iterations: it begins anew"
    assert [row["iteration"] for row in again.history] == [1]


@pytest.mark.parametrize("kind", ["folder", "file"])
@pytest.mark.parametrize("place", ["ckpt", "policies", "media", "."])
def test_names_that_people_give_are_left_alone(place: str, kind: str, wrapped: Path, tmp_path: Path) -> None:
    (wrapped / place).mkdir(exist_ok=True)
    for name in ODD:
        odd = wrapped / place / (name if place != "policies" else f"{name}.safetensors")
        odd.mkdir() if kind == "folder" else odd.write_text("mine")
    moved = wrapped.rename(tmp_path / "run ² of mine")
    again = Session(scaled, resume=moved, iterations=12, checkpoint_every=1).run()
    assert again.state == "finished" and trpolab.load_policy(moved).theta.equal(again.policy.theta)
    suffix = ".safetensors" if place == "policies" else ""
    assert {f"{name}{suffix}" for name in ODD} <= {path.name for path in (moved / place).iterdir()}


def test_what_stands_where_a_checkpoint_is_to_be_is_replaced(wrapped: Path, tmp_path: Path) -> None:
    (wrapped / "ckpt" / "000003").write_text("not a checkpoint")
    (tmp_path / "elsewhere").mkdir()
    (wrapped / "ckpt" / "000004").symlink_to(tmp_path / "elsewhere")
    again = Session(scaled, resume=wrapped, iterations=4, checkpoint_every=1).run()
    assert again.state == "finished" and Session(scaled, resume=wrapped).progress.iteration == 4


def test_refusals_keep_their_kind(wrapped: Path) -> None:
    assert issubclass(CheckpointError, RunFolderError)
    assert [event["event"] for event in read_lines(wrapped / "events.jsonl")] == []


# The device. There need be no GPU: what the update runs on is only said to be another one.


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU that is called a GPU where the setting is auto."""
    monkeypatch.setattr(recorder, "device_name", lambda name: "NVIDIA Pocket" if name == "auto" else "CPU")


def told_of_device(session: Session) -> list[tuple[int, str, str]]:
    return [(event["iteration"], event["device"], event.get("message", "")) for event in events_of(session, "device")]


def test_another_device_on_resuming_is_said(devices: None, tmp_path: Path) -> None:
    started = train("CartPole-v1", out=tmp_path, iterations=2, device="auto", **SMALL)
    assert told_of_device(started) == [(1, "NVIDIA Pocket", "")]
    told: list[str] = []
    again = Session(resume=started.path, iterations=4, device="cpu")
    again.on_trouble(told.append)
    again.run()
    said = "from iteration 3 on the update runs on CPU, no longer on NVIDIA Pocket: bits may differ from here on"
    assert told_of_device(again) == [(3, "CPU", said)] and told == [f"device: {said}"]
    assert again.history[-2]["changed"] == {"device": "cpu"}
    assert again.controls.requested.device == "cpu"
    assert told_of_device(Session(resume=started.path, iterations=5).run()) == []


def test_auto_may_mean_another_device_on_another_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(recorder, "device_name", lambda name: "NVIDIA Pocket")
    path = train("CartPole-v1", out=tmp_path, iterations=1, device="auto", **SMALL).path
    monkeypatch.setattr(recorder, "device_name", lambda name: "CPU")
    ((iteration, device, _),) = told_of_device(Session(resume=path, iterations=2).run())
    assert (iteration, device) == (2, "CPU")


def test_what_ran_the_update_is_known_after_stepping_back_and_when_it_is_turned_on_the_way(
    devices: None, tmp_path: Path
) -> None:
    first = train("CartPole-v1", out=tmp_path, iterations=2, device="auto", checkpoint_every=1, **SMALL)
    back = Session(resume=first.path, at=1, iterations=3).run()
    assert told_of_device(back) == []
    turned = Session(resume=back.path, iterations=5, schedule={5: {"device": "cpu"}}).run()
    assert [told[:2] for told in told_of_device(turned)] == [(5, "CPU")]


def test_a_device_that_is_not_here_is_refused_with_those_that_are(monkeypatch, tmp_path: Path) -> None:
    path = train("CartPole-v1", out=tmp_path, iterations=1, **SMALL).path
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="device = 'cuda': torch finds no CUDA device here; use 'cpu' or 'auto'"):
        Session(resume=path, device="cuda")
    assert Session(resume=path, device="auto", iterations=2).run().state == "finished"
