"""Columns of the history."""

from __future__ import annotations

import math

import numpy as np

from trpolab.lab.series import Columns, thin


def test_thinning_keeps_ends_and_extremes() -> None:
    x = np.arange(10_000.0)
    y = np.sin(x / 300)
    y[4321] = 99.0
    few_x, few_y = thin(x, y, 500)
    assert len(few_x) <= 500 and few_x[0] == 0 and few_x[-1] == 9999
    assert 99.0 in few_y and few_y.min() == y.min() and np.all(np.diff(few_x) > 0)


def test_what_does_not_apply_is_a_gap_never_a_zero() -> None:
    columns = Columns(["a"])
    columns.extend([{"a": None}, {"a": 2}, {"a": math.inf}, {}])
    np.testing.assert_array_equal(columns.get("a"), [np.nan, 2.0, np.nan, np.nan])


def test_rows_are_handed_out_column_after_column() -> None:
    columns = Columns(["a", "b"])
    columns.extend([{"a": k, "b": 10 * k} for k in range(5)])
    np.testing.assert_array_equal(columns.block(1, 3), [[1, 2], [10, 20]])
    assert (len(columns), columns.last("b", 3), columns.last("a", 0)) == (5, 20.0, -1.0)
