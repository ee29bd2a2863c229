"""`trpolab.register`: methods, samplers, networks, distributions and simulators from outside the package."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TypeVar

from trpolab.policies.kinds import NETWORKS
from trpolab.registry import Entry, RegistrationError
from trpolab.sampling.sampler import SAMPLERS
from trpolab.settings import nearest, registry, unknown_setting
from trpolab.simulators import SIMULATORS
from trpolab.training.config import KINDS, Config, part_types, settings

E = TypeVar("E", bound=Entry)


def register(entry: E) -> E:
    """Add a method, sampler, network, distribution or simulator to the choices of its kind.

    It then works in Python, in the terminal (`--import MODULE`, `--method`, `--set`), in TOML, in run folders and in
    the lab's menus. A cell or a module that is run again replaces what it registered before. Raises RegistrationError
    for a name or a setting that is taken, for a missing function, and for settings without metadata.
    """
    kinds = next((kinds for kinds in KINDS if isinstance(entry, kinds.entry)), None)
    if kinds is None:
        accepted = ", ".join(kinds.entry.__name__ for kinds in KINDS)
        raise RegistrationError(f"entry = {entry!r}: must be one of {accepted}")
    kinds.refuse_unfit(entry)
    for problem in (*_clashes(entry, kinds.get(entry.name)), *_unknown_names(entry)):
        raise RegistrationError(f"{kinds.what} {entry.name!r}: {problem}")
    return kinds.add(entry)


def _clashes(entry: Entry, before: Entry | None) -> Iterator[str]:
    """Which of its settings' names are taken; `before` is the entry that it replaces."""
    if entry.settings is None:
        return
    parts, names = {*part_types(), *(field.name for field in dataclasses.fields(Config))}, set(settings())
    if before is not None and before.settings is not None:
        parts, names = parts - {before.part}, names - {*before.own}
    clashes = sorted({entry.part} & parts) or sorted(registry(entry.settings, {}, entry.part).keys() & names)
    if clashes:
        yield f"the name {clashes[0]!r} is taken by other settings"


def _unknown_names(entry: Entry) -> Iterator[str]:
    """What a method names that there is not."""
    for field, known in (("reads", settings()), ("samplers", SAMPLERS), ("networks", NETWORKS)):
        given = getattr(entry, field, None)
        if not isinstance(given, tuple | None) or not all(isinstance(name, str) for name in given or ()):
            yield f"{field} = {given!r}: must be a tuple of names"
            continue
        for name in (name for name in given or () if name not in known):
            near = unknown_setting(name, known) if field == "reads" else f"is not registered{nearest(name, known)}"
            yield f"{field} = {name!r}: {near}"


def modules_of(config: Config) -> list[str]:
    """Modules outside this package that register what the config names: they must be imported before it can be run."""
    named = {str(value) for value in config.settings().values()}
    chosen: list[Entry] = [kinds[name] for kinds in KINDS for name in kinds if name in named]
    chosen.append(SIMULATORS.of(config.task))
    return sorted({entry.module for entry in chosen if not entry.module.startswith("trpolab.")})
