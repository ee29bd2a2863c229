"""The part of the scoreboard that a person can run on a machine of their own: `trpolab doctor --selftest`.

`rows.ROWS` are all its rows; the tests show the rest.
"""

from trpolab.selftest.runner import CHECKS, Verdict, run

__all__ = ["CHECKS", "Verdict", "run"]
