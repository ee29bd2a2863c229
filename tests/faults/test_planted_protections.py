"""Each row's protection taken out: the row's own test must turn red, and is green with it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest

from tests.policies import test_serialization
from tests.reliability import test_estimators, test_hostile_files, test_not_finite, test_simulators, test_steps
from tests.simulators import contract, test_mujoco_stability
from trpolab.policies import DiagonalGaussian
from trpolab.policies import serialization as files
from trpolab.sampling import single_path, trajectories, whole_paths
from trpolab.sampling.trajectories import ActionBounds
from trpolab.sampling.vine import branches
from trpolab.sampling.vine import sampler as vine
from trpolab.simulators import cartpole
from trpolab.simulators.mujoco import mujoco_simulator as mujoco_batch
from trpolab.simulators.mujoco.mujoco_simulator import MujocoSimulator
from trpolab.training import loop
from trpolab.updates.methods import trpo as trust_region

Patch = pytest.MonkeyPatch


def turns_red(test: Callable[..., None], plant: Callable[[Patch], None], *given: Any, **fixtures: Any) -> bool:
    """Whether a test that passes fails once the fault is planted; each run gets a patch of its own."""
    wants_patch = "monkeypatch" in test.__code__.co_varnames

    def run(faulty: bool) -> None:
        with Patch.context() as patch, Patch.context() as own:
            if faulty:
                plant(patch)
            test(*given, **fixtures, **({"monkeypatch": own} if wants_patch else {}))

    run(faulty=False)
    try:
        run(faulty=True)
    except (Exception, pytest.fail.Exception):  # noqa: BLE001 - however it fails, it is red
        return True
    return False


def nothing(*given: Any, **named: Any) -> None:
    """In place of a check."""


@pytest.mark.reliability("R10")
@pytest.mark.parametrize("whole", [False, True])
def test_observations_and_rewards_that_nobody_checks(whole: bool) -> None:
    def plant(patch: Patch) -> None:
        for module in (trajectories, whole_paths, branches):
            patch.setattr(module, "first_bad_action", nothing)
        patch.setattr(trajectories, "_require_finite", nothing)
        patch.setattr(whole_paths, "NonFinite", lambda *given: KeyError())

    test = test_not_finite.test_a_bad_number_from_the_environment_skips_one_iteration_and_changes_nothing
    assert turns_red(test, plant, "reward", np.nan, whole)


@pytest.mark.reliability("R10", "R11")
def test_a_run_that_never_gives_up(tmp_path: Path) -> None:
    def plant(patch: Patch) -> None:
        patch.setattr(loop, "MOST_NONFINITE", 10**9)

    test = test_not_finite.test_three_in_a_row_end_the_run_and_the_last_good_checkpoint_is_named
    folders = iter((tmp_path / "green", tmp_path / "red"))
    assert turns_red(lambda: test(next(folders)), plant)


@pytest.mark.reliability("R11")
def test_a_batch_that_nobody_checks() -> None:
    test = test_not_finite.test_a_bad_number_in_the_update_is_named_and_changes_nothing
    name = "q_values is not finite in row 7"
    assert turns_red(test, lambda patch: patch.setattr(trust_region, "unusable", nothing), name)


@pytest.mark.reliability("R11")
def test_a_failed_value_fit_that_is_passed_over() -> None:
    """As if its status were not looked at."""
    no_status = type("NoStatus", (), {"NONFINITE": None})
    test = test_not_finite.test_a_bad_number_in_the_update_is_named_and_changes_nothing
    assert turns_red(test, lambda patch: patch.setattr(loop, "FitStatus", no_status), "value function")


@pytest.mark.reliability("R12")
def test_a_step_length_from_the_size_of_a_negative_curvature() -> None:
    def plant(patch: Patch) -> None:
        careless = lambda delta, curvature: math.sqrt(2 * delta / max(abs(curvature), 1e-8))  # noqa: E731
        patch.setattr(trust_region, "step_length", careless)

    assert turns_red(test_steps.test_a_run_without_positive_curvature_stands_still, plant, -1.0)


@pytest.mark.reliability("R13")
def test_a_rejected_step_that_counts_as_taken(tmp_path: Path) -> None:
    """The outcome of a rejected search is not looked at."""

    def plant(patch: Patch) -> None:
        patch.setattr(trust_region.LineSearchResult, "accepted", True)

    folders = iter((tmp_path / "green", tmp_path / "red"))
    test = test_steps.test_a_search_that_cannot_succeed_leaves_theta_and_writes_null
    with Patch.context() as own:
        assert turns_red(lambda: test(next(folders), own), plant)


@pytest.mark.reliability("R14")
def test_noise_of_an_untrained_value_function_taken_for_advantages(tmp_path: Path, capfd) -> None:
    def plant(patch: Patch) -> None:
        for module in (single_path, vine):
            patch.setattr(module, "nothing_earned", lambda *given: False)

    folders = iter((tmp_path / "green", tmp_path / "red"))
    test = test_steps.test_rewards_that_are_always_zero_are_skipped_without_a_storm
    assert turns_red(lambda: test({}, next(folders), capfd), plant)


@pytest.mark.reliability("R15")
@pytest.mark.parametrize("level", [-200.0, 200.0])
@pytest.mark.parametrize("what", ["the clamp", "the warning"])
def test_sigma_without_bounds_or_a_word(what: str, level: float, tmp_path: Path) -> None:
    def plant(patch: Patch) -> None:
        if what == "the clamp":
            patch.setattr("trpolab.policies.gaussian.LOG_STD_LOW", -1e9)
            patch.setattr("trpolab.policies.gaussian.LOG_STD_HIGH", 1e9)
        else:
            patch.setattr(DiagonalGaussian, "clamped", lambda self, own: 0)

    folders = iter((tmp_path / "green", tmp_path / "red"))
    test = test_steps.test_sigma_driven_far_out_is_clamped_counted_and_can_still_be_sampled
    assert turns_red(lambda: test(level, next(folders)), plant)


@pytest.mark.reliability("R16")
def test_a_reset_that_nobody_notices() -> None:
    def plant(patch: Patch) -> None:
        patch.setattr(MujocoSimulator, "_blame", nothing)
        patch.setattr(np, "less", lambda *given, out: out)

    assert turns_red(test_mujoco_stability.test_every_silent_reset_is_reported, plant, "Hopper-v5", False)


@pytest.mark.reliability("R16")
def test_a_log_file_in_the_working_directory(tmp_path: Path, capfd) -> None:
    def loud() -> None:
        log = mujoco.MjLogConfig.get()
        log.logto_file = True
        mujoco.MjLogConfig.set(log)

    folders = iter((tmp_path / "green", tmp_path / "red"))

    def test() -> None:
        folder = next(folders)
        folder.mkdir()
        with Patch.context() as own:
            test_mujoco_stability.test_mujoco_writes_no_log_file(folder, own, capfd)

    try:
        assert turns_red(test, lambda patch: patch.setattr("trpolab.simulators.mujoco.model.silence_log_file", loud))
    finally:
        log = mujoco.MjLogConfig.get()
        log.logto_file = False
        mujoco.MjLogConfig.set(log)


@pytest.mark.reliability("R17")
def test_actions_that_nobody_clips() -> None:
    def plant(patch: Patch) -> None:
        patch.setattr(ActionBounds, "clip", lambda self, actions: actions)

    assert turns_red(test_simulators.test_what_reaches_the_simulator_is_inside_its_bounds, plant)


@pytest.mark.reliability("R17")
def test_clipping_that_nobody_counts() -> None:
    def plant(patch: Patch) -> None:
        patch.setattr(ActionBounds, "count_outside", lambda self, actions: 0)

    assert turns_red(test_simulators.test_a_run_reports_the_share_of_actions_that_were_clipped, plant)


@pytest.mark.reliability("R17")
@pytest.mark.parametrize(("task", "module"), [("Hopper-v5", mujoco_batch), ("CartPole-v1", cartpole)])
def test_shapes_that_nobody_checks(task: str, module: Any) -> None:
    test = contract.SimulatorContract().test_actions_of_another_shape_or_kind_are_refused
    assert turns_red(lambda: test(task), lambda patch: patch.setattr(module, "refuse_misfit", nothing))


@pytest.mark.reliability("R26")
def test_tensors_that_nobody_compares_with_the_description(tmp_path: Path) -> None:
    description = {"sizes": [3, 10**6, 10**6, 2]}
    folders = iter((tmp_path / "green", tmp_path / "red"))

    def test() -> None:
        folder = next(folders)
        folder.mkdir()
        test_hostile_files.test_shapes_that_would_fill_the_memory_are_refused_by_their_numbers(
            description, "theta is", folder
        )

    assert turns_red(test, lambda patch: patch.setattr(files, "_check_tensors", nothing))


@pytest.mark.reliability("R26")
def test_numbers_that_nobody_checks(tmp_path: Path) -> None:
    def test() -> None:
        path = tmp_path / "p.safetensors"
        files.save_policy(path, test_serialization.a_policy(), {})
        change = {"tensors": {"normalizer.mean": np.array([1.0, np.nan, 1.0])}}
        test_serialization.test_files_that_lie_are_refused(path, change, "not finite")

    everything = type("np", (), {"isfinite": staticmethod(lambda array: np.ones(1, bool)), "ndarray": np.ndarray})
    assert turns_red(test, lambda patch: patch.setattr(files, "np", everything))


@pytest.mark.reliability("R33")
def test_cuts_taken_for_ends() -> None:
    """The exact advantages are missed once every piece counts as terminated."""
    honest = single_path.generalized_advantage

    def plant(patch: Patch) -> None:
        def ended(rewards, values, last, terminated, *rest):
            return honest(rewards, values, last, np.ones_like(terminated), *rest)

        patch.setattr(single_path, "generalized_advantage", ended)

    assert turns_red(gae_test, plant)


def gae_test() -> None:
    """The row's test with its fixtures made by hand."""
    policy = test_estimators.policy.__wrapped__()
    request = type("Request", (), {"param": False})
    sampled = test_estimators.sampled.__wrapped__(request, policy)
    test_estimators.test_gae_with_the_exact_values_has_the_exact_advantages_as_its_mean(
        1.0, sampled, policy, test_estimators.pi.__wrapped__(policy)
    )
