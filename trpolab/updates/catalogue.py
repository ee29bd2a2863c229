"""What there is to choose from as `method`: one line and one source each, and the settings that each reads."""

from __future__ import annotations

from dataclasses import dataclass

PRODUCTS = ("cg_iterations", "damping", "fisher_fraction")
SEARCH = ("line_search", "shrink", "max_tries")


@dataclass(frozen=True)
class About:
    """A method in words."""

    what: str
    source: str
    settings: tuple[str, ...]  # public names, in the order in which the lab shows them
    population: bool = False  # learns from the returns of candidate parameters, not from states and actions

    @property
    def bounds_kl(self) -> bool:
        """Whether δ means anything to it."""
        return "delta" in self.settings


METHODS: dict[str, About] = {
    "trpo": About(
        "maximise L subject to mean KL(old‖new) <= δ", "Eq. 14, App. C", ("delta", *SEARCH, *PRODUCTS, "trust.fisher")
    ),
    "natural_gradient": About(
        "a fixed step along A⁻¹g, no rescaling, no line search",
        "Section 7; Kakade, 2002",
        ("natural_gradient.step", *PRODUCTS, "trust.fisher"),
    ),
    "empirical_fim": About(
        "TRPO with A from the scores of the sampled actions", "Section 6", ("delta", *SEARCH, *PRODUCTS)
    ),
    "max_kl": About(
        "TRPO with the largest KL of a sampled state <= δ", "Eq. 11", ("delta", *SEARCH, *PRODUCTS, "trust.fisher")
    ),
    "kl_penalty": About(
        "maximise L - C · mean KL(old‖new)",
        "Section 4, Eq. 9",
        ("kl_penalty.coefficient", "kl_penalty.penalty", "kl_penalty.ascents", "delta", *PRODUCTS, "trust.fisher"),
    ),
    "policy_gradient": About(
        "the plain gradient g, its step bounded in θ or fixed",
        "Eq. 18",
        ("policy_gradient.rule", "policy_gradient.radius", "policy_gradient.step"),
    ),
    "rwr": About(
        "fit the policy to its actions, weighted by exp(Q̂/T)",
        "Figure 4; Peters and Schaal, 2007",
        ("rwr.temperature", "rwr.steps", "cg_iterations", "damping"),
    ),
    "cem": About(
        "cross-entropy method: refit a Gaussian over θ to the best candidates",
        "Section 8.1; Szita and Lőrincz, 2006",
        ("cem.population", "cem.elite", "cem.std", "cem.noise", "cem.noise_iterations", "cem.episodes"),
        population=True,
    ),
    "cma_es": About(
        "covariance matrix adaptation over θ",
        "Section 8.1; Hansen and Ostermeier, 1996",
        ("cma_es.population", "cma_es.sigma", "cma_es.covariance", "cma_es.episodes"),
        population=True,
    ),
    "reps": About(
        "relative entropy policy search: reweight candidates within KL ε",
        "Section 7; Peters et al., 2010",
        ("reps.population", "reps.epsilon", "reps.std", "reps.episodes"),
        population=True,
    ),
}
