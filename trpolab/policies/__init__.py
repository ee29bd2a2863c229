"""Policies, value functions and the learner: shapes, parameter vectors and distributions, all frozen."""

from trpolab.policies import categorical, convnet, gaussian, mlp
from trpolab.policies.categorical import Categorical, FactoredCategorical
from trpolab.policies.descriptions import PolicyFileError
from trpolab.policies.distributions import Distribution
from trpolab.policies.gaussian import DiagonalGaussian
from trpolab.policies.kinds import DISTRIBUTIONS, NETWORKS, DistributionKind, NetworkKind
from trpolab.policies.learner import Learner
from trpolab.policies.mlp import MLP
from trpolab.policies.network import Network
from trpolab.policies.normalizer import Normalizer
from trpolab.policies.policy import Policy, make_policy, read_policy
from trpolab.policies.serialization import save_policy
from trpolab.policies.value import ValueFunction, make_value, value_network
from trpolab.policies.value_fit import FitStatus, ValueFit, fit_value

NETWORKS.add(convnet.KIND)
NETWORKS.add(mlp.KIND)
DISTRIBUTIONS.add(gaussian.KIND)
DISTRIBUTIONS.add(categorical.KIND)
DISTRIBUTIONS.add(categorical.FACTORED)

__all__ = [
    "DISTRIBUTIONS",
    "MLP",
    "NETWORKS",
    "Categorical",
    "DiagonalGaussian",
    "Distribution",
    "DistributionKind",
    "FactoredCategorical",
    "FitStatus",
    "Learner",
    "Network",
    "NetworkKind",
    "Normalizer",
    "Policy",
    "PolicyFileError",
    "ValueFit",
    "ValueFunction",
    "fit_value",
    "make_policy",
    "make_value",
    "read_policy",
    "save_policy",
    "value_network",
]
