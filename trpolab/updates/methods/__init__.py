"""One file a method, with its settings, its functions and its entry; the lines below register them, in menu order."""

from trpolab.updates.method import METHODS
from trpolab.updates.methods import (
    cem,
    cma_es,
    empirical_fim,
    kl_penalty,
    max_kl,
    natural_gradient,
    policy_gradient,
    reps,
    rwr,
    trpo,
)  # fmt: skip

METHODS.add(trpo.METHOD)
METHODS.add(natural_gradient.METHOD)
METHODS.add(empirical_fim.METHOD)
METHODS.add(max_kl.METHOD)
METHODS.add(kl_penalty.METHOD)
METHODS.add(policy_gradient.METHOD)
METHODS.add(rwr.METHOD)
METHODS.add(cem.METHOD)
METHODS.add(cma_es.METHOD)
METHODS.add(reps.METHOD)
