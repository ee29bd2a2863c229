"""How lines of code are counted."""

from __future__ import annotations

from tests.code_lines import PACKAGE, by_room, code_lines

SOURCE = '''"""What it is.

More of it.
"""

import math  # one


class Thing:
    """A docstring."""

    size = (  # two: it begins here, and at the next line
        1,
    )

    # no code

    def text(self):
        """Another."""
        return """a text
over two lines"""
'''


def test_blanks_comments_and_docstrings_are_left_out() -> None:
    assert code_lines(SOURCE) == len(["import", "class", "size", "1,", ")", "def", "return"])
    assert code_lines('"""Only a docstring."""\n') == code_lines("") == 0


def test_the_package_stays_small() -> None:
    # 14,000 for the core, 1,150 for other people's environments, 400 to go back in runs, to watch and to list them,
    # 2,150 for the lab's own views: player, trust region, comparison, rewind
    # 150 for what is said of entries that are not whole, 300 for the lab's benchmark in a browser
    # 850 for the workshop and a person's own functions in a run, 450 for the checks of its first seven exercises,
    # 650 for exercises 8 to 11 and the runs of locomotion, 170 for GPUs
    # 1,100 for grids of runs, their statistics, and the paper's figures
    # 260 for workers on Ray, 110 for grids there, 190 for their benchmarks and for more blocks
    # 50 for pages that were loaded again and workers that were lost, told in the lab
    # 200 for the benchmarks against other libraries and against the limit, and for updates on all threads
    # 150 for a vine that learns from every step, and for antithetic pairs
    # 265 for benchmarks of scores, vine options and growing costs, for charts, and for curves that stand for runs
    # 157 for rollout sets chosen by advantages, and for branches of adaptive length
    # 17 for δ that falls until the run's end, and for scores by the same settings on all tasks
    # 90 for the race to a return, 16 for a least σ, 1 for a λ of the scores
    # 8 for the time that a grid has left, and for the curves that an interrupted one leaves
    assert sum(by_room().values()) <= 22_865


def test_every_room_is_counted() -> None:
    count = by_room()
    assert {"lab", "numerics", "__init__.py"} <= set(count)
    files = PACKAGE.rglob("*.py")
    assert sum(count.values()) == sum(code_lines(path.read_text(encoding="utf-8")) for path in files)
