"""Policies on disk: safetensors with JSON in its metadata. Nothing is ever unpickled, and nothing is trusted unread."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch
from safetensors import SafetensorError

from trpolab.policies.categorical import Categorical, FactoredCategorical
from trpolab.policies.convnet import ConvNet
from trpolab.policies.distributions import Distribution
from trpolab.policies.gaussian import DiagonalGaussian
from trpolab.policies.mlp import MLP
from trpolab.policies.normalizer import Normalizer
from trpolab.policies.policy import Policy
from trpolab.settings import PlainError

SCHEMA = 1
LARGEST_FILE = 512 * 2**20  # bytes
LARGEST_HEADER = 2**20
METADATA_KEY = "trpolab"
# "convolutions" as well for a policy that sees pixels; "sizes" are then those of the layers after them
KEYS = {"schema", "sizes", "activation", "bias", "distribution", "obs_shape", "normalizer_count", "about"}
BYTES = {"F32": 4, "F64": 8}
DISTRIBUTIONS: dict[str, Any] = {kind.__name__: kind for kind in (DiagonalGaussian, Categorical, FactoredCategorical)}


class PolicyFileError(PlainError):
    """A file that cannot be read as a policy; the message says why in a sentence."""


def policy_content(policy: Policy, about: dict[str, Any]) -> bytes:
    """A policy, its normaliser included, and a JSON-able description of where it comes from, as a file's content.

    Raises ValueError if a number in `about` is not finite.
    """
    tensors = {"theta": policy.theta.detach().cpu().numpy()}
    if policy.normalizer is not None:
        tensors |= {"normalizer.mean": policy.normalizer.mean, "normalizer.var": policy.normalizer.var}
    distribution: Any = policy.distribution
    network: Any = policy.network
    description = {
        "schema": SCHEMA,
        "sizes": network.head.sizes if isinstance(network, ConvNet) else network.sizes,
        "activation": network.activation,
        "bias": network.bias,
        "distribution": {
            "kind": type(distribution).__name__,
            **{f.name: getattr(distribution, f.name) for f in dataclasses.fields(distribution)},
        },
        "obs_shape": policy.obs_shape,
        "normalizer_count": None if policy.normalizer is None else policy.normalizer.count,
        "about": about,
    }
    if isinstance(network, ConvNet):
        description["convolutions"] = [network.filters, network.kernel, network.stride]
    return safetensors.numpy.save(tensors, {METADATA_KEY: json.dumps(description, allow_nan=False)})


def save_policy(path: str | os.PathLike[str], policy: Policy, about: dict[str, Any]) -> None:
    """Write `policy_content` to a file, which appears whole or not at all."""
    content = policy_content(policy, about)
    target = Path(path)
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    with open(aside, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, target)


def read_policy(path: str | os.PathLike[str]) -> tuple[Policy, dict[str, Any]]:
    """The policy of a file and what `save_policy` was told about it.

    Names, shapes, dtypes, sizes and finiteness are checked, sizes before anything is allocated.
    Raises PolicyFileError with the reason for anything that is not such a policy.
    """
    try:
        return _read(Path(path))
    except OSError as error:
        raise PolicyFileError(f"{path}: cannot be read ({error.strerror or error})") from error
    except PolicyFileError as error:
        raise PolicyFileError(f"{path}: {error}") from error


def _read(path: Path) -> tuple[Policy, dict[str, Any]]:
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise PolicyFileError(f"has {size} bytes; a policy has at most {LARGEST_FILE}")
    with open(path, "rb") as file:
        header = _header(file.read(8 + LARGEST_HEADER), size)
        description = _description(header)
        empty = _shape_of(description)
        _check_tensors(header, empty)
        file.seek(0)
        content = file.read(size)
    try:
        tensors = safetensors.numpy.load(content)
    except (SafetensorError, ValueError) as error:
        raise PolicyFileError(f"is damaged: {error}") from error
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise PolicyFileError(f"{name} holds numbers that are not finite")
    return empty.filled(tensors), description["about"]


def _header(start: bytes, size: int) -> dict[str, Any]:
    """The JSON header of a safetensors file, from the file's first bytes."""
    length = struct.unpack("<Q", start[:8])[0] if len(start) >= 8 else 0
    if not 2 <= length <= min(LARGEST_HEADER, size - 8):
        raise PolicyFileError("is not a safetensors file, or only a part of one")
    try:
        header = json.loads(start[8 : 8 + length])
    except (ValueError, RecursionError) as error:
        raise PolicyFileError("is not a safetensors file: its header is not JSON") from error
    if not isinstance(header, dict) or not all(isinstance(entry, dict) for entry in header.values()):
        raise PolicyFileError("is not a safetensors file: its header is not a table")
    return header


def _description(header: dict[str, Any]) -> dict[str, Any]:
    """What `save_policy` wrote into the metadata, its keys checked."""
    text = header.get("__metadata__", {}).get(METADATA_KEY)
    if not isinstance(text, str):
        raise PolicyFileError("is a safetensors file, but not of a policy saved by trpolab")
    try:
        description = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PolicyFileError("its description is not JSON") from error
    if not isinstance(description, dict):
        raise PolicyFileError("its description is not a table")
    schema = description.get("schema")
    if schema != SCHEMA:
        newer = isinstance(schema, int) and schema > SCHEMA
        raise PolicyFileError(
            f"has schema {schema!r}, this version reads {SCHEMA}" + ("; update trpolab" if newer else "")
        )
    if set(description) - {"convolutions"} != KEYS:
        raise PolicyFileError(f"its description has the keys {sorted(description)}, expected {sorted(KEYS)}")
    return description


@dataclass(frozen=True)
class _Empty:
    """A policy's shape before its tensors are read."""

    network: MLP | ConvNet
    distribution: Distribution
    obs_shape: tuple[int, ...]
    count: float | None  # of the normaliser

    def tensors(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Name -> (safetensors dtype, shape) of every tensor that the file must hold."""
        expected: dict[str, tuple[str, tuple[int, ...]]] = {
            "theta": ("F32", (self.network.size + self.distribution.own_parameters,))
        }
        if self.count is not None:
            expected |= dict.fromkeys(("normalizer.mean", "normalizer.var"), ("F64", self.obs_shape))
        return expected

    def filled(self, tensors: dict[str, np.ndarray]) -> Policy:
        """The policy. Raises PolicyFileError if the parts do not fit each other."""
        normalizer = None
        if self.count is not None:
            mean, var = tensors["normalizer.mean"].copy(), tensors["normalizer.var"].copy()
            if (var < 0).any():
                raise PolicyFileError("normalizer.var holds negative numbers")
            normalizer = Normalizer(self.count, mean, var)
        try:
            return Policy(
                self.network, self.distribution, torch.from_numpy(tensors["theta"].copy()), normalizer, self.obs_shape
            )
        except ValueError as error:
            raise PolicyFileError(f"its parts do not fit: {error}") from error


def _shape_of(description: dict[str, Any]) -> _Empty:
    """The shape that a description tells of, every number checked, before anything is allocated for it."""
    sizes, obs_shape = _whole_numbers(description, "sizes"), _whole_numbers(description, "obs_shape")
    count, bias, entry = description["normalizer_count"], description["bias"], description["distribution"]
    if count is not None and not (isinstance(count, int | float) and math.isfinite(count) and count >= 0):
        raise PolicyFileError(f"normalizer_count = {count!r}: must be a number >= 0, or null")
    if not isinstance(bias, bool):
        raise PolicyFileError(f"bias = {bias!r}: must be true or false")
    if not isinstance(description["about"], dict):
        raise PolicyFileError("what it says about the policy is not a table")
    kind = DISTRIBUTIONS.get(str(entry.get("kind"))) if isinstance(entry, dict) else None
    if kind is None or set(entry) != {"kind", *(field.name for field in dataclasses.fields(kind))}:
        raise PolicyFileError(f"distribution = {entry!r}: not one that this version knows")
    fields = {
        name: tuple(value) if isinstance(value, list) else value for name, value in entry.items() if name != "kind"
    }
    for name, value in fields.items():
        if value is not None and not all(type(n) is int for n in (value if isinstance(value, tuple) else (value,))):
            raise PolicyFileError(f"distribution.{name} = {value!r}: must be whole numbers")
    try:
        empty = _Empty(_network(description, sizes, obs_shape), kind(**fields), obs_shape, count)
        fits = empty.network.outputs == empty.distribution.outputs
        if isinstance(empty.network, ConvNet):
            fits = fits and empty.network.head.sizes == sizes
        else:
            fits = fits and sizes[0] == math.prod(obs_shape)
    except (TypeError, ValueError) as error:
        raise PolicyFileError(f"its description is wrong: {error}") from error
    if not fits:
        raise PolicyFileError(
            f"sizes = {list(sizes)} do not fit observations {list(obs_shape)} and {empty.distribution}"
        )
    return empty


def _network(description: dict[str, Any], sizes: tuple[int, ...], obs_shape: tuple[int, ...]) -> MLP | ConvNet:
    activation, bias = description["activation"], description["bias"]
    if "convolutions" not in description:
        return MLP(sizes, activation, bias)
    filters, kernel, stride = _whole_numbers(description, "convolutions")
    channels, height, width = obs_shape
    image = (channels, height, width)
    return ConvNet(image, sizes[1:-1], sizes[-1], activation, bias, filters, kernel, stride)


def _whole_numbers(description: dict[str, Any], key: str) -> tuple[int, ...]:
    numbers = description[key]
    if not isinstance(numbers, list) or not all(type(n) is int and 1 <= n <= LARGEST_FILE for n in numbers):
        raise PolicyFileError(f"{key} = {numbers!r}: must be a list of whole numbers >= 1")
    return tuple(numbers)


def _check_tensors(header: dict[str, Any], empty: _Empty) -> None:
    """Names, dtypes, shapes and sizes of the tensors, against the description."""
    expected = empty.tensors()
    found = {name: entry for name, entry in header.items() if name != "__metadata__"}
    if set(found) != set(expected):
        raise PolicyFileError(f"holds the tensors {sorted(found)}, expected {sorted(expected)}")
    for name, (dtype, shape) in expected.items():
        if found[name].get("dtype") != dtype or found[name].get("shape") != list(shape):
            given = f"{found[name].get('dtype')} {found[name].get('shape')}"
            raise PolicyFileError(f"{name} is {given}, expected {dtype} {list(shape)}")
    total = sum(math.prod(shape) * BYTES[dtype] for dtype, shape in expected.values())
    if total > LARGEST_FILE:
        raise PolicyFileError(f"its tensors take {total} bytes; a policy has at most {LARGEST_FILE}")
