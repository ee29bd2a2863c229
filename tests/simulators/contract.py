"""What every simulator must do. To hold a new one to it, subclass `SimulatorContract` and give it a `task` fixture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trpolab.selftest.physics import random_actions, restores_exactly, trace, unfinished
from trpolab.simulators import Simulator, Snapshot, SnapshotUnsupported, find_task, make


def restorable(task: Any) -> None:
    """Skip the test where the task says that it cannot be restored."""
    about = find_task(task)
    if not about.can_restore:
        pytest.skip(f"{about.name}: {about.restore_reason}")


def all_slots(simulator: Simulator) -> np.ndarray:
    return np.arange(simulator.width)


class SimulatorContract:
    """Shapes, slots, seeds, exact restore, time limit, independence of width and threads, poses."""

    def test_tells_what_it_is(self, task: str | Callable[[], Any]) -> None:
        simulator, about = make(task, 3), find_task(task)
        assert simulator.task == about.name
        assert simulator.width == 3
        assert simulator.observation_space == about.observation_space
        assert simulator.action_space == about.action_space
        assert simulator.time_limit == about.time_limit
        assert (simulator.can_restore, simulator.restore_reason) == (about.can_restore, about.restore_reason)
        assert bool(simulator.restore_reason) == (not simulator.can_restore)
        simulator.close()

    def test_shapes_and_types(self, task: Any) -> None:
        simulator = make(task, 3)
        shape, dtype = simulator.observation_space.shape, simulator.observation_space.dtype
        actions = random_actions(simulator, 2, 3, seed=0)
        for slots in (None, np.array([0, 2])):
            n = 3 if slots is None else len(slots)
            obs = simulator.reset(slots, np.arange(n))
            assert (obs.shape, obs.dtype) == ((n, *shape), dtype)
            result = simulator.step(slots, actions[0, :n])
            assert (result.obs.shape, result.obs.dtype) == ((n, *shape), dtype)
            assert (result.reward.shape, result.reward.dtype) == ((n,), np.float64)
            for flags in (result.terminated, result.truncated, result.unstable):
                assert (flags.shape, flags.dtype) == ((n,), bool)
            assert np.isfinite(result.obs).all() and np.isfinite(result.reward).all()

    @pytest.mark.reliability("R18")
    def test_episodes_begin_alike_in_a_simulator_that_was_restored_first(self, task: Any) -> None:
        restorable(task)
        seeds, slot = np.array([5]), np.array([0])
        played = make(task, 1)
        start = played.reset(slot, seeds).copy()
        actions = random_actions(played, 40, 1, seed=2)
        expected = trace(played, slot, actions)
        played.reset(slot, seeds)
        trace(played, slot, actions[:3])
        resumed = make(task, 1)
        resumed.restore(slot, played.snapshot(slot))
        assert np.array_equal(resumed.reset(slot, seeds), start)
        assert trace(resumed, slot, actions) == expected
        played.close()
        resumed.close()

    @pytest.mark.reliability("R17")
    def test_actions_of_another_shape_or_kind_are_refused(self, task: Any) -> None:
        simulator = make(task, 2)
        simulator.reset(None, np.arange(2))
        good = random_actions(simulator, 1, 2, seed=0)[0]
        other = good.astype(np.float32 if good.dtype.kind == "i" else np.int64)
        for wrong in (good[:1], good[0], np.stack([good, good], axis=-1), other, good.astype(bool), good.astype(str)):
            with pytest.raises(ValueError, match="actions are"):
                simulator.step(None, wrong)
        with pytest.raises(ValueError, match="actions are"):
            simulator.step(np.array([1]), good)
        simulator.step(None, good)

    def test_a_seed_decides_the_episode(self, task: Any) -> None:
        simulator = make(task, 4)
        actions = np.repeat(random_actions(simulator, 20, 1, seed=1), 2, axis=1)
        simulator.reset(None, np.array([5, 6, 7, 8]))
        pair = np.array([0, 3])
        obs = simulator.reset(pair, np.array([11, 11])).copy()
        assert np.array_equal(obs[0], obs[1])
        first, second = trace(simulator, pair, actions)
        assert first == second
        assert np.array_equal(simulator.reset(pair, np.array([11, 12]))[0], obs[0])

    def test_slots_go_their_own_ways(self, task: Any) -> None:
        """Interleaved subsets give what each slot gives when all step together."""
        actions, seeds = random_actions(make(task, 1), 12, 4, seed=2), np.array([21, 22, 23, 24])
        together, apart = make(task, 4), make(task, 4)
        together.reset(None, seeds)
        expected = trace(together, all_slots(together), actions)
        apart.reset(np.array([1, 3]), seeds[[1, 3]])
        odd = trace(apart, np.array([1, 3]), actions[:6, [1, 3]])
        apart.reset(np.array([0, 2]), seeds[[0, 2]])
        even = trace(apart, np.array([0, 2]), actions[:, [0, 2]])
        assert even == [expected[0], expected[2]]
        assert odd == [expected[1][:6], expected[3][:6]]
        for slot, seen in ((1, odd[0]), (3, odd[1])):
            if len(seen) == 6 and len(expected[slot]) > 6:
                assert trace(apart, np.array([slot]), actions[6:, [slot]]) == [expected[slot][6:]]

    def test_width_and_threads_change_nothing(self, task: Any) -> None:
        seeds = np.array([31, 32, 33, 34, 35])
        wide, threaded, alone = make(task, 5), make(task, 5, threads=2), make(task, 1)
        actions = random_actions(wide, 15, 5, seed=3)
        wide.reset(None, seeds)
        threaded.reset(None, seeds)
        alone.reset(None, seeds[3:4])
        expected = trace(wide, all_slots(wide), actions)
        assert trace(threaded, all_slots(threaded), actions) == expected
        assert trace(alone, all_slots(alone), actions[:, 3:4]) == [expected[3]]

    @pytest.mark.reliability("R18")
    @pytest.mark.parametrize("age", [0, 3, 12])
    def test_a_restored_slot_replays_bit_for_bit(self, task: Any, age: int, tmp_path: Path) -> None:
        restorable(task)
        restores_exactly(tmp_path, [task], age)

    @pytest.mark.reliability("R18")
    def test_a_restored_observation_is_the_saved_one(self, task: Any) -> None:
        restorable(task)
        simulator = make(task, 2)
        simulator.reset(None, np.array([51, 52]))
        obs = simulator.step(None, random_actions(simulator, 1, 2, seed=8)[0]).obs.copy()
        saved = simulator.snapshot(None)
        simulator.reset(None, np.array([53, 54]))
        assert np.array_equal(simulator.restore(None, saved), obs)
        assert np.array_equal(simulator.restore(np.array([1]), saved.take([0])), obs[:1])

    @pytest.mark.reliability("R18")
    def test_branches_of_one_state_are_identical(self, task: Any) -> None:
        """N states times K branches, with the same actions in the K."""
        restorable(task)
        trunk, branches = make(task, 2), make(task, 6)
        trunk.reset(None, np.array([61, 62]))
        trace(trunk, all_slots(trunk), random_actions(trunk, 1, 2, seed=9))
        branches.restore(None, trunk.snapshot(None).repeat(3))
        traces = trace(branches, all_slots(branches), np.repeat(random_actions(trunk, 20, 2, seed=10), 3, axis=1))
        assert traces[0] == traces[1] == traces[2]
        assert traces[3] == traces[4] == traces[5]

    def test_new_noise_is_decided_by_its_seed(self, task: Any) -> None:
        restorable(task)
        simulator = make(task, 2)
        actions = np.repeat(random_actions(simulator, 20, 1, seed=11), 2, axis=1)
        simulator.reset(None, np.array([71, 71]))
        saved = simulator.snapshot(None)
        simulator.restore(None, saved, seeds=np.array([5, 5]))
        first, second = trace(simulator, all_slots(simulator), actions)
        assert first == second

    @pytest.mark.reliability("R18")
    def test_a_snapshot_owns_its_numbers(self, task: Any) -> None:
        restorable(task)
        simulator = make(task, 2)
        simulator.reset(None, np.array([81, 82]))
        saved = simulator.snapshot(None)
        kept = {name: part.copy() for name, part in saved.parts.items() if part.dtype != object}
        trace(simulator, all_slots(simulator), random_actions(simulator, 3, 2, seed=12))
        simulator.reset(None, np.array([83, 84]))
        assert all(np.array_equal(saved.parts[name], part) for name, part in kept.items())
        assert len(Snapshot.concatenate([saved, saved.take([0])])) == 3

    @pytest.mark.reliability("R18")
    def test_the_time_limit_survives_a_restore(self, task: Any) -> None:
        """One step before the limit: saved, restored elsewhere, and cut by the next step, not one later."""
        restorable(task)
        simulator = make(task, 2)
        if simulator.time_limit is None:
            pytest.skip("no time limit")
        simulator.reset(None, np.array([91, 92]))
        trace(simulator, all_slots(simulator), random_actions(simulator, 1, 2, seed=13))
        saved = aged(simulator, simulator.time_limit - 1)
        other, last = make(task, 4), random_actions(simulator, 1, 2, seed=14)[0]
        other.reset(None, np.arange(4))
        simulator.restore(None, saved)
        here = simulator.step(None, last)
        other.restore(np.array([1, 2]), saved)
        there = other.step(np.array([1, 2]), last)
        assert here.truncated.all() and there.truncated.all()
        assert np.array_equal(here.reward, there.reward)
        simulator.restore(None, aged(simulator, simulator.time_limit - 2, saved))
        assert not simulator.step(None, last).truncated.any()

    @pytest.mark.reliability("R18")
    def test_what_cannot_be_restored_says_why(self, task: Any) -> None:
        simulator = make(task, 1)
        if simulator.can_restore:
            assert simulator.restore_reason == ""
            return
        simulator.reset(None, np.array([0]))
        with pytest.raises(SnapshotUnsupported, match=simulator.task):
            simulator.snapshot(None)

    def test_poses_fit_the_scene(self, task: Any) -> None:
        simulator = make(task, 3)
        simulator.reset(None, np.arange(3))
        poses, scene = simulator.poses(np.array([0, 2])), simulator.scene
        if scene is None:
            assert poses.shape == (2, 0, 7)
            return
        assert poses.shape == (2, len(scene.bodies), 7)
        assert np.isfinite(poses).all()
        np.testing.assert_allclose(np.linalg.norm(poses[:, :, 3:], axis=2), 1, atol=1e-9)
        assert scene.view in ("xz", "xy")
        assert scene.follow is None or 0 <= scene.follow < len(scene.bodies)
        for geom in scene.geoms:
            assert geom.keys() == {"type", "size", "rgba", "body", "pos", "quat"}
            assert 0 <= geom["body"] < len(scene.bodies)
            assert [len(geom[name]) for name in ("size", "rgba", "pos", "quat")] == [3, 4, 3, 4]
        still = np.array_equal(simulator.poses(None)[[0, 2]], poses)
        simulator.step(None, random_actions(simulator, 1, 3, seed=15)[0])
        assert still and not np.array_equal(simulator.poses(np.array([0, 2])), poses)


def aged(simulator: Simulator, age: int, saved: Snapshot | None = None) -> Snapshot:
    """A snapshot whose episodes are `age` steps old: by its counter where it has one, else by living that long."""
    if saved is None or "steps" not in saved.parts:
        saved = simulator.snapshot(None)
    if "steps" in saved.parts:
        return Snapshot({**saved.parts, "steps": np.full(len(saved), age)})
    simulator.reset(None, np.arange(simulator.width))
    actions = random_actions(simulator, age, simulator.width, seed=16)
    if len(unfinished(trace(simulator, all_slots(simulator), actions))) < simulator.width:
        pytest.skip("episodes end before the time limit")
    return simulator.snapshot(None)
