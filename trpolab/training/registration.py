"""`trpolab.register`: methods, samplers, networks, distributions and simulators from outside the package."""

from __future__ import annotations

import dataclasses
from typing import TypeVar

from trpolab.registry import Entry, RegistrationError
from trpolab.settings import registry, unknown_setting
from trpolab.simulators import SIMULATORS
from trpolab.training.config import KINDS, Config, part_types, settings

E = TypeVar("E", bound=Entry)


def register(entry: E) -> E:
    """Add a method, sampler, network, distribution or simulator to the choices of its kind.

    It then works in Python, in the terminal (`--import MODULE`, `--method`, `--set`), in TOML, in run folders and in
    the lab's menus. Raises RegistrationError for a name or a setting that is taken, for a missing function, and for
    settings without metadata.
    """
    kinds = next((kinds for kinds in KINDS if isinstance(entry, kinds.entry)), None)
    if kinds is None:
        accepted = ", ".join(kinds.entry.__name__ for kinds in KINDS)
        raise RegistrationError(f"entry = {entry!r}: must be one of {accepted}")
    kinds.refuse_unfit(entry)
    if entry.settings is not None:
        taken = {*part_types(), *(field.name for field in dataclasses.fields(Config))}
        clashes = sorted({entry.part} & taken) or sorted(registry(entry.settings, {}, entry.part).keys() & settings())
        if clashes:
            raise RegistrationError(f"{kinds.what} {entry.name!r}: the name {clashes[0]!r} is taken by other settings")
    if unknown := [name for name in getattr(entry, "reads", ()) if name not in settings()]:
        raise RegistrationError(
            f"{kinds.what} {entry.name!r}: reads = {unknown[0]!r}: {unknown_setting(unknown[0], settings())}"
        )
    return kinds.add(entry)


def modules_of(config: Config) -> list[str]:
    """Modules outside this package that register what the config names: they must be imported before it can be run."""
    named = {str(value) for value in config.settings().values()}
    chosen: list[Entry] = [kinds[name] for kinds in KINDS for name in kinds if name in named]
    chosen.append(SIMULATORS.of(config.task))
    return sorted({entry.module for entry in chosen if not entry.module.startswith("trpolab.")})
