"""Whether copies of a Gymnasium environment repeat its future, and seeds its episodes, found by a trial."""

from __future__ import annotations

import copy
import sys
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from trpolab.simulators.base import AnswerError, UnknownTask
from trpolab.simulators.gym_adapter.answers import Observe, of_reset, of_step, refuse_old_reset
from trpolab.simulators.gym_adapter.environments import layers, parts
from trpolab.simulators.gym_adapter.spaces import Encoding

# Packages whose objects keep their state in C: a copy in Python does not carry it.
_NATIVE = ("mujoco", "ale_py", "Box2D")
_DEPTHS = (3, 8, 20, 45, 80)  # steps after which the environment is copied,
_REPLAY = 12  # steps that each copy must repeat,
_ASTRAY = 4  # steps that a copy of the copy is sent elsewhere before,
_APART = 2  # and copies at least whose future must not be that of the start
_LOOK = 5  # steps that an environment is asked without its wrappers, where these fail

Step = tuple[bytes, float, bool, bool]  # observation (as bytes, so that NaN equals itself), reward, ends


class Findings(NamedTuple):
    """What was found out about an environment by stepping it; "" where nothing speaks against it."""

    copies: str  # why a copy cannot stand for its future
    seeds: str  # why seeds and actions do not decide its episodes


def try_out(env: gymnasium.Env, other: gymnasium.Env, encoding: Encoding) -> Findings:
    """Step an environment with random actions, copy it at several depths, and compare with what came.

    Each copy must give the same observations, rewards and ends as the original, also after another copy went elsewhere.
    A copy whose future is that of a fresh environment proves nothing. No step may touch a generator that the whole
    process shares. Raises AnswerError for answers that are none, and UnknownTask where steps of the `other` environment
    change what this one does.
    """
    refuse_old_reset(env)
    walk, problem = _Walk(env, encoding), _refusal(env)
    try:
        for step, action in enumerate(walk.actions):
            walk.begin()
            if step in _DEPTHS and not problem:
                problem = walk.save(step)
            touched = walk.go(action)
            if touched and not problem:
                problem = f"{walk.name} touches the global generator of {touched}, which a copy does not hold"
            problem = problem or walk.compare(step + 1 - _REPLAY)
        found = Findings(problem or walk.problem_of_copies(), walk.problem_of_seeds())
        if not found.seeds:
            walk.refuse_company(other)
        return found
    except (AnswerError, UnknownTask):
        raise
    except (Exception, SystemExit) as failure:  # noqa: BLE001  training will show it in full
        _ask_inside(env)
        return Findings(problem or f"{walk.name} failed when it was tried out {_words(failure)}", "")


class _Walk:
    """An environment on its way through one episode after another, and copies of it."""

    def __init__(self, env: gymnasium.Env, encoding: Encoding):
        self.name = type(env.unwrapped).__name__
        self._env, self._encoding = env, encoding
        encoding.action_space.seed(0)
        drawn = [encoding.act(encoding.action_space.sample()) for _ in range(_DEPTHS[-1] + _REPLAY + _ASTRAY)]
        self.actions, self._others = drawn[:-_ASTRAY], drawn[-_ASTRAY:]
        self._made: list[Step] = []
        self._saved: dict[int, gymnasium.Env] = {}
        self._episodes = 0

    def begin(self) -> None:
        """A new episode, where one ended."""
        if not self._made or _ended(self._made[-1]):
            self._episodes += 1
            of_reset(self._env.reset(seed=self._episodes), self._encoding.observe, self._env)

    def go(self, action: Any) -> str:
        """One step; returns the module whose global generator it touched, or ""."""
        before = global_generators()
        self._made += _trace(self._env, self._encoding, [action])
        return touched_since(before)

    def save(self, step: int) -> str:
        """Keep a copy, and send a copy of that elsewhere; returns why it can't be copied, or ""."""
        try:
            self._saved[step] = copy.deepcopy(self._env)
            _trace(copy.deepcopy(self._saved[step]), self._encoding, self._others)
        except Exception as failure:  # noqa: BLE001  a foreign environment's copy may fail in any way
            return f"{self.name} cannot be copied {_words(failure)}"
        return ""

    def compare(self, step: int) -> str:
        """Use up the copy that was kept after so many steps, if one was; returns why it is not what went on."""
        if step not in self._saved:
            return ""
        try:
            found = _trace(self._saved.pop(step), self._encoding, self.actions[step : step + _REPLAY])
        except Exception as failure:  # noqa: BLE001  as above
            return f"{self.name} cannot be copied {_words(failure)}"
        why = "part of its state or noise lives elsewhere"
        same = found == self._future(step)
        return "" if same else f"a deep copy of {self.name} does not repeat its future: {why}"

    def problem_of_copies(self) -> str:
        """Why equal copies prove nothing, or ""."""
        if sealed := [key for layer in layers(self._env) for key, value in vars(layer).items() if _is_sealed(value)]:
            return f"{self.name} draws noise from {sealed[0]}, which only a numpy.random.Generator could draw anew"
        if sum(not self._comes_from_start(step) for step in _DEPTHS) < _APART:
            return f"in {len(self._made)} steps {self.name} did nothing that tells a copy of it from a new environment"
        return ""

    def problem_of_seeds(self) -> str:
        """Why the first episode does not come again from its seed and actions, or ""."""
        if self._comes_from_start(0):
            return ""
        return (
            f"{self.name} does not repeat an episode from its seed and actions: it carries something from one episode "
            "to the next, or its noise is not decided by the seed"
        )

    def refuse_company(self, other: gymnasium.Env) -> None:
        """Raise UnknownTask if the first episode takes another course when the other environment is stepped in turn.

        What they draw from a generator of the whole process they may share.
        """
        before = global_generators()
        disturbed = [not self._comes_from_start(0, beside) for beside in (other, None, other)]
        if disturbed == [True, False, True] and not touched_since(before):
            raise UnknownTask(
                f"a step of one {self.name} changes what another one does: they share something outside of them, such "
                "as an attribute of their class, a variable of their module or an object that both are given; each "
                "must have its own, made in its constructor"
            )

    def _future(self, step: int) -> list[Step]:
        """What came after so many steps, up to the end of the episode."""
        found = self._made[step : step + _REPLAY]
        return found[: next((n for n, made in enumerate(found, 1) if _ended(made)), None)]

    def _comes_from_start(self, step: int, beside: gymnasium.Env | None = None) -> bool:
        """Whether the same actions in the first episode's start lead to the same future, `beside` another's steps."""
        self._env.reset(seed=1)
        over = True
        for action, made in zip(self.actions[step:], self._future(step), strict=False):
            if beside is not None:
                if over:
                    beside.reset(seed=2)
                over = _ended(_trace(beside, self._encoding, [action])[-1])
            if _trace(self._env, self._encoding, [action]) != [made]:
                return False
        return True


def _ask_inside(env: gymnasium.Env) -> None:
    """A reset and some steps without wrappers, which may have failed on what came from inside. Raises AnswerError."""
    inside = env.unwrapped
    if inside is env:
        return
    observe: Observe = lambda obs: np.zeros(0)  # noqa: E731
    try:
        actions = copy.deepcopy(inside.action_space)
        actions.seed(0)
        of_reset(inside.reset(seed=1), observe, env)
        for _ in range(_LOOK):
            if any(of_step(inside.step(actions.sample()), observe, env)[2:]):
                break
    except AnswerError:
        raise
    except (Exception, SystemExit):  # noqa: BLE001  training will show it
        return


def native_part(env: gymnasium.Env) -> str:
    """An attribute of the environment, or of a wrapper, that belongs to a native package; or ""."""
    for layer in layers(env):
        for name, value in vars(layer).items():
            if type(value).__module__.split(".")[0] in _NATIVE:
                return f"{name} ({type(value).__module__}.{type(value).__qualname__})"
    return ""


def global_generators() -> dict[str, Any]:
    """The states of the random generators that the whole process shares, by module: to be compared, never used."""
    states: dict[str, Any] = {"random": sys.modules["random"].getstate()} if "random" in sys.modules else {}
    inner = sys.modules["numpy.random"].get_state(legacy=False)
    states["numpy.random"] = [np.asarray(part).tobytes() for part in (*inner["state"].values(), inner["has_gauss"])]
    if "torch" in sys.modules:
        states["torch"] = sys.modules["torch"].get_rng_state().numpy().tobytes()
    return states


def touched_since(before: dict[str, Any]) -> str:
    """The modules whose global generators are no longer as they were, in words; or ""."""
    after = global_generators()
    return " and ".join(name for name, state in before.items() if state != after[name])


def draw_anew(env: gymnasium.Env, seed: int) -> None:
    """Start every generator of the environment and its wrappers afresh: Gymnasium's own, and those in attributes."""
    env.np_random = np.random.default_rng(seed)
    own = [
        (layer, name)
        for layer in layers(env)
        for name, value in vars(layer).items()
        if isinstance(value, np.random.Generator) and name != "_np_random"
    ]
    for (layer, name), child in zip(own, np.random.SeedSequence(seed).spawn(len(own)), strict=True):
        setattr(layer, name, np.random.default_rng(child))


def _refusal(env: gymnasium.Env) -> str:
    """Why copies are not even tried, or ""."""
    name = type(env.unwrapped).__name__
    if native := native_part(env):
        return f"{name} holds {native}, whose state a copy in Python does not carry"
    for part in parts(env):
        if _is_built_anew(type(part)):
            return (
                f"a copy of {type(part).__name__} is a new one, which EzPickle builds from the constructor's "
                "arguments; with a __deepcopy__, or a __getstate__ and __setstate__, of its own it can be copied"
            )
    return ""


def _is_built_anew(kind: type) -> bool:
    """Whether copies of a class are made by EzPickle, Gymnasium's or another package's, and nothing else."""
    if hasattr(kind, "__deepcopy__") or (kind.__reduce__, kind.__reduce_ex__) != (
        object.__reduce__,
        object.__reduce_ex__,
    ):
        return False
    return getattr(getattr(kind, "__getstate__", None), "__qualname__", "") == "EzPickle.__getstate__"


def _is_sealed(value: Any) -> bool:
    """Whether it is a random generator of the older kinds, `RandomState` or `random.Random`."""
    return isinstance(value, np.random.RandomState) or type(value).__module__ == "random"


def _trace(env: gymnasium.Env, encoding: Encoding, actions: list[Any]) -> list[Step]:
    """Observations, rewards and ends, up to the end of the episode."""
    trace: list[Step] = []
    for action in actions:
        answer = env.step(copy.copy(action))  # which an environment may write to
        obs, reward, terminated, truncated = of_step(answer, encoding.observe, env)
        trace.append((obs.tobytes(), reward, terminated, truncated))
        if _ended(trace[-1]):
            break
    return trace


def _ended(step: Step) -> bool:
    return step[2] or step[3]


def _words(failure: BaseException) -> str:
    return f"({type(failure).__name__}: {' '.join(str(failure).split())})"
