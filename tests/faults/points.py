"""Where faults are planted, and what is planted there: code that moves is followed here and nowhere else.

`PLACES` names the attributes that tests replace. `FAULTS` says what stands there instead: a function that is handed
what stood there before. `plant(fault, monkeypatch)` plants one of them; `replace(place, make, monkeypatch)` is for a
fault that a test makes itself.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import os
import pkgutil
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import mujoco
import numpy as np
import pytest
import torch

Make = Callable[[Any], Any]  # what stood there -> what stands there instead

PLACES = {
    # numbers
    "policies: KL": "trpolab.policies:DiagonalGaussian.kl",
    "policies: KL of choices": "trpolab.policies:Categorical.kl",
    "policies: bounds of log σ": "trpolab.policies:DiagonalGaussian.bounded",
    "policies: clamped log σ": "trpolab.policies:DiagonalGaussian.clamped",
    "policies: slope of the KL": "trpolab.policies:DiagonalGaussian.kl_slope",
    "value fit: step": "trpolab.policies.value_fit:lm_step",
    "value fit: error": "trpolab.policies.value_fit:_half_mean_square",
    "single path: discounts of states": "trpolab.sampling.single_path:np.power",
    "single path: sums of rewards": "trpolab.sampling.single_path:discounted_sums",
    "single path: standardised advantages": "trpolab.sampling.single_path:standardized",
    "single path: rollout": "trpolab.sampling.single_path:advance",
    "single path: advantages": "trpolab.sampling.returns:generalized_advantage",
    "play: bad actions": "trpolab.sampling.play:first_bad_action",
    "play: faults of a step": "trpolab.sampling.play:first_fault",
    "play: faults of a log": "trpolab.sampling.trajectories:first_fault",
    "play: clipping": "trpolab.sampling.play:ActionBounds.clip",
    "play: counting of clipped actions": "trpolab.sampling.play:ActionBounds.count_outside",
    "vine: noise of branches": "trpolab.sampling.vine.branches:draw_noise",
    "vine: first actions": "trpolab.sampling.vine.sampler:draw_first_actions",
    "vine's checks: first actions": "tests.sampling.vine.checks:draw_first_actions",
    "streams: generator": "trpolab.sampling.streams:Streams.generator",
    # updates
    "update: slope of the surrogate": "trpolab.updates.problem:surrogate_slope",
    "update: Fisher product": "trpolab.updates.problem:gauss_newton_product",
    "update: largest KL": "trpolab.updates.problem:Problem.max_kl",
    "update: largest curvature": "trpolab.updates.problem:Problem.largest_curvature",
    "update: weights of the scores": "trpolab.updates.fisher:log_weights",
    "TRPO: conjugate gradient": "trpolab.updates.gradient_step:conjugate_gradient",
    "TRPO: natural direction": "trpolab.updates.methods.trpo:solve",
    "update: check of the batch": "trpolab.updates.gradient_step:unusable",
    "TRPO: step length": "trpolab.updates.gradient_step:step_length",
    "line search: accepted": "trpolab.numerics:LineSearchResult.accepted",
    "TRPO: line search": "trpolab.updates.gradient_step:backtrack",
    "KL penalty: band": "trpolab.updates.methods.kl_penalty:BAND",
    "RWR: weights": "trpolab.updates.methods.rwr:regression_weights",
    "CEM: ranking": "trpolab.updates.methods.cem:ranked",
    "CEM: entry": "trpolab.updates.method:METHODS._entries[cem]",
    "REPS: weights": "trpolab.updates.methods.reps:_weights_and_kl",
    # theory
    "theory: evaluation in the surrogate": "trpolab.theory.surrogate:evaluate",
    "theory: local model": "trpolab.theory:local_model",
    "theory: epsilon": "trpolab.theory.values:Values.epsilon",
    "theory: defaults of the coupling": "trpolab.theory.coupling:coupling_argument.__defaults__",
    "theory: KL of the step": "trpolab.theory.trust_region:mean_kl",
    "theory: penalty": "trpolab.theory.trust_region:penalty_constant",
    "theory: tilted policy": "trpolab.theory.tilting:Curves.at",
    # simulators
    "MuJoCo: restore": "trpolab.simulators.mujoco.mujoco_simulator:MujocoSimulator.restore",
    "MuJoCo: step": "trpolab.simulators.mujoco.mujoco_simulator:MujocoSimulator.step",
    "MuJoCo: blame for resets": "trpolab.simulators.mujoco.mujoco_simulator:MujocoSimulator._blame",
    "MuJoCo: comparison of times": "numpy:less",
    "MuJoCo: log file": "trpolab.simulators.mujoco.model:silence_log_file",
    "MuJoCo: shapes of actions": "trpolab.simulators.mujoco.mujoco_simulator:refuse_misfit",
    "cart-pole: shapes of actions": "trpolab.simulators.cartpole:refuse_misfit",
    "cart-pole: restore": "trpolab.simulators.cartpole:CartPoleSimulator.restore",
    "finite: restore": "trpolab.simulators.finite_simulator:FiniteSimulator.restore",
    "adapter: name of the slot": "trpolab.simulators.gym_adapter.adapter:_name_slot",
    "Atari: description": "trpolab.simulators.atari.games:describe",
    "Atari: description in the simulator": "trpolab.simulators.atari.atari_simulator:describe",
    "Atari: demand for restores": "trpolab.simulators.atari.atari_simulator:AtariSimulator._demand_restore",
    "Atari: emulator": "trpolab.simulators.atari.atari_simulator:open_emulator",
    # worker processes
    "workers: replacement": "trpolab.sampling.workers.processes:ProcessPool._replace",
    "workers: ready": "trpolab.sampling.workers.processes:ProcessPool._ready",
    "workers: grace": "trpolab.sampling.workers.processes:GRACE",
    "workers: end": "trpolab.sampling.workers.processes:_Worker.end",
    # settings and the loop
    "settings: combinations": "trpolab.training.config:combination_problems",
    "settings: entry of single paths": "trpolab.sampling.sampler:SAMPLERS._entries[single-path]",
    "settings: resolved": "trpolab.training.session:resolve",
    "controls: replace": "trpolab.training.controls:Controls.replace",
    "controls: stop": "trpolab.training.controls:Controls.stop",
    "samplers: restore": "trpolab.training.samplers:Samplers.restore",
    "loop: heed": "trpolab.training.loop:_raise_if_given_up",
    "loop: learn once": "trpolab.training.loop:_learn_once",
    "loop: iterations in a row": "trpolab.training.loop:MOST_NONFINITE",
    "loop: status of the value fit": "trpolab.training.loop:FitStatus",
    "loop: value fit": "trpolab.training.loop:fit_value",
    "loop: an untrained value function": "trpolab.training.loop:make_value",
    # what is kept
    "checkpoint: write": "trpolab.training.checkpoint:write",
    "checkpoint: verify": "trpolab.training.checkpoint:_verify",
    "checkpoint: value function": "trpolab.training.checkpoint:_value",
    "checkpoint: counters": "trpolab.training.checkpoint:deque",
    "recorder: insist": "trpolab.training.recorder:RunRecorder._insist",
    "recorder: label": "trpolab.training.recorder:label_problem",
    "session: record": "trpolab.training.session:Session._record",
    "run folder: append": "trpolab.runs.disk:LineFile.append",
    "run folder: end of lines": "trpolab.runs.disk:_end_of_lines",
    "run folder: lock": "trpolab.runs.writer:_take_lock",
    "archive: names": "trpolab.runs.archive:_entry_problem",
    "policy file: header": "trpolab.policies.serialization:_header",
    "policy file: tensors": "trpolab.policies.serialization:_check_tensors",
    "policy file: numbers": "trpolab.policies.serialization:np",
    "html: escape": "html:escape",
}


def replace(place: str, make: Make, patch: pytest.MonkeyPatch) -> None:
    """Put `make(what stands there)` at a place until the patch is undone."""
    module, _, path = PLACES[place].partition(":")
    if path.endswith("]"):  # an entry of a table
        table, _, key = path.removesuffix("]").rpartition("[")
        entries = pkgutil.resolve_name(f"{module}:{table}")
        patch.setitem(entries, key, make(entries[key]))
        return
    above, _, name = path.rpartition(".")
    owner = pkgutil.resolve_name(f"{module}:{above}" if above else module)
    patch.setattr(owner, name, make(getattr(owner, name)))


def plant(fault: str, patch: pytest.MonkeyPatch) -> None:
    """Plant one of `FAULTS` until the patch is undone."""
    for place, make in FAULTS[fault].items():
        replace(place, make, patch)


@contextlib.contextmanager
def planted(fault: str) -> Iterator[None]:
    """One of `FAULTS` for a while."""
    with pytest.MonkeyPatch.context() as patch:
        plant(fault, patch)
        yield


def instead(replacement: Any) -> Make:
    """Something that does not need what it replaces."""
    return lambda honest: replacement


def nothing(*given: Any, **named: Any) -> None:
    """In place of a check."""


def loud() -> None:
    """MuJoCo writes MUJOCO_LOG.TXT; whoever plants this silences it afterwards."""
    log = mujoco.MjLogConfig.get()
    log.logto_file = True
    mujoco.MjLogConfig.set(log)


EVERYTHING_IS_FINITE = type("np", (), {"isfinite": staticmethod(lambda array: np.ones(1, bool)), "ndarray": np.ndarray})


def forgetting(*fields: str) -> Make:
    """A restore after which these arrays are as they were before it."""

    def make(restore: Any) -> Any:
        def forgetful(self: Any, slots: Any, snapshot: Any, seeds: Any = None) -> Any:
            before = {name: getattr(self, name).copy() for name in fields}
            obs = restore(self, slots, snapshot, seeds)
            for name, array in before.items():
                getattr(self, name)[:] = array
            return obs

        return forgetful

    return make


def without_warm_start(restore: Any) -> Any:
    def forgetful(self: Any, slots: Any, snapshot: Any, seeds: Any = None) -> Any:
        obs = restore(self, slots, snapshot, seeds)
        self._batch.bind("qacc_warmstart")[self._ids(slots)] = 0
        return obs

    return forgetful


def off_by_a_billionth(restore: Any) -> Any:
    def wrong(self: Any, slots: Any, snapshot: Any, seeds: Any = None) -> Any:
        obs = restore(self, slots, snapshot, seeds)
        self._state[:] *= 1 + 1e-9
        return obs

    return wrong


def without_constraint(backtrack: Any) -> Any:
    def careless(objective: Any, constraint: Any, start: Any, full: Any, **given: Any) -> Any:
        return backtrack(objective, lambda x: 0.0, start, full, **given)

    return careless


def lenient(backtrack: Any) -> Any:
    return lambda *given, bound, **named: backtrack(*given, bound=1.5 * bound, **named)


def accepts_without_looking(backtrack: Any) -> Any:
    from trpolab.numerics import LineSearchResult, LineSearchStatus, Trial

    def leaves_it(objective: Any, constraint: Any, start: Any, full: Any, **given: Any) -> Any:
        return LineSearchResult(start + full, LineSearchStatus.ACCEPTED, (Trial(1.0, 0.0, math.inf, True),))

    return leaves_it


def rescaled_to_delta(conjugate_gradient: Any) -> Any:
    def rescaled(*given: Any, **named: Any) -> Any:
        cg = conjugate_gradient(*given, **named)
        return dataclasses.replace(cg, x=cg.x * math.sqrt(0.02 / cg.curvature) / 2.0)

    return rescaled


def negated_first(function: Any) -> Any:
    return lambda *given: (-function(*given)[0], function(*given)[1])


def normalised_visitation(evaluate: Any) -> Any:
    def normalised(mdp: Any, policy: Any) -> Any:
        found = evaluate(mdp, policy)
        return dataclasses.replace(found, visits=found.state_weights)

    return normalised


def states_of_the_new_policy(local_model: Any) -> Any:
    from trpolab.theory import surrogate, values

    def peeks(mdp: Any, old: Any, new: Any) -> float:
        ahead = surrogate.ahead_of(mdp, values.evaluate(mdp, old), new)
        return values.eta(mdp, old) + float(values.evaluate(mdp, new).visits @ ahead)

    return peeks


def epsilon_of_expected_advantages(epsilon: Any) -> Any:
    from tests.theory.twins import t1_example

    return property(lambda self: np.abs((t1_example()[2] * self.advantages).sum(1)).max())


def one_uniform_for_both(defaults: Any) -> Any:
    from trpolab.theory.coupling import shared_uniform_coupling

    return (50, shared_uniform_coupling)


def doubled_multiplier(at: Any) -> Any:
    def wrong(self: Any, log_y: Any) -> Any:
        tilt = at(self, log_y)
        return dataclasses.replace(tilt, log_multiplier=tilt.log_multiplier + np.log(2))

    return wrong


def one_noise_for_all(noise: Any) -> Any:
    def shared(policy: Any, streams: Any, length: Any, iteration: Any, names: Any) -> Any:
        return noise(policy, streams, length, iteration, np.zeros_like(names))

    return shared


def over_the_old_policy(draw_first_actions: Any) -> Any:
    """Eq. 16 as it is printed, whatever q was."""

    def draw(distribution: Any, old: Any, vine: Any, generator: Any) -> Any:
        first = draw_first_actions(distribution, old, vine, generator)
        flat = torch.from_numpy(first.actions.reshape(-1))
        u = torch.from_numpy(np.repeat(old, first.actions.shape[1], axis=0))
        return dataclasses.replace(first, log_q=distribution.log_prob(u, flat).numpy().reshape(first.log_q.shape))

    return draw


def a_generator_of_its_own(method: Any) -> Any:
    hidden = np.random.default_rng(0)

    def propose(learner: Any, settings: Any, context: Any) -> Any:
        return method.propose(learner, settings, dataclasses.replace(context, generator=hidden))

    return dataclasses.replace(method, propose=propose)


def who_asks_first(generator: Any) -> Any:
    asked = itertools.count()
    return lambda self, *key: np.random.default_rng([self.seed, next(asked)])


def the_global_generator(generator: Any) -> Any:
    return lambda self, *key: np.random.default_rng(np.random.randint(2**31))  # noqa: NPY002


def half_a_line(append: Any) -> Any:
    from trpolab.runs.disk import strict_json

    return lambda self, record: os.write(self._file, (strict_json(record) + "\n").encode())


def one_by_one(replace: Any) -> Any:
    def slowly(self: Any, **changes: Any) -> Any:
        for name, value in changes.items():
            self._requested = self._requested.replace(**{name: value})
            time.sleep(0.0005)
        return self._requested

    return slowly


def first_problem_only(resolve: Any) -> Any:
    from trpolab.settings import ConfigError

    def first_only(*given: Any, **named: Any) -> Any:
        try:
            return resolve(*given, **named)
        except ConfigError as error:
            raise ConfigError(list(error.problems[:1])) from None

    return first_only


def learns_anyway(learn_once: Any) -> Any:
    def wrong(learner: Any, *given: Any) -> Any:
        done = learn_once(learner, *given)
        return done if done.diagnostics.outcome.accepted else dataclasses.replace(done, learner=learner.replace())

    return wrong


def refuses_for_another_reason(header: Any) -> Any:
    from trpolab.policies import PolicyFileError

    def refuse(start: bytes, size: int) -> Any:
        raise PolicyFileError("no idea")

    return refuse


def exact_all_the_same(describe: Any) -> Any:
    return lambda game: dataclasses.replace(describe(game), can_restore=True)


def counting_from(losses: int) -> Make:
    """Every loss of a worker is taken for the one after so many."""
    return lambda honest: lambda self, worker, waiting, counts: honest(self, worker, waiting, [losses] * len(counts))


def hoarding(record: Any) -> Any:
    hoard = []

    def hoards(self: Any, iteration: Any, *rest: Any) -> None:
        hoard.append(bytearray(30_000) if iteration.index else None)
        record(self, iteration, *rest)

    return hoards


def times(factor: float) -> Make:
    """A product A·v that is so many times too large."""

    def make(gauss_newton_product: Any) -> Any:
        def spoiled(*given: Any) -> Any:
            product = gauss_newton_product(*given)
            return lambda v: factor * product(v)

        return spoiled

    return make


def backwards(natural_direction: Any) -> Any:
    def negated(*given: Any) -> Any:
        cg = natural_direction(*given)
        return dataclasses.replace(cg, x=-cg.x)

    return negated


def negated(function: Any) -> Any:
    return lambda *given: -function(*given)


def all_alike(regression_weights: Any) -> Any:
    def alike(*given: Any) -> Any:
        weights = regression_weights(*given)
        return torch.ones_like(weights) / len(weights)

    return alike


def write_in_place(folder: Any, *rest: Any) -> Any:
    """A checkpoint is written where it is to lie, over what is there, the oldest dropped first."""
    from trpolab.runs.disk import write_synced
    from trpolab.training import checkpoint

    parent = folder.path / "ckpt"
    target = parent / f"{rest[1].progress.iteration:06d}"
    for old in sorted(parent.iterdir()):
        shutil.rmtree(old)
    target.mkdir(exist_ok=True)
    for name, content in checkpoint._contents(folder, *rest).items():
        write_synced(target / name, content)
    return target


def never_gains(backtrack: Any) -> Any:
    def never(objective: Any, constraint: Any, start: Any, full: Any, **given: Any) -> Any:
        return backtrack(objective, lambda x: math.inf, start, full, **given)

    return never


# Run by a process before it starts workers: they do not listen for its end.
DEAF_WORKERS = """
from trpolab.sampling.workers import processes
BOOT = "from trpolab.sampling.workers import processes; processes._end_with_parent = id; "
processes.BOOT = BOOT + processes.BOOT
"""

FAULTS: dict[str, dict[str, Make]] = {
    # seen in real TRPO code
    "KL arguments swapped": {"policies: KL": lambda kl: lambda self, old, new: kl(self, new, old)},
    "a line search that ignores the KL": {"TRPO: line search": without_constraint},
    "a line search with one and a half times the bound": {"TRPO: line search": lenient},
    "a line search that gains nothing": {"TRPO: line search": never_gains},
    "a rejected candidate left in the policy": {"TRPO: line search": accepts_without_looking},
    "a direction that goes backwards": {"TRPO: natural direction": backwards},
    "advantages negated": {"update: slope of the surrogate": negated_first},
    "the sign of the KL flipped": {
        "update: Fisher product": times(-1.0),
        "policies: KL": negated,
        "policies: KL of choices": negated,
    },
    # numbers that are not finite
    "a gradient that is NaN": {
        "update: slope of the surrogate": lambda honest: lambda *given: (honest(*given)[0] * np.nan, honest(*given)[1])
    },
    "a Fisher product that is infinite": {"update: Fisher product": times(np.inf)},
    "an advantage that is NaN": {
        "single path: standardised advantages": instead(lambda q: np.where(np.arange(len(q)) == 7, np.nan, q))
    },
    "a value function's error that is infinite": {"value fit: error": instead(lambda residuals: np.inf)},
    "a value function's step that is negated": {"value fit: step": negated_first},
    "observations and rewards that nobody checks": {
        "play: bad actions": instead(nothing),
        "play: faults of a step": instead(nothing),
        "play: faults of a log": instead(nothing),
    },
    "a run that never gives up": {"loop: iterations in a row": instead(10**9)},
    "a batch that nobody checks": {"update: check of the batch": instead(nothing)},
    "a failed value fit that is passed over": {
        "loop: status of the value fit": instead(type("NoStatus", (), {"NONFINITE": None}))
    },
    # steps that go wrong
    "a step length from the size of a negative curvature": {
        "TRPO: step length": instead(lambda delta, curvature: math.sqrt(2 * delta / max(abs(curvature), 1e-8)))
    },
    "a rejected step that counts as taken": {"line search: accepted": instead(True)},
    "noise of an untrained value function taken for advantages": {
        "loop: an untrained value function": lambda honest: lambda *given: dataclasses.replace(honest(*given), fits=1)
    },
    "σ without bounds": {"policies: bounds of log σ": instead(lambda self, own: own)},
    "a clamped σ without a word": {"policies: clamped log σ": instead(lambda self, own: 0)},
    # the compared methods
    "a natural gradient rescaled to δ": {"TRPO: conjugate gradient": rescaled_to_delta},
    "a max KL that tests the mean": {
        "update: largest KL": lambda honest: lambda self, *given, **named: self.mean_kl(*given, **named),
        "update: largest curvature": instead(lambda self, v: float(v @ self.fisher()(v))),
    },
    "scores of another proposal without weights": {
        "update: weights of the scores": instead(lambda distribution, u, samples: torch.zeros_like(samples.log_q))
    },
    "scores that carry the advantages": {
        "update: weights of the scores": lambda honest: (
            lambda distribution, u, samples: honest(distribution, u, samples) + samples.q_values.abs().log1p()
        )
    },
    "a penalty whose KL slope is forgotten": {
        "policies: slope of the KL": instead(lambda self, old, new: torch.zeros_like(new)),
    },
    "an adaptive penalty that does not adapt": {"KL penalty: band": instead(1e9)},
    "a regression that counts all actions alike": {"RWR: weights": all_alike},
    "an elite of the worst": {"CEM: ranking": lambda ranked: lambda population: ranked(population)[::-1]},
    "a search with a generator of its own": {"CEM: entry": a_generator_of_its_own},
    "a dual that is not solved": {"REPS: weights": instead(lambda a, t: (np.full(len(a), 1 / len(a)), 0.0))},
    # the theory
    "a normalised visitation": {"theory: evaluation in the surrogate": normalised_visitation},
    "a local model with the states of the new policy": {"theory: local model": states_of_the_new_policy},
    "an epsilon of expected advantages": {"theory: epsilon": epsilon_of_expected_advantages},
    "one uniform for both policies": {"theory: defaults of the coupling": one_uniform_for_both},
    "KL arguments swapped in an exact step": {
        "theory: KL of the step": lambda mean_kl: lambda mdp, old, new: mean_kl(mdp, new, old)
    },
    "a penalty without the squared horizon": {"theory: penalty": instead(lambda gamma, epsilon: 0.3 * epsilon * gamma)},
    "a multiplier that is not the constraint's": {"theory: tilted policy": doubled_multiplier},
    # sampling
    "states without their discount": {"single path: discounts of states": instead(lambda gamma, t: np.ones(len(t)))},
    "returns that do not discount": {
        "single path: sums of rewards": lambda honest: lambda x, start, factor: honest(x, start, 1.0)
    },
    "cuts taken for ends": {
        "single path: advantages": lambda honest: (
            lambda rewards, values, last, terminated, *rest: honest(
                rewards, values, last, np.ones_like(terminated), *rest
            )
        )
    },
    "actions that nobody clips": {"play: clipping": instead(lambda self, actions: actions)},
    "clipping that nobody counts": {"play: counting of clipped actions": instead(lambda self, actions: 0)},
    "one noise sequence for all states": {"vine: noise of branches": one_noise_for_all},
    "Equation 16 over the old policy": {"vine: first actions": over_the_old_policy},
    "Equation 16 over the old policy, in its check": {"vine's checks: first actions": over_the_old_policy},
    "streams that depend on who asks first": {"streams: generator": who_asks_first},
    "streams from the global generator": {"streams: generator": the_global_generator},
    # simulators
    "MuJoCo restored without the warm start": {"MuJoCo: restore": without_warm_start},
    "MuJoCo restored without the step counter": {"MuJoCo: restore": forgetting("_steps")},
    "MuJoCo's resets that nobody notices": {"MuJoCo: blame for resets": instead(nothing)},
    "MuJoCo's resets that nobody looks for": {
        "MuJoCo: blame for resets": instead(nothing),
        "MuJoCo: comparison of times": instead(lambda *given, out: out),
    },
    "MuJoCo's log file in the working directory": {"MuJoCo: log file": instead(loud)},
    "MuJoCo's actions that nobody checks": {"MuJoCo: shapes of actions": instead(nothing)},
    "cart-poles' actions that nobody checks": {"cart-pole: shapes of actions": instead(nothing)},
    "cart-poles restored without the step counter": {"cart-pole: restore": forgetting("_steps")},
    "cart-poles restored off by a billionth": {"cart-pole: restore": off_by_a_billionth},
    "finite MDPs restored without the step counter": {"finite: restore": forgetting("_steps")},
    "finite MDPs restored without the noise": {"finite: restore": forgetting("_noise")},
    "an environment's error without its slot": {"adapter: name of the slot": instead(nothing)},
    "sticky games described as exact": {
        "Atari: description": exact_all_the_same,
        "Atari: description in the simulator": exact_all_the_same,
    },
    "sticky games that give snapshots": {"Atari: demand for restores": instead(lambda self: None)},
    "a vine that nobody refuses": {"settings: combinations": instead(lambda *given: [])},
    "games that go on across batches": {
        "settings: entry of single paths": lambda entry: dataclasses.replace(entry, problems=lambda *given: [])
    },
    "an emulator left as sticky as it comes": {
        "Atari: emulator": lambda honest: lambda rom, sticky, seed=0: honest(rom, 0.25, seed)
    },
    # worker processes
    "a work unit that is not run again": {"workers: replacement": counting_from(1)},
    "a work unit that is run again and again": {"workers: replacement": counting_from(0)},
    "a deadline that nobody looks at": {
        "workers: ready": lambda ready: lambda self: [worker for worker in ready(self) if worker.connection.poll()],
        "workers: grace": instead(0.5),
    },
    # the run and its folder
    "a stop that nobody heeds between phases": {"loop: heed": instead(lambda controls: None)},
    "a second stop that is like the first": {"controls: stop": instead(lambda self: setattr(self, "stopping", True))},
    "settings that are changed one by one": {"controls: replace": one_by_one},
    "one problem at a time": {"settings: resolved": first_problem_only},
    "a skipped iteration of which something stays": {"loop: learn once": learns_anyway},
    "a leak of every iteration": {"session: record": hoarding},
    "episodes that begin anew": {"samplers: restore": instead(lambda self, episodes, config: "")},
    "a value function left behind": {"checkpoint: value function": instead(nothing)},
    "counters that start anew": {"checkpoint: counters": instead(lambda items, maxlen: deque(maxlen=maxlen))},
    "a checkpoint written in place": {"checkpoint: write": instead(write_in_place)},
    "a manifest that nobody looks at": {"checkpoint: verify": instead(nothing)},
    "half a line left where it is": {"run folder: append": half_a_line},
    "lines written behind a torn one": {
        "run folder: end of lines": instead(lambda descriptor: os.fstat(descriptor).st_size)
    },
    "a full disk that ends the run": {
        "recorder: insist": instead(lambda self, write: self._folder and write(self._folder))
    },
    "no lock": {"run folder: lock": instead(lambda path: os.open(path / "lock", os.O_RDWR))},
    "labels that nobody checks": {"recorder: label": instead(lambda label: None)},
    "names in archives that nobody checks": {"archive: names": instead(lambda entry: None)},
    "headers refused for another reason": {"policy file: header": refuses_for_another_reason},
    "tensors that nobody compares with the description": {"policy file: tensors": instead(nothing)},
    "numbers of a policy file that nobody checks": {"policy file: numbers": instead(EVERYTHING_IS_FINITE)},
    "HTML that is not escaped": {"html: escape": instead(lambda text, quote=True: text)},
}
