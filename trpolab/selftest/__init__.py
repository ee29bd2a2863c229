"""The part of the scoreboard that a person can run on a machine of their own: `trpolab doctor --selftest`.

Each check shows a row of the scoreboard. The tests call the same checks on more cases, and show the rows that need
faults or long runs.
"""

from trpolab.selftest.runner import CHECKS, Verdict, run
