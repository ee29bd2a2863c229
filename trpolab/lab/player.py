"""A player of rollouts: any policy of one run or two, played in the notebook without OpenGL.

import trpolab
trpolab.play("runs/20261122T101502Z-Hopper-v5-9f3a11")           # every policy that the run keeps
trpolab.play(policy, task="Hopper-v5")
trpolab.play("runs/one", "runs/another")                         # two runs side by side
"""

from __future__ import annotations

import html
import threading
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trpolab.lab.cells import claim, current_shell
from trpolab.lab.kept_policies import choices
from trpolab.lab.page import close_tree
from trpolab.lab.pictures.captions import caption
from trpolab.lab.pictures.ghosts import branch_out, vine_states
from trpolab.lab.pictures.poster import SHOWN, draw_poster
from trpolab.lab.pictures.rollout import AnyRollout, record
from trpolab.lab.played_runs import PlayedRun, played_run
from trpolab.lab.player_view import Panel, PlayerView
from trpolab.policies import Policy
from trpolab.runs.reader import RunFolderError
from trpolab.sampling.vine.record import VineRecord
from trpolab.settings import PlainError, whole_number
from trpolab.simulators import Simulator, Source, make
from trpolab.simulators.registry import drawn

PATIENCE = 10.0  # seconds that a recording may take


@dataclass(frozen=True)
class Wish:
    """What a person wants to see."""

    iterations: tuple[int | None, ...]  # of each run; None: the newest
    before: bool = False  # of a single run: beside it the policy that was kept before
    vine: int | None = None  # instead of an episode: the branches of one of the vine's states, by its place


@dataclass(frozen=True)
class PlayedVine:
    """A vine iteration whose branches can be played: what it did, and the policy that it sampled with."""

    iteration: Any
    policy: Policy
    seed: int


class Player:
    """Records what a person wishes to see of one run, or of two side by side, and shows it.

    `view` is its widget. Policies play in a simulator of the player's own, on the thread that calls `stroke`.
    """

    def __init__(
        self,
        runs: Sequence[PlayedRun],
        *,
        seed: int = 0,
        max_steps: int | None = None,
        patience: float = PATIENCE,
        vine: Callable[[], PlayedVine | None] = lambda: None,
        wake: Callable[[], None] | None = None,
    ):
        """`wake` is called when there is something for `stroke` to do; without it a thread of its own does it."""
        self._runs = tuple(runs)
        self._seed, self.max_steps, self._patience, self._vine = seed, max_steps, patience, vine
        self._wake = wake or (lambda: threading.Thread(target=self.stroke, name="trpolab-player", daemon=True).start())
        self._wish = self._answered = Wish((None,) * len(self._runs))
        self._shown: Any = None
        self._panels: list[Panel] = []
        self._poster: tuple[Panel, bytes] | None = None
        self._trouble = ""
        self._simulators: dict[int, Simulator] = {}
        self._playing = threading.Lock()
        self.view = PlayerView(self._told)

    def stroke(self, follow: bool = True) -> bool:
        """Record what is wished for, if it isn't shown yet, and say whether anything was recorded.

        Unless `follow`, what nobody asked for by hand, a newer policy, waits.
        """
        with self._playing:
            wish = self._wish
            wanted = self._wanted(wish)
            new = bool(wanted) and wanted != self._shown and (follow or wish is not self._answered)
            if new:
                self._answered, self._shown = wish, wanted
                self._offer_choices(wish, "recording")
                try:
                    self._panels = self._vine_panels(wish.vine) if wanted[0] == "vine" else self._panels_of(wanted[1])
                    self._trouble = ""
                    self.view.show(self._panels)
                except Exception as error:  # noqa: BLE001 - a task that can't be shown is still trained and charted
                    self._trouble = _sentence(error)
            self._offer_choices(wish, "")
            return new

    def replace_runs(self, runs: Sequence[PlayedRun]) -> None:
        """Play other runs from now on."""
        with self._playing:
            if [run.source for run in runs] != [run.source for run in self._runs]:
                self._close_simulators()
            self._runs = tuple(runs)
            self._wish = self._answered = Wish((None,) * len(self._runs))
            self._shown = None

    def complain(self, error: BaseException) -> None:
        """Say in the player what went wrong outside it."""
        self._trouble = _sentence(error)
        self._offer_choices(self._wish, "")

    def poster(self) -> bytes:
        """An animated PNG of what is shown (of two, the right one); b"" where there is nothing yet."""
        if not self._panels:
            return b""
        newest = self._panels[-1]
        if self._poster is None or self._poster[0] is not newest:
            self._poster = newest, draw_poster(newest.rollout)
        return self._poster[1]

    @property
    def caption(self) -> str:
        """What is shown, in a line."""
        return " | ".join(f"{panel.title} · {panel.caption}" for panel in self._panels)

    @property
    def rollouts(self) -> list[AnyRollout]:
        """What is shown, as data."""
        return [panel.rollout for panel in self._panels]

    def close(self, keep_view: bool = True) -> None:
        """Close the simulators. What was recorded stays on show, unless the view is closed as well."""
        with self._playing:
            self._close_simulators()
        if not keep_view:
            close_tree(self.view)

    def _ipython_display_(self) -> None:
        """The live view, and beside it what stays in a saved file; while one sees the first, the second is hidden."""
        from IPython.display import display

        said = self.caption or self._trouble
        bundle: Any = self.view._repr_mimebundle_() if current_shell() else {}
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        display({**data, "text/plain": repr(self)}, raw=True, metadata=metadata)
        if data and self._panels:
            marked = f"<div class='trpolab-poster'>{html.escape(said)}</div>"
            display({"text/html": marked, "text/plain": said}, raw=True)
            picture = {"image/png": b64encode(self.poster()).decode(), "text/plain": said}
            display(picture, raw=True, metadata=SHOWN)

    def __repr__(self) -> str:
        return f"Player({' and '.join(run.name for run in self._runs)}: {self.caption or self._trouble})"

    def _told(self, said: dict[str, Any]) -> None:
        """A person's wish, from the browser."""
        asked = said.get("iterations")
        if not isinstance(asked, list) or len(asked) != len(self._runs):
            return
        iterations = tuple(at if isinstance(at, int) else None for at in asked)
        vine = said.get("vine")
        self._wish = Wish(iterations, said.get("before") is True, vine if isinstance(vine, int) else None)
        self._wake()

    def _wanted(self, wish: Wish) -> Any:
        """What fulfils a wish: ("episodes", (run, iteration) ...) or ("vine", iteration, state); None: nothing yet."""
        if wish.vine is not None and (vine := self._vine()) is not None:
            return "vine", vine.iteration.index, wish.vine
        casts: list[tuple[int, int]] = []
        for place, (run, asked) in enumerate(zip(self._runs, wish.iterations, strict=True)):
            if not (kept := run.kept.iterations()):
                return None
            at = kept[-1] if asked is None or asked > kept[-1] else max(n for n in kept if n <= max(asked, kept[0]))
            if wish.before and len(self._runs) == 1 and at != kept[0]:
                casts.append((place, max(n for n in kept if n < at)))
            casts.append((place, at))
        return "episodes", tuple(casts)

    def _panels_of(self, casts: Sequence[tuple[int, int]]) -> list[Panel]:
        panels = []
        for place, iteration in casts:
            run = self._runs[place]
            policy, kept = run.kept.policy(iteration), run.kept.iterations()
            earlier = [at for at in kept if at < iteration]
            before = run.kept.policy(earlier[-1]) if earlier and not policy.sees_pixels else None
            simulator, most = self._simulator(place), self.max_steps
            seed, patience = self._seed, self._patience
            rollout = record(policy, simulator, seed=seed, max_steps=most, before=before, patience=patience)
            named = len(self._runs) > 1 or len(kept) == 1
            title = f"{run.name} · " * named + f"iteration {iteration:,}" * (len(kept) > 1 or iteration > 0)
            panels.append(Panel(title.removesuffix(" · "), caption(rollout), rollout))
        return panels

    def _vine_panels(self, place: int | None) -> list[Panel]:
        vine = self._vine()
        assert vine is not None and place is not None
        record_of: VineRecord = vine.iteration.batch.paths
        rows = vine_states(record_of)
        row = int(rows[min(max(place, 0), len(rows) - 1)])
        source = self._runs[0].source
        found = branch_out(vine.iteration, vine.policy, vine.seed, row, lambda slots: make(source, slots))
        if found is None:
            raise PlainError("the branches of this vine can't be drawn: the task has no bodies, or the physics blew up")
        still, ghosts = found
        about = f"{len(ghosts.q)} branches from step {int(record_of.root_t[row])} of a trunk · Q̂ {ghosts.q[-1]:,.4g}"
        return [Panel(f"iteration {vine.iteration.index:,}", f"{about} to {ghosts.q[0]:,.4g}", still, ghosts)]

    def _offer_choices(self, wish: Wish, doing: str) -> None:
        runs = [{"name": run.name, "iterations": choices(run.kept.iterations())} for run in self._runs]
        vine = self._vine()
        states = len(np.unique(vine.iteration.batch.paths.branch_state)) if vine is not None else 0
        wishes = {"iterations": list(wish.iterations), "before": wish.before, "vine": wish.vine}
        told = {"runs": runs, "states": states, "wish": wishes, "doing": doing, "trouble": self._trouble}
        self.view.put("choices", told)

    def _simulator(self, place: int) -> Simulator:
        if place not in self._simulators:
            self._simulators[place] = make(drawn(self._runs[place].source), 1)
        return self._simulators[place]

    def _close_simulators(self) -> None:
        while self._simulators:
            self._simulators.popitem()[1].close()


def play(
    what: Policy | str | Path,
    other: Policy | str | Path | None = None,
    *,
    task: Source | None = None,
    seed: int = 0,
    max_steps: int | None = None,
) -> Player:
    """A player for a notebook: of a run folder with every policy it keeps, a policy file, or a policy.

    A task's name stands for the trained policy that comes with trpolab, or for an untrained one. With `other` the two
    play side by side. `task` is needed with a policy, and with a run of a callable. Episodes start from `seed`;
    `max_steps` bounds the decisions that are recorded. Raises RunFolderError for a folder that is no run or holds no
    policy yet, PolicyFileError, UnknownTask, and PlainError where policy and task do not fit.
    """
    if max_steps is not None:
        whole_number("max_steps", max_steps, 1)
    runs = [played_run(each, task) for each in (what, other) if each is not None]
    mine, _ = claim("player")
    player = Player(runs, seed=whole_number("seed", seed, 0), max_steps=max_steps)
    for place, run in enumerate(runs):
        policy, simulator = run.kept.policy(run.kept.iterations()[-1]), player._simulator(place)
        if misfit := policy.misfit(simulator.observation_space, simulator.action_space):
            player.close()
            raise RunFolderError(f"{run.name} does not fit {simulator.task}: {misfit}")
    player.stroke()
    mine.append(player)
    return player


def _sentence(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, PlainError) else f"no picture: {type(error).__name__}: {text}"
