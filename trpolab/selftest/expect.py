"""What the checks share: a demand, and runs compared number by number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from trpolab.policies import Policy


class Broken(Exception):
    """A promise was not kept; the message says which."""


def expect(kept: bool, otherwise: str) -> None:
    """Raise Broken with the sentence unless the promise was kept."""
    if not kept:
        raise Broken(otherwise)


def expect_error(kind: type[Exception], said: str, call: Callable[[], Any], what: str) -> None:
    """Raise Broken unless the call raises this kind of error with these words in it."""
    try:
        call()
    except kind as error:
        expect(said in str(error), f"{what}: refused, but not for the right reason: {error}")
    else:
        raise Broken(f"{what} was let in")


def expect_equal_runs(found: Iterable[Mapping[str, Any]], wanted: Iterable[Mapping[str, Any]], what: str) -> int:
    """Raise Broken where two histories differ in anything but times; returns how many iterations were compared."""
    rows, reference = list(map(_lasting, found)), list(map(_lasting, wanted))
    expect(len(rows) == len(reference), f"{what}: {len(rows)} iterations, {len(reference)} expected")
    for row, other in zip(rows, reference, strict=True):
        names = [name for name in other if row.get(name) != other[name]]
        expect(not names, f"{what}: iteration {other['iteration']} differs in {', '.join(names[:5])}")
    return len(rows)


def expect_equal_policies(found: Policy, wanted: Policy, what: str) -> None:
    """Raise Broken unless all parameters are the same bits."""
    expect(torch.equal(found.theta, wanted.theta), f"{what}: the policies' parameters differ")


def _lasting(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if not name.startswith("seconds") and name != "segment"}
