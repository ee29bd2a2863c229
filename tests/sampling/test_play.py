"""The one loop that plays, against a simulator whose every number is known."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from tests.sampling.scripted import ScriptedSimulator
from trpolab.policies import Policy, make_policy
from trpolab.policies.config import PolicyConfig
from trpolab.sampling.errors import Interrupted, NonFinite
from trpolab.sampling.fresh_episodes import Draw, FreshEpisodes, Quota
from trpolab.sampling.play import ActionBounds, Begun, Play, first_fault
from trpolab.sampling.streams import Purpose, Streams
from trpolab.sampling.vine.branches import BranchPlan, draw_noise, run_branches

SEEDS = [11, 12, 13, 14, 20, 33, 6]
LENGTHS = [3 + seed % 7 for seed in SEEDS]


class Recorded(ScriptedSimulator):
    """Keeps which slots were stepped, as they were named."""

    def __init__(self, width: int, **faults):
        super().__init__(width)
        self.stepped: list[np.ndarray | None] = []
        for name, value in faults.items():
            setattr(self, name, value)

    def step(self, slots, actions):
        self.stepped.append(slots)
        return super().step(slots, actions)


class Given:
    """The episodes of `SEEDS`, one after the other, with one and the same action."""

    def __init__(self, simulator, action=0.5, cut_at=None):
        self.simulator, self.action, self.cut_at, self.begun, self.asked = simulator, action, cut_at, 0, 0

    def begin(self, free, play):
        self.asked += 1
        names = np.arange(self.begun, min(self.begun + len(free), len(SEEDS)))
        if not len(names):
            return None
        self.begun += len(names)
        seeds = np.array([SEEDS[name] for name in names])
        cut_at = None if self.cut_at is None else np.array([self.cut_at[name] for name in names])
        return Begun(names, self.simulator.reset(free[: len(names)], seeds), cut_at=cut_at)

    def actions(self, parameters, play):
        return np.full((len(play.slots), 1), self.action, np.float32)

    def called(self, row, play):
        return f"episode {play.names[row]}, age {play.ages[row]}"


def zeros(obs):
    return np.zeros((len(obs), 2), np.float32)


def loop(simulator, parameters=zeros, interrupt=lambda: False, checks=True, **given):
    return Play(simulator, parameters, Given(simulator, **given), interrupt, checks, scaled=False)


def a_policy() -> Policy:
    config = PolicyConfig(hidden=(), normalize_observations=False)
    spaces = ScriptedSimulator.observation_space, ScriptedSimulator.action_space
    return make_policy(*spaces, config, np.random.default_rng(0))


@pytest.mark.parametrize("width", [1, 2, 3, 7, 12])
def test_every_episode_is_played_once_from_its_start_to_its_end(width: int) -> None:
    play, seen, rewards = loop(Recorded(width)), defaultdict(list), defaultdict(list)
    while play.fill():
        assert (np.diff(play.slots) > 0).all(), "in the order of slots"
        np.testing.assert_array_equal(play.obs[:, 1], play.ages)
        for name, obs in zip(play.names.tolist(), play.obs.copy(), strict=True):
            seen[name].append(obs[0])
        done = play.step()
        for name, reward in zip(play.names.tolist(), done.result.reward, strict=True):
            rewards[name].append(reward)
        for row in done.over:
            assert play.ages[row] == LENGTHS[play.names[row]]
            # the true next state, not the start of another episode
            np.testing.assert_array_equal(play.obs[row], [SEEDS[play.names[row]], play.ages[row]])
    assert seen == {name: [seed] * (3 + seed % 7) for name, seed in enumerate(SEEDS)}
    assert rewards == {name: [seed % 10 + t for t in range(3 + seed % 7)] for name, seed in enumerate(SEEDS)}
    assert play.sim_steps == sum(LENGTHS)


def test_slots_that_come_free_are_filled_in_order_and_all_slots_are_stepped_as_one() -> None:
    simulator = Recorded(3)
    play, playing = loop(simulator), []
    while play.fill():
        playing.append(dict(zip(play.slots.tolist(), play.names.tolist(), strict=True)))
        fresh = [playing[-1][slot] for slot in play.slots[play.fresh].tolist()]
        assert fresh == [name for name in playing[-1].values() if all(name not in old.values() for old in playing[:-1])]
        play.step()
    assert playing[0] == {0: 0, 1: 1, 2: 2}
    assert playing[7] == {0: 3, 1: 1, 2: 2}, "episode 0 lasts seven steps"
    assert playing[8] == {0: 3, 1: 4, 2: 2}, "episode 1 lasts eight"
    for slots, names in zip(simulator.stepped, playing, strict=True):
        assert slots is None if len(names) == 3 else slots.tolist() == list(names)


def test_episodes_begin_only_when_a_slot_came_free() -> None:
    simulator = Recorded(7)
    play = loop(simulator)
    while play.fill():
        play.step()
    assert play._starter.asked == 1 + len(set(LENGTHS))
    assert not play.fill(), "it stays over"


def test_episodes_are_cut_at_the_age_that_they_began_with() -> None:
    cut_at, lengths = [2, 0, 4, 99, 1, 3, 9], {}
    play = loop(Recorded(3), cut_at=cut_at)
    while play.fill():
        done = play.step()
        lengths |= {int(play.names[row]): int(play.ages[row]) for row in done.over}
    expected = {name: min(cut or 99, length) for name, (cut, length) in enumerate(zip(cut_at, LENGTHS, strict=True))}
    assert lengths == expected


def test_episodes_under_way_go_on_at_their_age() -> None:
    simulator = Recorded(2)
    obs = simulator.reset(None, np.array([11, 13]))

    class GoingOn(Given):
        def begin(self, free, play):
            return Begun(free, obs, np.array([5, 2]), np.array([0, 6])) if not play.clock else None

    play = Play(simulator, zeros, GoingOn(simulator), scaled=False)
    ages = []
    while play.fill():
        ages.append(dict(zip(play.names.tolist(), play.ages.tolist(), strict=True)))
        play.step()
    assert [age[0] for age in ages if 0 in age] == list(range(5, 5 + 7)), "the script says when it ends"
    assert [age[1] for age in ages if 1 in age] == [2, 3, 4, 5], "it was to be cut at 6"


@pytest.mark.reliability("R17")
def test_actions_are_clipped_for_the_simulator_alone() -> None:
    simulator = Recorded(2)
    play = loop(simulator, action=1.7)
    play.fill()
    done = play.step()
    assert (simulator.actions[0] == 1).all() and (done.actions == np.float32(1.7)).all()
    assert play.bounds.count_outside(done.actions) == 2


def test_whole_numbers_are_not_clipped() -> None:
    from gymnasium.spaces import Box, Discrete

    for space in (Discrete(3), Box(-np.inf, np.inf, (2,), np.float32)):
        bounds, actions = ActionBounds.of(space, True), np.array([-7, 9])
        assert bounds.clip(actions) is actions and bounds.count_outside(actions) == 0


@pytest.mark.reliability("R10")
@pytest.mark.parametrize(("field", "named"), [("reward", "reward"), ("obs", "observation")])
def test_what_is_not_finite_is_named_as_its_starter_calls_it(field: str, named: str) -> None:
    """Slot 1 plays episodes 1 (eight steps) and 4 (nine): its eleventh step is the third of episode 4."""
    play = loop(Recorded(2, poison={(1, 10): field}), action=0.0)
    with pytest.raises(NonFinite, match=rf"^episode \d, age \d: non-finite {named}( \(or one beyond .*)?$") as told:
        while play.fill():
            names, ages = dict(zip(play.slots, play.names, strict=True)), dict(zip(play.slots, play.ages, strict=True))
            play.step()
    assert str(told.value).startswith(f"episode {names[1]}, age {ages[1]}:")
    assert told.value.sim_steps == play.sim_steps == 2 * 11


@pytest.mark.reliability("R10")
@pytest.mark.parametrize("cause", ["observation", "policy output", "action"])
def test_an_action_that_is_not_finite_is_refused_before_the_step_and_its_cause_named(cause: str) -> None:
    def parameters(obs):
        u = zeros(obs)
        u[1] = np.nan if cause == "policy output" or not np.isfinite(obs[1]).all() else 0
        return u

    simulator = Recorded(3, poison={(1, 1): "obs"} if cause == "observation" else {})
    play = loop(simulator, parameters, checks=False)
    play._starter.actions = lambda u, play: u[:, :1] + (np.inf if cause == "action" and play.clock == 2 else 0)
    with pytest.raises(NonFinite, match=f"non-finite {cause}$") as told:
        while play.fill():
            play.step()
    steps = {"observation": 2, "policy output": 0, "action": 2}[cause]
    assert len(simulator.actions) == steps and told.value.sim_steps == 3 * steps
    assert str(told.value).startswith(f"episode {0 if cause == 'action' else 1}, age {steps}")


def test_without_checks_nobody_looks_at_rewards() -> None:
    play = loop(Recorded(2, poison={(1, 1): "reward"}), checks=False)
    while play.fill():
        play.step()
    assert play.sim_steps == sum(LENGTHS)


def test_the_first_fault_of_a_log_is_that_of_a_look_at_each_step() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        rewards, obs = np.zeros((4, 3)), np.zeros((5, 3, 2))
        unstable = rng.random((4, 3)) < 0.2
        rewards[rng.random((4, 3)) < 0.05] = np.nan
        obs[rng.random((5, 3, 2)) < 0.02] = np.inf
        expected = [(0, row, "observation") for row in range(3) if not np.isfinite(obs[0, row]).all()][:1]
        for step in range(4):
            sound = [row for row in range(3) if not unstable[step, row]]
            expected += [(step, row, "reward") for row in sound if not np.isfinite(rewards[step, row])]
            expected += [(step, row, "observation") for row in sound if not np.isfinite(obs[step + 1, row]).all()]
        assert first_fault(rewards, obs, unstable) in (expected or [None]), (rewards, obs)
        if expected and np.isfinite(obs[0]).all():
            assert first_fault(rewards, obs, unstable) == expected[0]
            found = (first_fault(rewards[k, None], obs[k + 1, None], unstable[k, None]) for k in range(4))
            step, found = next((k, fault) for k, fault in enumerate(found) if fault is not None)
            assert (step, *found[1:]) == expected[0]


@pytest.mark.reliability("R16")
def test_physics_that_blew_up_ends_the_episode_in_the_state_before() -> None:
    """Its numbers mean nothing: not even what is not finite among them counts."""
    simulator = Recorded(2, blow_up={(1, 2)}, poison={(1, 2): "obs"})
    play, ended = loop(simulator), {}
    while play.fill():
        done = play.step()
        for row in done.over.tolist():
            ended[int(play.names[row])] = bool(done.result.unstable[row]), play.obs[row].tolist()
    assert ended[1] == (True, [12.0, 2.0])
    assert [unstable for unstable, _ in ended.values()].count(True) == 1 and len(ended) == len(SEEDS)


def test_an_interrupt_is_obeyed_before_a_step() -> None:
    simulator, asked = Recorded(2), iter([False, False, True])
    play = loop(simulator, interrupt=lambda: next(asked))
    with pytest.raises(Interrupted):
        while play.fill():
            play.step()
    assert len(simulator.actions) == 2 and play.sim_steps == 4


@pytest.mark.parametrize("width", [1, 3, 8])
def test_fresh_episodes_have_streams_of_their_own(width: int) -> None:
    """Block 1 of 2 plays the odd ones of nine, with the same starts and noise whatever the slots."""
    policy, draw, taken = a_policy(), Draw(Streams(3), 2), defaultdict(list)
    simulator = ScriptedSimulator(width)
    starter = FreshEpisodes(simulator, policy.distribution, draw, Quota(blocks=2, episodes=9), 1, 4)
    play = Play(simulator, zeros, starter, scaled=False)
    while play.fill():
        done = play.step()
        for name, action in zip(play.names.tolist(), done.actions, strict=True):
            taken[name].append(action)
    assert sorted(taken) == [1, 3, 5, 7]
    assert [seed for _, seed in simulator.resets] == [
        int(Streams(3).seeds(1, 2, Purpose.RESET, name)[0]) for name in taken
    ]
    for name, actions in taken.items():
        noise = policy.distribution.noise(Streams(3).generator(2, Purpose.ACTION, name), (64,))[: len(actions)]
        np.testing.assert_array_equal(actions, policy.distribution.sample_from(zeros(actions), noise))
        assert len(actions) in (3, 4)


def branches(simulator, first=0.0, gamma=0.5, horizon=4, **given):
    """Two branches from each of three saved states: the first, second and third step of three episodes."""
    other = ScriptedSimulator(3)
    other.reset(None, np.array([14, 27, 13]))
    snapshot = other.snapshot(None)
    snapshot.parts["t"][:] = [0, 1, 2]
    state = np.repeat(np.arange(3), 2)
    plan = BranchPlan(snapshot, state, state, np.full((6, 1), first, np.float32), state, np.ones(6, bool))
    streams = Streams(0)
    rolled = run_branches(
        simulator, plan, policy=a_policy(), streams=streams, iteration=1, horizon=horizon, gamma=gamma, **given
    )
    return rolled, draw_noise(a_policy(), streams, horizon, 1, np.arange(3))


@pytest.mark.parametrize("width", [1, 2, 4, 6, 9])
def test_branches_go_on_from_their_saved_states(width: int) -> None:
    """Seeds 14, 27 and 13 last 3, 9 and 9 steps and pay 4, 7 and 3 more than the step's number."""
    rolled, _ = branches(ScriptedSimulator(width))
    assert rolled.lengths.tolist() == [3, 3, 4, 4, 4, 4]
    sums = [4 + 5 / 2 + 6 / 4, 8 + 9 / 2 + 10 / 4 + 11 / 8, 5 + 6 / 2 + 7 / 4 + 8 / 8]
    np.testing.assert_array_equal(rolled.returns, np.repeat(sums, 2))
    np.testing.assert_array_equal(rolled.last_obs, np.repeat([[14, 3], [27, 5], [13, 6]], 2, axis=0))
    assert rolled.sim_steps == 22 and not rolled.terminated.any() and not rolled.unstable.any()
    branch, age, obs = (np.concatenate(column) for column in zip(*rolled.traces, strict=True))
    assert len(branch) == 22 + 6 and (obs[:, 1] == age + np.array([0, 1, 2])[branch // 2]).all()


def test_the_first_action_of_a_branch_is_given_and_the_policy_takes_the_others() -> None:
    simulator = ScriptedSimulator(6)
    _, (noise, _) = branches(simulator, first=5.0, horizon=3)
    assert (simulator.actions[0] == 1).all(), "clipped"
    u = a_policy().actor(6).parameters(np.repeat([[14, 1], [27, 2], [13, 3]], 2, axis=0).astype(np.float32))
    expected = a_policy().distribution.sample_from(u, np.repeat(noise[:, 1], 2, axis=0))
    np.testing.assert_array_equal(simulator.actions[1], np.clip(expected, -1, 1))


@pytest.mark.reliability("R10")
def test_a_branch_is_named_by_its_state() -> None:
    simulator = Recorded(2, poison={(0, 4): "reward"})  # the second branch of slot 0
    with pytest.raises(NonFinite, match=r"^branch of state 1, step 1: non-finite reward \(or one beyond ±1e\+30\)$"):
        branches(simulator)
