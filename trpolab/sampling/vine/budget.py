"""What a vine costs, and why one can't run, computed before anything is simulated."""

from __future__ import annotations

import math

from gymnasium import Space, spaces

from trpolab.sampling.config import Vine
from trpolab.simulators.base import Task

CANDIDATES = 4  # visited states that are saved for each that is rolled out, where advantages choose
MOST_ACTIONS = 4096  # joint actions that a proposal enumerates
BRANCHES_PER_REPLAY = 250  # where tests do not hold the task to restore exactly


def joint_actions(space: Space) -> int | None:
    """How many actions there are: all combinations of factored ones; None where they are continuous."""
    if isinstance(space, spaces.Discrete):
        return int(space.n)
    if isinstance(space, spaces.MultiDiscrete):
        return math.prod(int(n) for n in space.nvec)
    return None


def enumerates(vine: Vine, count: int | None) -> bool:
    """Whether every action is rolled out once in each state (Eq. 15), by request or because K reaches them all."""
    return vine.proposal == "all" or (vine.proposal == "uniform" and count is not None and vine.actions >= count)


def branches_per_state(vine: Vine, space: Space) -> int:
    """K: the number of all actions where the proposal enumerates them, else `vine.actions`."""
    count = joint_actions(space)
    return count if enumerates(vine, count) and count is not None else vine.actions


def vine_cost(vine: Vine, task: Task) -> int:
    """The most simulator steps that one iteration can take: trunks, branches and replays. Early ends make it less.

    It can only take more where a generator of the whole process is drawn from: then more is replayed.
    """
    branches = (vine.states + len(vine.pilots)) * branches_per_state(vine, task.action_space)
    return vine.trunks * vine.trunk_length + (branches + replays(branches, task)) * longest_branch(vine, task)


def replays(branches: int, task: Task) -> int:
    """How many pieces of trunks are replayed beside so many branches, to see that the task repeats itself."""
    return 0 if task.proven else -(-branches // BRANCHES_PER_REPLAY)


def longest_branch(vine: Vine, task: Task) -> int:
    """H: `vine.rollout_length`, at most the task's own time limit."""
    return min(vine.rollout_length, task.time_limit or vine.rollout_length)


def vine_problems(vine: Vine, task: Task) -> list[str]:
    """Why this vine can't run on the task, each reason a sentence that quotes the values."""
    problems = []
    visited = vine.trunks * vine.trunk_length
    if vine.states > visited:
        problems.append(
            f"vine.states = {vine.states}: {vine.trunks} trunks of {vine.trunk_length} steps visit {visited} states"
        )
    count = joint_actions(task.action_space)
    discrete_only = {"uniform": "draws from a finite set of actions", "all": "rolls out every action"}
    if count is None and vine.proposal in discrete_only:
        why = discrete_only[vine.proposal]
        problems.append(
            f"proposal = {vine.proposal!r} {why}, but {task.name} has continuous actions: use 'policy' or 'widened'"
        )
        return problems
    if vine.proposal == "all" and count is not None and count > MOST_ACTIONS:
        problems.append(
            f"proposal = 'all': {task.name} has {count} joint actions, over {MOST_ACTIONS}: use 'uniform' or 'policy'"
        )
    if not enumerates(vine, count) and vine.estimator == "self-normalized" and vine.actions == 1:
        problems.append(
            "vine.actions = 1: the self-normalised estimator (Eq. 16) has zero gradient with one action per state; "
            "give at least 2, or vine.estimator = 'importance'"
        )
    if vine.paired and (vine.actions < 4 or vine.actions % 2):
        problems.append(f"vine.actions = {vine.actions}: antithetic first actions need two pairs or more: 4, 6, ...")
    if vine.learn_from != "first" and branches_per_state(vine, task.action_space) == 1:
        problems.append(
            f"vine.actions = 1: vine.learn_from = {vine.learn_from!r} compares the actions of a state; give at least 2"
        )
    if vine.learn_from != "first" and not vine.tail_value:
        problems.append(
            f"vine.learn_from = {vine.learn_from!r}: GAE needs the value function of vine.tail_value = true"
        )
    if vine.choose == "advantage" and not vine.tail_value:
        problems.append("vine.choose = 'advantage': it needs the value function of vine.tail_value = true")
    if vine.adaptive_length and branches_per_state(vine, task.action_space) == 1:
        problems.append("vine.actions = 1: vine.adaptive_length compares the actions of a state; give at least 2")
    return problems


def states_kept(vine: Vine, task: Task) -> tuple[int, str]:
    """How many pictures an iteration keeps on tasks seen as pixels, and the settings that ask for them.

    Of branches only the states that they start from are kept, each a whole stack, unless all steps are samples or tell
    how long branches are to be.
    """
    stack = (task.observation_space.shape or (1,))[0] if task.sees_pixels else 1
    named = f"vine.trunks = {vine.trunks:,}, vine.trunk_length = {vine.trunk_length:,}, vine.states = {vine.states:,}"
    choices = min(CANDIDATES * vine.states, vine.trunks * vine.trunk_length) if vine.choose == "advantage" else 0
    kept = vine.trunks * vine.trunk_length + max(vine.states, choices) * stack
    k, whole = branches_per_state(vine, task.action_space), stack + longest_branch(vine, task)
    kept += 2 * len(vine.pilots) * k * whole
    if vine.learn_from == "first":
        return kept, named
    kept += vine.states * k * (whole if vine.learn_from == "all" else stack)  # a first state, a whole stack, for each
    return kept, f"{named}, vine.learn_from = {vine.learn_from}"
