"""Action distributions (Appendix D): what the outputs of a network mean.

A distribution is a shape. Its parameters u [B, U] come from a network's outputs and from `own` parameters that do not
depend on the state. Sampling takes its noise as an argument, in NumPy; everything that an update needs is torch.
"""

from trpolab.policies.categorical import Categorical, FactoredCategorical
from trpolab.policies.gaussian import DiagonalGaussian

Distribution = DiagonalGaussian | Categorical | FactoredCategorical

__all__ = ["Categorical", "DiagonalGaussian", "Distribution", "FactoredCategorical"]
