"""Policies on disk: safetensors with JSON in its metadata. Nothing is unpickled, and everything is checked."""

from __future__ import annotations

import contextlib
import json
import math
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch
from safetensors import SafetensorError

from trpolab.machine import user_path
from trpolab.policies.descriptions import PolicyFileError, described, description_of
from trpolab.policies.normalizer import Normalizer
from trpolab.policies.parts import PolicyParts

LARGEST_FILE = 512 * 2**20  # bytes
LARGEST_POLICY = LARGEST_FILE // 8  # parameters
LARGEST_HEADER = 2**20
METADATA_KEY = "trpolab"
BYTES = {"F32": 4, "F64": 8}


def policy_content(policy: PolicyParts, about: dict[str, Any]) -> bytes:
    """A policy, its normaliser included, and a JSON-able description of where it comes from, as a file's content.

    Raises ValueError if a number in `about` is not finite, or for a kind of network that is not registered.
    """
    tensors = {"theta": policy.theta.detach().cpu().numpy()}
    if policy.normalizer is not None:
        mean, var = (np.asarray(part) for part in (policy.normalizer.mean, policy.normalizer.var))
        tensors |= {"normalizer.mean": mean, "normalizer.var": var}
    text = json.dumps(description_of(policy, about), allow_nan=False)
    return safetensors.numpy.save(tensors, {METADATA_KEY: text})


def size_problems(parameters: int, hidden: Sequence[int], shape: Sequence[int] | None) -> list[str]:
    """What is said of a policy that no file can hold."""
    if parameters <= LARGEST_POLICY:
        return []
    return [
        f"hidden = {list(hidden)}: {parameters:,} parameters for observations of shape {list(shape or ())}, more than "
        f"the {LARGEST_POLICY:,} that a file can hold; use fewer units, or smaller observations"
    ]


def save_policy(path: str | os.PathLike[str], policy: PolicyParts, about: dict[str, Any]) -> None:
    """Write `policy_content` to a file, which appears whole or not at all. Raises OSError that names it."""
    content = policy_content(policy, about)
    target = user_path(path)
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with open(aside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, target)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise OSError(error.errno, error.strerror, str(target)) from None


def read_parts(path: str | os.PathLike[str]) -> tuple[PolicyParts, dict[str, Any]]:
    """The parts of a file's policy and what `save_policy` was told about it: see `read_policy`."""
    try:
        return _read(user_path(path))
    except OSError as error:
        raise PolicyFileError(f"{path}: cannot be read ({error.strerror or error})") from error
    except PolicyFileError as error:
        raise PolicyFileError(f"{path}: {error}") from error


def _read(path: Path) -> tuple[PolicyParts, dict[str, Any]]:
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise PolicyFileError(f"has {size} bytes; a policy has at most {LARGEST_FILE}")
    with open(path, "rb") as file:
        header = _header(file.read(8 + LARGEST_HEADER), size)
        text = header.get("__metadata__", {}).get(METADATA_KEY)
        if not isinstance(text, str):
            raise PolicyFileError("is a safetensors file, but not of a policy saved by trpolab")
        description = _table(text, "its description")
        parts, normalizer = described(description)
        _check_tensors(header, parts, normalizer is not None)
        file.seek(0)
        content = file.read(size)
    try:
        tensors = safetensors.numpy.load(content)
    except (SafetensorError, ValueError) as error:
        raise PolicyFileError(f"is damaged: {error}") from error
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise PolicyFileError(f"{name} holds numbers that are not finite")
    return _filled(parts, normalizer, tensors), description["about"]


def _header(start: bytes, size: int) -> dict[str, Any]:
    """The JSON header of a safetensors file, from the file's first bytes."""
    length = struct.unpack("<Q", start[:8])[0] if len(start) >= 8 else 0
    if not 2 <= length <= min(LARGEST_HEADER, size - 8):
        raise PolicyFileError("is not a safetensors file, or only a part of one")
    header = _table(start[8 : 8 + length], "is not a safetensors file: its header")
    if not all(isinstance(entry, dict) for entry in header.values()):
        raise PolicyFileError("is not a safetensors file: its header is not a table")
    return header


def _table(text: str | bytes, what: str) -> dict[str, Any]:
    """The table that a text is as JSON."""
    try:
        table = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PolicyFileError(f"{what} is not JSON") from error
    if not isinstance(table, dict):
        raise PolicyFileError(f"{what} is not a table")
    return table


def _filled(parts: dict[str, Any], of_it: dict[str, Any] | None, tensors: dict[str, np.ndarray]) -> PolicyParts:
    """The policy, `of_it` its normaliser's fields. Raises PolicyFileError if the parts do not fit each other."""
    normalizer = None
    if of_it is not None:
        mean, var = tensors["normalizer.mean"].copy(), tensors["normalizer.var"].copy()
        if (var < 0).any():
            raise PolicyFileError("normalizer.var holds negative numbers")
        normalizer = Normalizer(mean=mean, var=var, **of_it)
    try:
        return PolicyParts(theta=torch.from_numpy(tensors["theta"].copy()), normalizer=normalizer, **parts)
    except ValueError as error:
        raise PolicyFileError(f"its parts do not fit: {error}") from error


def _check_tensors(header: dict[str, Any], parts: dict[str, Any], normalized: bool) -> None:
    """Names, dtypes, shapes and sizes of the tensors, against the description."""
    size = parts["network"].size + parts["distribution"].own_parameters
    expected: dict[str, tuple[str, tuple[int, ...]]] = {"theta": ("F32", (size,))}
    if normalized:
        expected |= dict.fromkeys(("normalizer.mean", "normalizer.var"), ("F64", parts["obs_shape"]))
    given = {name: entry for name, entry in header.items() if name != "__metadata__"}
    if set(given) != set(expected):
        raise PolicyFileError(f"holds the tensors {sorted(given)}, expected {sorted(expected)}")
    for name, (dtype, shape) in expected.items():
        if given[name].get("dtype") != dtype or given[name].get("shape") != list(shape):
            kind = f"{given[name].get('dtype')} {given[name].get('shape')}"
            raise PolicyFileError(f"{name} is {kind}, expected {dtype} {list(shape)}")
    total = sum(math.prod(shape) * BYTES[dtype] for dtype, shape in expected.values())
    if total > LARGEST_FILE:
        raise PolicyFileError(f"its tensors take {total} bytes; a policy has at most {LARGEST_FILE}")
