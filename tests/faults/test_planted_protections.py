"""Each row's protection taken out: the row's own test must turn red, and is green with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.faults.points import planted
from tests.policies import test_serialization
from tests.reliability import test_estimators, test_hostile_files, test_not_finite, test_simulators, test_steps
from tests.simulators import contract
from tests.simulators.mujoco import test_stability
from trpolab.policies.serialization import save_policy
from trpolab.simulators.mujoco.model import silence_log_file

Patch = pytest.MonkeyPatch


def turns_red(test: Callable[..., None], fault: str, *given: Any, **fixtures: Any) -> bool:
    """Whether a test that passes fails once the fault is planted; each run gets a patch of its own."""
    wants_patch = "monkeypatch" in test.__code__.co_varnames

    def run() -> None:
        with Patch.context() as own:
            test(*given, **fixtures, **({"monkeypatch": own} if wants_patch else {}))

    run()
    with planted(fault):
        try:
            run()
        except (Exception, pytest.fail.Exception):  # noqa: BLE001 - however it fails, it is red
            return True
    return False


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Path]:
    """Empty folders, one for each run of a test."""

    def fresh(name: str) -> Path:
        (tmp_path / name).mkdir()
        return tmp_path / name

    return map(fresh, ("green", "red"))


@pytest.mark.reliability("R10", "R11")
def test_a_run_that_never_gives_up(folders: Iterator[Path]) -> None:
    test = test_not_finite.test_three_in_a_row_end_the_run_and_the_last_good_checkpoint_is_named
    assert turns_red(lambda: test(next(folders)), "a run that never gives up")


@pytest.mark.reliability("R11")
@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ("a batch that nobody checks", "q_values is not finite in row 7"),
        ("a failed value fit that is passed over", "value function"),
    ],
)
def test_bad_numbers_in_an_update_that_are_passed_over(fault: str, name: str) -> None:
    assert turns_red(test_not_finite.test_a_bad_number_in_the_update_is_named_and_changes_nothing, fault, name)


@pytest.mark.reliability("R12")
def test_a_step_length_from_the_size_of_a_negative_curvature() -> None:
    test = test_steps.test_a_run_without_positive_curvature_stands_still
    assert turns_red(test, "a step length from the size of a negative curvature", -1.0)


@pytest.mark.reliability("R13")
def test_a_rejected_step_that_counts_as_taken(folders: Iterator[Path]) -> None:
    """The outcome of a rejected search is not looked at."""
    test = test_steps.test_a_search_that_cannot_succeed_leaves_theta_and_writes_null
    with Patch.context() as own:
        assert turns_red(lambda: test(next(folders), own), "a rejected step that counts as taken")


@pytest.mark.reliability("R14")
def test_noise_of_an_untrained_value_function_taken_for_advantages(folders: Iterator[Path], capfd) -> None:
    test = test_steps.test_rewards_that_are_always_zero_are_skipped_without_a_storm
    fault = "noise of an untrained value function taken for advantages"
    assert turns_red(lambda: test({}, next(folders), capfd), fault)


@pytest.mark.reliability("R15")
@pytest.mark.parametrize("level", [-200.0, 200.0])
@pytest.mark.parametrize("fault", ["σ without bounds", "a clamped σ without a word"])
def test_sigma_without_bounds_or_a_word(fault: str, level: float, folders: Iterator[Path]) -> None:
    test = test_steps.test_sigma_driven_far_out_is_clamped_counted_and_can_still_be_sampled
    assert turns_red(lambda: test(level, next(folders)), fault)


@pytest.mark.reliability("R16")
def test_a_log_file_in_the_working_directory(folders: Iterator[Path], capfd) -> None:
    def test() -> None:
        with Patch.context() as own:
            test_stability.test_mujoco_writes_no_log_file(next(folders), own, capfd)

    try:
        assert turns_red(test, "MuJoCo's log file in the working directory")
    finally:
        silence_log_file()


@pytest.mark.reliability("R17")
@pytest.mark.parametrize(
    ("fault", "test"),
    [
        ("actions that nobody clips", test_simulators.test_what_reaches_the_simulator_is_inside_its_bounds),
        ("clipping that nobody counts", test_simulators.test_a_run_reports_the_share_of_actions_that_were_clipped),
    ],
)
def test_actions_that_are_not_clipped_or_not_counted(fault: str, test: Callable[..., None]) -> None:
    assert turns_red(test, fault)


@pytest.mark.reliability("R17")
@pytest.mark.parametrize(("task", "simulators"), [("Hopper-v5", "MuJoCo's"), ("CartPole-v1", "cart-poles'")])
def test_shapes_that_nobody_checks(task: str, simulators: str) -> None:
    test = contract.SimulatorContract().test_actions_of_another_shape_or_kind_are_refused
    assert turns_red(lambda: test(task), f"{simulators} actions that nobody checks")


@pytest.mark.reliability("R26")
def test_tensors_that_nobody_compares_with_the_description(folders: Iterator[Path]) -> None:
    description = {"network": test_serialization.network(sizes=[3, 10**6, 10**6, 2])}
    test = test_hostile_files.test_shapes_that_would_fill_the_memory_are_refused_by_their_numbers
    fault = "tensors that nobody compares with the description"
    assert turns_red(lambda: test(description, "theta is", next(folders)), fault)


@pytest.mark.reliability("R26")
def test_numbers_that_nobody_checks(tmp_path: Path) -> None:
    def test() -> None:
        path = tmp_path / "p.safetensors"
        save_policy(path, test_serialization.a_policy(), {})
        change = {"tensors": {"normalizer.mean": np.array([1.0, np.nan, 1.0])}}
        test_serialization.test_files_that_lie_are_refused(path, change, "not finite")

    assert turns_red(test, "numbers of a policy file that nobody checks")


@pytest.mark.reliability("R33")
def test_cuts_taken_for_ends() -> None:
    """The exact advantages are missed once every piece counts as terminated."""
    assert turns_red(gae_test, "cuts taken for ends")


def gae_test() -> None:
    """The row's test with its fixtures made by hand."""
    policy = test_estimators.policy.__wrapped__()
    request = type("Request", (), {"param": False})
    sampled = test_estimators.sampled.__wrapped__(request, policy)
    test_estimators.test_gae_with_the_exact_values_has_the_exact_advantages_as_its_mean(
        1.0, sampled, policy, test_estimators.pi.__wrapped__(policy)
    )
