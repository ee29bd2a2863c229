"""Policies, value functions and the learner: shapes, parameter vectors and distributions, all frozen."""

from trpolab.policies.actors import Actor
from trpolab.policies.distributions import Categorical, DiagonalGaussian, Distribution, FactoredCategorical
from trpolab.policies.learner import Learner
from trpolab.policies.mlp import MLP
from trpolab.policies.normalizer import Normalizer
from trpolab.policies.policy import Policy, distribution_for, make_policy
from trpolab.policies.serialization import PolicyFileError, read_policy, save_policy
from trpolab.policies.value import ValueFunction, make_value, value_network
from trpolab.policies.value_fit import FitStatus, ValueFit, fit_value

__all__ = [
    "MLP",
    "Actor",
    "Categorical",
    "DiagonalGaussian",
    "Distribution",
    "FactoredCategorical",
    "FitStatus",
    "Learner",
    "Normalizer",
    "Policy",
    "PolicyFileError",
    "ValueFit",
    "ValueFunction",
    "distribution_for",
    "fit_value",
    "make_policy",
    "make_value",
    "read_policy",
    "save_policy",
    "value_network",
]
