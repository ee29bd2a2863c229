"""Pure numbers: conjugate gradient and line search. They take callables and vectors and know nothing of their use."""

from trpolab.numerics.cg import CGResult, CGStatus, conjugate_gradient
from trpolab.numerics.line_search import LineSearchResult, LineSearchStatus, Trial, backtrack
