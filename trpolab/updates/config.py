"""Settings of the updates."""

from __future__ import annotations

from dataclasses import dataclass

from trpolab.settings import setting


@dataclass(frozen=True)
class TrustRegion:
    """Appendix C: conjugate gradient, step length and line search."""

    delta: float = setting(
        0.02, "bound on the mean KL(old‖new)", symbol="δ", low=0, open_low=True, scale="log", shown=(1e-4, 1e-1),
        source="Eq. 14", flat=True,
    )  # fmt: skip
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
        0.7, "factor of the line search", low=0, open_low=True, high=1, open_high=True, shown=(0.3, 0.9), flat=True
    )
    max_tries: int = setting(10, "most trials of the line search", low=1, shown=(1, 20), flat=True)
    fisher: str = setting(
        "gauss_newton", "Fisher product: JᵀMJ, or the KL differentiated twice", choices=("gauss_newton", "hessian"),
        source="App. C.1",
    )  # fmt: skip


@dataclass(frozen=True)
class NaturalGradient:
    """Section 7: a fixed step along A⁻¹g, without rescaling and without a line search (Kakade, 2002)."""

    step: float = setting(
        1.0, "length of the step along A⁻¹g", symbol="1/λ", low=0, open_low=True, scale="log", shown=(1e-3, 10),
        source="Section 7",
    )  # fmt: skip


@dataclass(frozen=True)
class KLPenalty:
    """Section 4: maximise L - C·KL(old‖new), C given, adapted, or as large as the theory asks."""

    coefficient: str = setting(
        "adaptive",
        "C: as given; halved and doubled so that the KL comes near δ; or the theory's 4εγ/(1-γ)²",
        choices=("fixed", "adaptive", "theory"),
        source="Eq. 9",
    )
    penalty: float = setting(
        1.0, "C if it is fixed, and where an adaptive one starts", symbol="C", low=0, open_low=True, scale="log",
        shown=(0.1, 1000), source="Section 4",
    )  # fmt: skip
    ascents: int = setting(3, "most natural-gradient ascents on the penalised objective", low=1, shown=(1, 20))


@dataclass(frozen=True)
class PolicyGradient:
    """Eq. 18: the plain gradient, its step bounded in θ or fixed."""

    rule: str = setting(
        "ball", "step: to the edge of the ball ½‖θ' - θ‖² <= radius, or a fixed multiple of g",
        choices=("ball", "step"), source="Eq. 18",
    )  # fmt: skip
    radius: float = setting(
        0.02, "bound on ½‖θ' - θ‖²; it is no KL", low=0, open_low=True, scale="log", shown=(1e-5, 1), source="Eq. 18"
    )
    step: float = setting(0.3, "θ' = θ + step · g", symbol="α", low=0, open_low=True, scale="log", shown=(1e-3, 10))


@dataclass(frozen=True)
class RewardWeighted:
    """Reward-weighted regression (Peters and Schaal, 2007): the likelihood of the actions, weighted by exp(Q̂/T)."""

    temperature: float = setting(
        1.0, "T, in standard deviations of Q̂: small trusts the best actions alone", symbol="T", low=0, open_low=True,
        scale="log", shown=(0.1, 10),
    )  # fmt: skip
    steps: int = setting(3, "most Fisher-scoring steps of the regression", low=1, shown=(1, 20))


@dataclass(frozen=True)
class CrossEntropy:
    """The cross-entropy method: a Gaussian over θ, refitted to the best candidates (Szita and Lőrincz, 2006)."""

    population: int = setting(40, "candidates an iteration", symbol="P", low=3, shown=(10, 200))
    elite: float = setting(
        0.2,
        "share of the candidates that is kept",
        low=0,
        open_low=True,
        high=1,
        shown=(0.05, 0.5),
        source="Section 8.1",
    )
    std: float = setting(
        1.0, "standard deviation of every parameter at the start", low=0, open_low=True, scale="log", shown=(0.01, 10),
    )  # fmt: skip
    noise: float = setting(0.5, "extra deviation in units of std, fading to 0", low=0, shown=(0, 2))
    noise_iterations: int = setting(10, "iterations until the extra noise is gone", low=1, shown=(1, 100))
    episodes: int = setting(1, "episodes that judge a candidate", low=1, shown=(1, 10))


@dataclass(frozen=True)
class Covariance:
    """Covariance matrix adaptation (Hansen and Ostermeier, 1996) by the `cma` package."""

    population: int | None = setting(None, "candidates an iteration (none: 4 + 3 ln D)", symbol="λ", low=5, high=10_000)
    sigma: float = setting(
        1.0, "standard deviation of every parameter at the start", symbol="σ", low=0, open_low=True, scale="log",
        shown=(0.01, 10),
    )  # fmt: skip
    covariance: str = setting(
        "auto",
        "full: D² numbers; separable: variances alone; auto: full up to 500 parameters",
        choices=("auto", "full", "separable"),
    )
    episodes: int = setting(1, "episodes that judge a candidate", low=1, shown=(1, 10))


@dataclass(frozen=True)
class RelativeEntropy:
    """Relative entropy policy search, episodic, over θ (Peters et al., 2010); for small policies."""

    population: int = setting(40, "candidates an iteration; more than parameters", low=3, shown=(10, 200))
    epsilon: float = setting(
        0.4, "bound on the KL between the reweighted candidates and those drawn", symbol="ε", low=0, open_low=True,
        scale="log", shown=(0.05, 3), source="Section 7",
    )  # fmt: skip
    std: float = setting(
        1.0, "standard deviation of every parameter at the start", low=0, open_low=True, scale="log", shown=(0.01, 10),
    )  # fmt: skip
    episodes: int = setting(1, "episodes that judge a candidate", low=1, shown=(1, 10))
