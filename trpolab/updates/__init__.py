"""Data to next learner: every method is one function, and `step` runs it."""

from trpolab.updates import methods as methods  # registers the built-in methods
from trpolab.updates.diagnostics import Diagnostics, Outcome, Refusal
from trpolab.updates.gradient_step import damped_fisher, full_step, line_search, pose, solve, step_length, take
from trpolab.updates.method import METHODS, Context, MethodKind, PlannedRun, propose, step
from trpolab.updates.methods.natural_gradient import factors_of_three
from trpolab.updates.problem import CandidateEvaluation, Problem
