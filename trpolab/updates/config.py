"""Settings that several methods share."""

from __future__ import annotations

from dataclasses import dataclass, replace

from trpolab.settings import Part, setting

BOUND = ("delta", "delta_end", "delta_fall")  # public names of what bounds a step
PRODUCTS = ("cg_iterations", "damping", "fisher_fraction")  # what conjugate gradient reads
SEARCH = ("line_search", "shrink", "max_tries")  # and the line search


SEARCHING = ("line_search", (True,), "the line search is off")


@dataclass(frozen=True)
class TrustRegion(Part):
    """Appendix C: conjugate gradient, step length and line search."""

    delta: float = setting(
        0.02, "bound on the mean KL(old‖new)", symbol="δ", low=0, open_low=True, scale="log", shown=(1e-4, 1e-1),
        source="Eq. 14", flat=True,
    )  # fmt: skip
    delta_end: float | None = setting(
        None, "δ at the end of the run, which it goes to in a straight line (none: δ stays)", low=0, flat=True
    )
    delta_fall: float = setting(
        1.0, "last share of the run in which δ goes to its end", low=0, open_low=True, high=1, flat=True
    )
    cg_iterations: int = setting(
        10, "conjugate-gradient iterations", symbol="k", low=1, shown=(1, 50), source="App. C.1", flat=True
    )
    damping: float = setting(
        0.1, "multiple of I added to the Fisher matrix (ours)", low=0, scale="log", shown=(1e-5, 1), flat=True
    )
    fisher_fraction: float = setting(
        0.5, "share of the states in Fisher products", low=0, open_low=True, high=1, shown=(0.05, 1),
        source="App. C.1", flat=True,
    )  # fmt: skip
    line_search: bool = setting(
        True, "shrink the step until KL <= δ and the surrogate gains", source="App. C", flat=True
    )
    shrink: float = setting(
        0.7, "factor of the line search", low=0, open_low=True, high=1, open_high=True, shown=(0.3, 0.9), flat=True,
        needs=SEARCHING,
    )  # fmt: skip
    max_tries: int = setting(10, "most trials of the line search", low=1, shown=(1, 20), flat=True, needs=SEARCHING)
    fisher: str = setting(
        "gauss_newton", "Fisher product: JᵀMJ, or the KL differentiated twice", choices=("gauss_newton", "hessian"),
        source="App. C.1",
    )  # fmt: skip

    def at(self, share: float) -> TrustRegion:
        """The settings of an update when this share of the run is done, 0 <= share < 1: δ is the one in use."""
        if self.delta_end is None:
            return self
        on_its_way = max(0.0, 1 - (1 - share) / self.delta_fall)
        return replace(self, delta=self.delta + (self.delta_end - self.delta) * on_its_way)
