"""One name per setting; everything that is wrong is told at once."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from trpolab.policies.config import ValueConfig
from trpolab.sampling.config import SinglePath, Vine
from trpolab.settings import ConfigError, flatten, parse_value
from trpolab.simulators import Task, find_task
from trpolab.training.config import Config, check, resolve, settings
from trpolab.training.session import Session
from trpolab.updates.config import TrustRegion


def test_every_setting_is_read_and_replaced_by_its_public_name():
    config = Config()
    for name, about in settings().items():
        assert about.doc, f"{name} says nothing about itself"
        assert config.get(name) == about.default
    changed = config.replace(delta=0.5, lam=0.5, **{"path.whole": True, "policy.log_std": -1})
    assert (changed.trust.delta, changed.path.lam, changed.path.whole, changed.policy.log_std) == (0.5, 0.5, True, -1)
    assert config.trust.delta == Config().trust.delta, "a config is never written to"


def test_common_settings_are_flat_and_the_rest_carry_their_part():
    flat = (
        "delta gamma steps_per_iteration iterations cg_iterations damping fisher_fraction line_search shrink max_tries "
    )
    flat += "sampler proposal advantage lam state_weighting normalize_observations hidden activation checkpoint_every "
    flat += "slots threads device preset"
    assert set(flat.split()) <= set(settings())
    assert {"path.whole", "path.horizon"} <= set(settings())


def test_all_problems_are_told_at_once_with_their_values():
    task = find_task("CartPole-v1")
    with pytest.raises(ConfigError) as caught:
        resolve(task, overrides={"delta": 0, "gamma": 1.5, "iterations": 0, "detla": 1, "activation": "sin"})
    text = str(caught.value)
    for part in ("delta = 0: must be > 0", "gamma = 1.5", "<= 1", "iterations = 0", "did you mean delta", "'sin'"):
        assert part in text
    assert len(caught.value.problems) == 5


@pytest.mark.parametrize("task", ["CartPole-v1", "Hopper-v5", "finite/chain-8", "MountainCarContinuous-v0"])
@pytest.mark.parametrize("name", ["atari.sticky", "atari.pixels", "atari.clip_rewards"])
def test_settings_of_another_kind_of_tasks_are_refused(task, name):
    value = {"atari.sticky": 0.5, "atari.pixels": "dqn", "atari.clip_rewards": True}[name]
    with pytest.raises(ConfigError, match=rf"^{name}: only Atari tasks read it, and {task} is none"):
        resolve(find_task(task), overrides={name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("delta", float("nan")),
        ("delta", "big"),
        ("iterations", 2.5),
        ("line_search", 1),
        ("hidden", (64, 0)),
        ("seed", -1),
    ],
)
def test_values_of_the_wrong_kind_are_refused(name, value):
    with pytest.raises(ConfigError, match=name.replace(".", r"\.")):
        Config().replace(**{name: value})


def test_combinations_that_cannot_run_are_refused():
    task = find_task("Hopper-v5")
    with pytest.raises(ConfigError, match="steps_per_iteration = 500: whole paths were asked and one may take 1000"):
        resolve(task, overrides={"path.whole": True, "steps_per_iteration": 500})
    with pytest.raises(ConfigError, match="discounted sums need whole paths"):
        resolve(task, overrides={"advantage": "monte_carlo"})


COLOURED, TINY = Box(0, 255, (40, 36, 3), np.uint8), Box(0, 255, (7, 7, 3), np.uint8)


def seen_as(space: Box) -> Task:
    return Task("Pictures", space, Discrete(3), 100, False, "no", python=True)


def test_pictures_are_not_normalised_unless_they_are_taken_for_plain_numbers() -> None:
    assert not resolve(seen_as(COLOURED)).policy.normalize_observations
    assert resolve(seen_as(COLOURED), overrides={"policy.network": "mlp"}).policy.normalize_observations
    assert resolve(seen_as(Box(0, 255, (40,), np.uint8))).policy.normalize_observations
    with pytest.raises(ConfigError, match="normalize_observations = True: pixels go in as 0 to 1"):
        resolve(seen_as(COLOURED), overrides={"normalize_observations": True})


def test_pictures_too_small_for_the_strides_are_refused_with_the_numbers() -> None:
    small = r"pictures of 7 x 7 pixels are too small for two convolutions of 4 x 4 with stride 2, which need 10 x 10: "
    with pytest.raises(ConfigError, match=f"^{small}policy.network = 'mlp' takes plain numbers$"):
        resolve(seen_as(TINY))
    resolve(seen_as(TINY), overrides={"policy.network": "mlp"})
    resolve(seen_as(Box(0, 255, (10, 10, 3), np.uint8)))


def test_a_start_below_the_least_sigma_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"policy\.log_std = -0\.5: must be >= gaussian\.least_log_std = 0\.1"):
        Session("Pendulum-v1", out=None, **{"gaussian.least_log_std": 0.1})
    Session("CartPole-v1", out=None, **{"gaussian.least_log_std": 0.1})  # which has no σ


def test_a_policy_that_no_file_can_hold_is_refused_with_its_size() -> None:
    with pytest.raises(ConfigError, match=r"hidden = \[64, 64\]: [0-9,]{11,} parameters for .* \[2000, 3000, 3\]"):
        resolve(seen_as(Box(0, 255, (2000, 3000, 3), np.uint8)))
    with pytest.raises(ConfigError, match=r"hidden = \[64, 64\]: 128,[0-9,]+ parameters"):
        resolve(seen_as(Box(-1, 1, (2_000_000,))))


def test_only_a_task_that_says_so_has_stacks_in_time() -> None:
    stacks = dataclasses.replace(seen_as(Box(0, 255, (4, 52, 40), np.uint8)), sees_pixels=True)
    with pytest.raises(ConfigError, match=r"policy\.network = 'mlp': Pictures needs one that sees pixels"):
        resolve(stacks, overrides={"policy.network": "mlp", "normalize_observations": False})


def test_the_paper_preset_uses_none_of_ours():
    config = resolve(find_task("paper/Hopper"), "paper")
    assert (config.trust.delta, config.gamma, config.trust.cg_iterations) == (0.01, 0.99, 10)
    assert (config.trust.damping, config.trust.fisher_fraction) == (0, 0.1)
    assert config.path.advantage == "monte_carlo"
    assert config.path.whole
    assert not config.path.standardize
    assert not config.policy.normalize_observations
    assert config.policy.hidden == (50,)
    assert config.path.steps_per_iteration == 1_000_000


def test_overrides_win_over_what_suits_the_task_which_wins_over_the_preset():
    task = find_task("CartPole-v1")
    assert resolve(task).path.steps_per_iteration == task.defaults["steps_per_iteration"] != 2048
    assert resolve(task, overrides={"steps_per_iteration": 4096}).path.steps_per_iteration == 4096


def test_a_part_may_be_given():
    config = Config().replace(sampler=SinglePath(lam=0.5), value=ValueConfig((7,)))
    assert config.sampler == "single-path"
    assert config.path.lam == 0.5 and config.value.hidden == (7,)
    again = config.replace(sampler=SinglePath(standardize=False))
    assert again.path == dataclasses.replace(config.path, standardize=False)


def test_settings_survive_being_written_and_read():
    config = resolve(find_task("paper/Swimmer"), "paper", {"seed": 4})
    again = Config().replace(**config.settings())
    assert again == config
    check(again, find_task("paper/Swimmer"))


def test_texts_from_the_terminal_become_values():
    assert parse_value("0.02") == 0.02
    assert parse_value("[64, 32]") == (64, 32)
    assert parse_value("true") is True
    assert parse_value("vine") == "vine"
    assert parse_value("none") is None
    assert flatten({"delta": 1, "path": {"whole": True}}, settings()) == {"delta": 1, "path.whole": True}


def test_values_and_combinations_that_are_wrong_are_told_together():
    with pytest.raises(ConfigError) as caught:
        resolve(find_task("CartPole-v1"), overrides={"path.whole": True, "steps_per_iteration": 100, "delta": -1})
    assert len(caught.value.problems) == 2
    assert "delta = -1" in str(caught.value)
    assert "whole paths were asked" in str(caught.value)


def test_a_part_leaves_to_preset_and_task_what_it_was_not_given() -> None:
    """The paper's vine has no tail, unless it is asked for; the cart-pole tries every action."""
    table = Vine(trunks=16, trunk_length=1000, states=625, actions=4, rollout_length=100)
    config = resolve(find_task("paper/Hopper"), "paper", {"sampler": table})
    assert config.sampler == "vine" and config.vine.states == 625 and not config.vine.tail_value
    asked = resolve(find_task("paper/Hopper"), "paper", {"sampler": table, "vine.tail_value": True})
    assert asked.vine.tail_value
    assert resolve(find_task("CartPole-v1"), overrides={"sampler": Vine(states=7)}).vine.proposal == "all"


def test_what_a_part_was_given_counts_where_it_is_the_default() -> None:
    for preset in ("modern", "paper"):
        parts = {"sampler": Vine(4, tail_value=True), "trust": TrustRegion(0.02)}
        given = resolve(find_task("paper/Hopper"), preset, parts)
        named = {"sampler": "vine", "vine.trunks": 4, "vine.tail_value": True, "delta": 0.02}
        assert given == resolve(find_task("paper/Hopper"), preset, named)
        assert given.vine.trunks == 4 and given.vine.tail_value and given.trust.delta == 0.02


def test_a_part_made_from_another_one_counts_as_it_stands() -> None:
    for copied in (dataclasses.replace(Vine(), states=9), copy.deepcopy(dataclasses.replace(Vine(), states=9))):
        config = resolve(find_task("paper/Hopper"), "paper", {"sampler": copied})
        assert config.vine == Vine(states=9)
