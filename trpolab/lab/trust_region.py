"""The trust region of an update, drawn: L and the KL along the step, and in the plane of s and g.

    from trpolab.lab.trust_region import TrustRegionView
    TrustRegionView(iteration)  # of `Session.iterate()`, or `lab.trainer.latest`

The numbers are those of the iteration's own batch; where computing them for all of its states would take too long, a
random subset is taken, and said.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from trpolab.lab.cards import Pace
from trpolab.lab.refresh import RefreshTimer
from trpolab.lab.web import WebView
from trpolab.numerics.line_search import Trial
from trpolab.numerics.threads import few_threads
from trpolab.updates import METHODS
from trpolab.updates.config import TrustRegion
from trpolab.updates.landscape import Landscape, affordable_rows, landscape
from trpolab.updates.methods.policy_gradient import step_size

SHARE = 0.02  # of the training's time that the pictures may take
SECONDS = 0.25  # of a processor that a picture may take while training goes on,
SECONDS_AT_REST = 2.0  # and while it does not
KL_NAMES = {"kl_mean": "mean KL", "kl_max": "max KL"}
NOT_YET = "the trust region of an update is drawn here after the first iteration"


class TrustRegionView(WebView):
    """The trust region of one iteration's update; `show` changes to another one's."""

    def __init__(self, iteration: Any = None):
        self._picture: tuple[int, dict[str, Any]] = (0, {"note": NOT_YET})
        super().__init__("trust_region")
        if iteration is not None:
            self.show(iteration)

    def show(self, iteration: Any, seconds: float = SECONDS_AT_REST) -> None:
        """Draw the update of an iteration from now on; takes about so many seconds, in the caller's thread."""
        self.put(picture(iteration, seconds))

    def put(self, picture: dict[str, Any]) -> None:
        """Draw this in every view."""
        self._picture = (self._picture[0] + 1, picture)
        self.offer()

    def answer(self, topic: str, have: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]] | None:
        """The picture, unless the view has it."""
        version, content = self._picture
        return None if have.get("version") == version else ({"version": version, **content}, [])


class TrustRegionCard:
    """The lab's card: the newest update, on a thread of its own, for a small share of the training's time."""

    def __init__(self, lab: Any):
        self._lab = lab
        self._shown: Any = None
        self._pace = Pace(gap=1.0, share=SHARE)
        self.view = TrustRegionView()
        self._timer = RefreshTimer(self.stroke, self._failed)

    def start(self) -> None:
        """Show updates from now on."""
        self._timer.start()

    def stroke(self) -> None:
        """Show the newest update if it is new and there is time."""
        latest, busy = self._lab.trainer.latest, self._lab.state == "running"
        if latest is None or latest is self._shown or not self._pace.allows(busy):
            return
        began = time.thread_time()
        self.view.show(latest, SECONDS if busy else SECONDS_AT_REST)
        self._shown = latest
        self._pace.drawn(began)

    def restart(self) -> None:
        """Another session began."""
        self._shown = None
        self.view.put({"note": NOT_YET})

    def close(self) -> None:
        """End the thread; what was drawn stays on show."""
        self._timer.close()

    def _failed(self, error: BaseException) -> None:
        self.view.put({"note": f"no picture: {type(error).__name__}: {error}"})


def picture(iteration: Any, seconds: float) -> dict[str, Any]:
    """What a view draws of an iteration's update: plain numbers and texts, None where a value is not finite."""
    if why := why_nothing(iteration):
        return {"note": why}
    with few_threads():
        rows = affordable_rows(iteration.before.policy, iteration.batch, seconds)
        seen = surroundings(iteration, rows) if rows else None
    if seen is None:
        return {"note": f"no picture of iteration {iteration.index:,}: it would take too long on this machine"}
    kind, trust, found = METHODS[iteration.config.method], trust_in_use(iteration), iteration.diagnostics
    how = found.outcome.value.replace("_", " ") if found.outcome.accepted else "no step"
    states = f"{seen.states:,} states" if seen.states == seen.of else f"{seen.states:,} of {seen.of:,} states"
    return _plain(
        {
            "caption": f"iteration {iteration.index:,} · {how} · {states}",
            "method": kind.label,
            "kl_name": KL_NAMES.get(kind.bounded, kind.bounded),
            "delta": trust.delta,
            "search": trust.line_search,
            "refused": "" if found.outcome.accepted else found.message,
            "taken": found.step_fraction if found.outcome.accepted else None,
            "trials": [_trial(trial) for trial in found.search.trials] if found.search else [],
            "fractions": seen.fractions,
            "gain": seen.gain,
            "kl": seen.kl,
            "slope": seen.slope,
            "curvature": seen.curvature,
            "model": kind.bounded == "kl_mean",
            "plane": vars(seen.plane) if seen.plane else None,
            "others": [
                {"name": METHODS[name].label, "about": METHODS[name].doc, **vars(point)}
                for name, point in seen.others.items()
            ],
        }
    )


def why_nothing(iteration: Any) -> str:
    """Why there is no trust region to draw, in a sentence; "" if there is one."""
    kind, found = METHODS[iteration.config.method], iteration.diagnostics
    where = f"iteration {iteration.index:,}"
    if iteration.batch is None:
        return f"{where}: nothing was sampled"
    if found.full_step is not None and kind.bounds_kl:
        return ""
    if found.outcome.accepted or not kind.bounds_kl:
        return f"{where}: {kind.label} has no trust region ({kind.doc})"
    return f"{where}: no step: {found.message}"


def surroundings(iteration: Any, rows: int | None = None) -> Landscape:
    """L and the KL around an iteration's update, and where other methods' steps lead, as they are set."""
    config, found = iteration.config, iteration.diagnostics
    others: dict[str, Tensor] = {"policy_gradient": step_size(config.policy_gradient, found.gradient) * found.gradient}
    if found.cg is not None:
        others = {"natural_gradient": config.natural_gradient.step * found.cg.x, **others}
    return landscape(
        iteration.before.policy, iteration.batch, found, trust_in_use(iteration), others=others, rows=rows,
        bounded=METHODS[config.method].bounded, seed=iteration.index,
    )  # fmt: skip


def trust_in_use(iteration: Any) -> TrustRegion:
    """The settings of an iteration's trust region, δ being the one that was in use."""
    trust, delta = iteration.config.trust, iteration.metrics["delta"]
    return trust if delta is None else dataclasses.replace(trust, delta=delta)


def _trial(trial: Trial) -> dict[str, Any]:
    return {"fraction": trial.fraction, "gain": trial.gain, "kl": trial.constraint, "accepted": trial.accepted}


def _plain(value: Any) -> Any:
    """The same without arrays, and with None for what is not finite: what JSON can hold."""
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value
