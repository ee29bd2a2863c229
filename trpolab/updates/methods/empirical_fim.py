"""TRPO with the empirical Fisher matrix: A from the scores of the sampled actions (Section 6)."""

from __future__ import annotations

from functools import partial

from trpolab.updates.config import BOUND, PRODUCTS, SEARCH
from trpolab.updates.method import MethodKind
from trpolab.updates.methods.trpo import trpo_step

METHOD = MethodKind(
    name="empirical_fim",
    label="empirical FIM",
    doc="TRPO with A from the scores of the sampled actions",
    source="Section 6",
    step=partial(trpo_step, fisher="empirical"),
    reads=(*BOUND, *SEARCH, *PRODUCTS),
)
