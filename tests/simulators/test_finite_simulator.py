"""Finite MDPs: what is refused, what the built-in ones are, and that the simulator plays their arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from tests.simulators.contract import SimulatorContract
from trpolab.simulators import FiniteMDP, UnknownTask, find_task, make
from trpolab.simulators.finite_mdp import chain, gridworld, random_mdp
from trpolab.simulators.finite_simulator import cumulative, drawn, finite_mdp, uniforms

EVEN = np.full((2, 3, 2), 0.5)
ARRAYS: dict[str, Any] = {
    "transitions": EVEN,
    "rewards": np.zeros((2, 3)),
    "start": np.array([1.0, 0.0]),
    "gamma": 0.9,
}


def with_entry(array: np.ndarray, where: tuple, value: float) -> np.ndarray:
    changed = array.copy()
    changed[where] = value
    return changed


class TestArrays:
    @pytest.mark.parametrize(
        ("changes", "told"),
        [
            (
                {"transitions": with_entry(EVEN, (1, 2, 0), 0.4)},
                r"transitions\[1, 2\] sums to 0.9: probabilities must be",
            ),
            ({"transitions": with_entry(EVEN, (0, 1), [1.5, -0.5])}, r"transitions\[0, 1\] holds -0.5"),
            ({"transitions": with_entry(EVEN, (0, 1, 1), np.nan)}, r"transitions\[0, 1\] holds nan"),
            ({"transitions": EVEN[:, 0]}, r"transitions: shape \(2, 2\), must be \(S, A, S\)"),
            ({"transitions": EVEN[:, :0]}, r"transitions: shape \(2, 0, 2\), must be \(S, A, S\) with S, A >= 1"),
            ({"rewards": np.zeros(3)}, r"rewards: shape \(3,\), must be one of \(2,\), \(2, 3\), \(2, 3, 2\)"),
            ({"rewards": with_entry(np.zeros((2, 3)), (1, 0), np.inf)}, r"rewards\[1, 0\] = inf: must be finite"),
            ({"start": np.array([0.5, 0.4])}, r"start sums to 0.9"),
            ({"start": np.ones(3) / 3}, r"start: shape \(3,\), must be \(2,\)"),
            ({"gamma": 1.01}, r"gamma = 1.01: must be above 0 and at most 1"),
            ({"gamma": 0.0}, r"gamma = 0.0: must be above 0"),
            ({"gamma": float("nan")}, r"gamma = nan"),
            ({"gamma": 1}, r"gamma = 1: from state 0 no terminal state can be reached.*give gamma < 1"),
            ({"terminal": [True, True]}, r"terminal = \[True, True\]: must be 2 flags, not all of them true"),
            ({"terminal": [True]}, r"terminal = \[True\]: must be 2 flags"),
            ({"terminal": [True, False]}, r"start\[0\] = 1: state 0 is terminal, no episode can start there"),
            ({"time_limit": 0}, r"time_limit = 0: must be at least 1, or None"),
            ({"places": np.zeros((3, 2))}, r"places: shape \(3, 2\), must be \(2, 2\) finite numbers"),
            ({"places": np.full((2, 2), np.nan)}, r"places: shape \(2, 2\), must be \(2, 2\) finite numbers"),
        ],
    )
    def test_what_is_wrong_is_one_sentence(self, changes: dict, told: str) -> None:
        with pytest.raises(ValueError, match=told) as caught:
            FiniteMDP(**{**ARRAYS, **changes})
        assert "\n" not in str(caught.value)

    def test_without_a_discount_every_state_must_reach_an_end(self) -> None:
        """State 1 can end, state 0 can only stay."""
        transitions = np.zeros((3, 1, 3))
        transitions[0, 0, 0] = transitions[1, 0, 2] = transitions[2, 0, 2] = 1
        start, over = np.array([0, 1.0, 0]), [False, False, True]
        with pytest.raises(ValueError, match=r"gamma = 1: from state 0 "):
            FiniteMDP(transitions, np.zeros(3), start, 1.0, over)
        transitions[0, 0] = [0.5, 0.5, 0]
        assert FiniteMDP(transitions, np.zeros(3), start, 1.0, over).gamma == 1

    def test_rewards_are_kept_as_those_of_transitions(self) -> None:
        by_state = FiniteMDP(**{**ARRAYS, "rewards": np.array([1.0, 2.0])})
        by_action = FiniteMDP(**{**ARRAYS, "rewards": np.array([[1.0, 2, 3], [4, 5, 6]])})
        assert (by_state.rewards[1] == 2).all() and by_action.rewards[1, 2].tolist() == [6, 6]
        moves = np.arange(12.0).reshape(2, 3, 2)
        by_move = FiniteMDP(**{**ARRAYS, "rewards": moves})
        np.testing.assert_allclose(by_move.expected_rewards, moves.mean(-1))

    def test_a_terminal_state_stays_and_earns_nothing_whatever_its_rows_say(self) -> None:
        mdp = FiniteMDP(with_entry(EVEN, (1,), 0.0), np.ones((2, 3)), np.array([1.0, 0.0]), 0.9, [False, True])
        assert mdp.transitions[1].tolist() == [[0, 1]] * 3
        assert (mdp.rewards[1] == 0).all() and (mdp.rewards[0] == 1).all()

    def test_nobody_can_write_into_them(self) -> None:
        given = EVEN.copy()
        mdp = FiniteMDP(**{**ARRAYS, "transitions": given})
        given[:] = 0
        assert (mdp.transitions == 0.5).all()
        for array in (mdp.transitions, mdp.rewards, mdp.start, mdp.terminal):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0


class TestBuiltIn:
    def test_a_garnet_has_its_branching(self) -> None:
        mdp = random_mdp(9, 3, branching=4, gamma=0.8, generator=np.random.default_rng(0))
        assert ((mdp.transitions > 0).sum(-1) == 4).all()
        assert len({tuple(row) for row in (mdp.transitions > 0).reshape(27, 9).tolist()}) > 10

    def test_a_garnet_has_one_successor_if_asked(self) -> None:
        mdp = random_mdp(5, 2, branching=1, generator=np.random.default_rng(0))
        assert (mdp.transitions.max(-1) == 1).all()

    def test_a_chain_goes_where_it_is_sent_unless_it_slips(self) -> None:
        mdp = chain(4, slip=0.25)
        assert mdp.transitions[1, 1].tolist() == [0.25, 0, 0.75, 0]
        assert mdp.transitions[0, 0].tolist() == [0.75, 0.25, 0, 0]
        assert mdp.expected_rewards[:, 0].tolist() == [0.1, 0, 0, 1]
        assert mdp.start.tolist() == [1, 0, 0, 0]

    def test_a_gridworld_goes_up_right_down_left_and_ends_in_the_corner(self) -> None:
        mdp = gridworld(2, 3, slip=0.0)
        assert mdp.transitions[1].argmax(-1).tolist() == [1, 2, 4, 0]
        assert mdp.transitions[3].argmax(-1).tolist() == [0, 4, 3, 3]
        assert mdp.terminal.tolist() == [False] * 5 + [True]
        assert (mdp.rewards[:5] == -1).all()

    @pytest.mark.parametrize(
        ("build", "told"),
        [
            (lambda rng: random_mdp(0, 2, generator=rng), r"states = 0, actions = 2: both must be at least 1"),
            (lambda rng: random_mdp(3, 2, branching=4, generator=rng), r"branching = 4: must be between 1 and the 3"),
            (lambda rng: chain(1), r"states = 1: a chain has at least 2"),
            (lambda rng: chain(3, slip=1.5), r"slip = 1.5: must be between 0 and 1"),
            (lambda rng: gridworld(1, 1), r"rows = 1, columns = 1: a gridworld has at least 2 cells"),
        ],
    )
    def test_sizes_that_make_no_sense_are_refused(self, build, told: str) -> None:
        with pytest.raises(ValueError, match=told):
            build(np.random.default_rng(0))


class TestNames:
    @pytest.mark.parametrize(
        ("name", "states", "actions"),
        [
            ("finite/chain-5", 5, 2),
            ("finite/gridworld-3x5", 15, 4),
            ("finite/random-6x3", 6, 3),
            ("finite/random-6x3-7", 6, 3),
        ],
    )
    def test_a_name_says_the_size(self, name: str, states: int, actions: int) -> None:
        mdp, task = finite_mdp(name), find_task(name)
        assert (mdp.states, mdp.actions, mdp.name, task.name) == (states, actions, name, name)
        assert task.observation_space == Box(0, 1, (states,), np.float32)
        assert task.action_space == Discrete(actions)
        assert task.can_restore and task.defaults["gamma"] == mdp.gamma

    def test_a_name_always_stands_for_the_same_numbers(self) -> None:
        one, two, other = (finite_mdp(f"finite/random-6x3{seed}") for seed in ("", "", "-1"))
        assert np.array_equal(one.transitions, two.transitions) and np.array_equal(one.rewards, two.rewards)
        assert not np.array_equal(one.transitions, other.transitions)

    @pytest.mark.parametrize(
        ("name", "told"),
        [
            ("finite/chian-8", r"unknown task 'finite/chian-8'; nearest: finite/chain-8.*finite/gridworld-RxC"),
            ("finite/chain-", r"unknown task 'finite/chain-'"),
            ("finite/chain-1", r"finite/chain-1: states = 1: a chain has at least 2"),
            ("finite/gridworld-900x900", r"810000² · 4 transition probabilities are more than 5,000,000"),
        ],
    )
    def test_other_names_are_refused_in_a_line(self, name: str, told: str) -> None:
        for ask in (find_task, lambda task: make(task, 2)):
            with pytest.raises(UnknownTask, match=told) as caught:
                ask(name)
            assert "\n" not in str(caught.value)


ODD = FiniteMDP(
    np.array([[[0.0, 0.3, 0.7], [1.0, 0, 0]], [[0.5, 0, 0.5], [0.2, 0.3, 0.5]], [[0, 0, 1], [0, 0, 1]]]),
    np.arange(18.0).reshape(3, 2, 3),
    np.array([0.25, 0.75, 0.0]),
    0.9,
    [False, False, True],
    "finite/odd",
    time_limit=None,
)


class TestPlayed:
    def test_moves_rewards_and_ends_are_those_of_the_arrays(self) -> None:
        simulator, count = make(ODD, 40_000), 40_000
        first = simulator.reset(None, np.arange(count)).argmax(1)
        assert np.bincount(first, minlength=3) / count == pytest.approx(ODD.start, abs=4 * 0.5 / np.sqrt(count))
        actions = np.random.default_rng(0).integers(0, 2, count)
        result = simulator.step(None, actions)
        following = result.obs.argmax(1)
        np.testing.assert_array_equal(result.reward, ODD.rewards[first, actions, following])
        np.testing.assert_array_equal(result.terminated, following == 2)
        assert not result.truncated.any() and not result.unstable.any()
        for state in (0, 1):
            for action in (0, 1):
                rows = (first == state) & (actions == action)
                seen = np.bincount(following[rows], minlength=3) / rows.sum()
                assert seen == pytest.approx(ODD.transitions[state, action], abs=4 * 0.5 / np.sqrt(rows.sum()))

    def test_later_steps_are_as_random_as_the_first(self) -> None:
        """The noise of successive steps and of neighbouring seeds is uniform and uncorrelated."""
        noise = np.stack([uniforms(np.arange(20_000, dtype=np.uint64), np.uint64(step)) for step in range(4)])
        assert noise.min() >= 0 and noise.max() < 1
        assert np.allclose(np.histogram(noise, 10, (0, 1))[0] / noise.size, 0.1, atol=0.005)
        pairs = [
            (noise[0], noise[1]),
            (noise[1], noise[3]),
            (noise[0, 1:], noise[0, :-1]),
            (noise[2, 1:], noise[1, :-1]),
        ]
        assert all(abs(np.corrcoef(one, two)[0, 1]) < 0.03 for one, two in pairs)

    def test_what_has_no_probability_is_never_drawn(self) -> None:
        """Not at the edges either: leading zeros at u = 0, trailing ones just below u = 1, sums short of 1."""
        sums = cumulative(np.array([[0.0, 0.5, 0.5, 0.0], [0.1, 0.2, 0.7 - 1e-12, 0.0]]))
        assert drawn(sums[[0, 1]], np.zeros(2)).tolist() == [1, 0]
        assert drawn(sums[[0, 1]], np.full(2, 1 - 2.0**-53)).tolist() == [2, 2]

    def test_new_seeds_make_another_future_and_equal_ones_share_it(self) -> None:
        mdp = random_mdp(30, 2, generator=np.random.default_rng(0))
        simulator, zeros = make(mdp, 60), np.zeros(60, np.int64)
        simulator.reset(None, np.arange(60))
        saved = simulator.snapshot(np.array([3])).repeat(60)
        simulator.restore(None, saved, seeds=np.arange(60))
        assert len(set(simulator.step(None, zeros).obs.argmax(1).tolist())) > 5
        simulator.restore(None, saved, seeds=np.full(60, 9))
        assert len(set(simulator.step(None, zeros).obs.argmax(1).tolist())) == 1

    def test_a_time_limit_cuts(self) -> None:
        simulator = make("finite/chain-4", 2)
        simulator.reset(None, np.arange(2))
        cut = [simulator.step(None, np.ones(2, np.int64)).truncated.all() for _ in range(100)]
        assert cut == [False] * 99 + [True]

    def test_the_walker_stands_where_its_state_is_drawn(self) -> None:
        simulator, mdp = make("finite/gridworld-3x5", 4), finite_mdp("finite/gridworld-3x5")
        obs = simulator.reset(None, np.arange(4))
        for step in range(6):
            state = obs.argmax(1)
            row, column = np.divmod(state, 5)
            np.testing.assert_array_equal(simulator.poses(None)[:, 1, :2], np.column_stack([column, -row]))
            obs = simulator.step(None, np.full(4, 1 + step % 2)).obs
        dots = [geom for geom in simulator.scene.geoms if geom["body"] == 0]
        assert [dot["size"][0] > 0.2 for dot in dots] == mdp.terminal.tolist()
        assert len({tuple(dot["pos"]) for dot in dots}) == 15

    def test_many_states_are_not_drawn(self) -> None:
        simulator = make("finite/gridworld-20x20", 2)
        assert simulator.scene is None and simulator.poses(None).shape == (2, 0, 7)

    def test_foreign_snapshots_and_seeds_are_refused(self) -> None:
        simulator, other = make("finite/chain-4", 3), make("CartPole-v1", 3)
        with pytest.raises(ValueError, match="reset of 3 slots needs as many seeds, got 2"):
            simulator.reset(None, np.arange(2))
        simulator.reset(None, np.arange(3))
        other.reset(None, np.arange(3))
        with pytest.raises(
            ValueError, match="finite/chain-4: a snapshot of 3 slots has as many rows of state, steps and"
        ):
            simulator.restore(None, other.snapshot(None))
        with pytest.raises(ValueError, match="finite/chain-4: a snapshot of 3 slots has as many rows"):
            simulator.restore(None, simulator.snapshot(None).take([0]))


@pytest.fixture(params=[ODD], ids=["arrays"])
def task(request: pytest.FixtureRequest) -> FiniteMDP:
    return request.param


class TestContract(SimulatorContract):
    """An MDP made from arrays, with a terminal state and without a time limit."""
