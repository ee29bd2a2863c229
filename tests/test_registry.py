"""Entries that can't be registered, one sentence each; and what an entry says of its settings."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

import pytest

from trpolab.registry import Entry, RegistrationError, Registry
from trpolab.settings import setting
from trpolab.updates.method import METHODS, MethodKind


def step(learner, batch, settings, context):
    raise NotImplementedError


@dataclass(frozen=True)
class Sized:
    """Settings, one of them with a flat name."""

    size: float = setting(0.1, "length of the step", low=0)
    bound: float = setting(1.0, "a bound", flat=True)


@dataclass
class Thawed:
    """Not frozen."""

    size: float = setting(0.1, "length of the step")


@dataclass(frozen=True)
class Undeclared:
    """Without metadata."""

    size: float = 0.1
    other: float = field(default=0.2)


MINE = MethodKind(name="mine", label="a step of fixed length", settings=Sized, step=step)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "trpo"}, "method 'trpo': the name is taken; there are trpo, natural_gradient, "),
        ({"name": "Mine!"}, "method 'Mine!': a name has lower-case letters, digits, - and _, and begins with a letter"),
        ({"name": None}, "method None: a name has lower-case letters"),
        ({"step": None}, "method 'mine': step = None: must be a function"),
        ({"step": "mine_step"}, "method 'mine': step = 'mine_step': must be a function"),
        ({"episodes": 3}, "method 'mine': episodes = 3: must be a function"),
        ({"settings": {"size": 3}}, "method 'mine': settings = {'size': 3}: must be a frozen dataclass"),
        ({"settings": Thawed}, "method 'mine': settings = Thawed: the dataclass must be frozen"),
        (
            {"settings": Undeclared},
            "method 'mine': Undeclared.size has no metadata: use trpolab.setting(default, doc)",
        ),
    ],
    ids=str,
)
def test_a_bad_entry_is_refused_in_a_sentence_and_nothing_is_registered(changes: dict, sentence: str) -> None:
    before = dict(METHODS)
    with pytest.raises(RegistrationError) as caught:
        METHODS.add(replace(MINE, **changes))
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)
    assert dict(METHODS) == before


def test_a_registry_keeps_the_order_and_gives_the_parts() -> None:
    found = Registry("method", MethodKind)
    for entry in (MINE, replace(MINE, name="plain-one", settings=None, part="")):
        assert found.add(entry) is entry
    assert list(found) == ["mine", "plain-one"] and len(found) == 2
    assert found["mine"] is MINE
    assert found["plain-one"].part == "plain_one"
    assert found.parts() == {"mine": Sized}


def test_an_entry_names_its_settings_as_people_do() -> None:
    assert MINE.own == ("mine.size", "bound")
    assert replace(MINE, settings=None).own == ()
    assert MINE.module == __name__
    assert issubclass(MethodKind, Entry)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_says_what_it_is(name: str) -> None:
    kind = METHODS[name]
    assert kind.name == name and kind.label and kind.source
    assert kind.names == (*kind.own, *kind.reads)
    assert [one.name for one in fields(kind.settings)] if kind.settings else not kind.own
