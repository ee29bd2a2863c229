"""What a policy file says about the policy besides its tensors, as JSON: its kinds and their fields, its spaces.

Nothing is trusted: every value is checked before anything is allocated for it.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
from gymnasium import spaces

from trpolab.policies.distributions import Distribution
from trpolab.policies.frames import planes_shape
from trpolab.policies.kinds import DISTRIBUTIONS, NETWORKS
from trpolab.policies.network import Network
from trpolab.policies.normalizer import OLD_EPSILON
from trpolab.policies.parts import PolicyParts
from trpolab.registry import Registry
from trpolab.settings import PlainError, as_setting

SCHEMA = 4
SPACES = {"obs_shape", "height_axis", "action_space", "scaled_actions", "states"}
KEYS = {"schema", "network", "distribution", "normalizer_count", "normalizer_epsilon", "about", *SPACES}
# What is new in schema 3, as it was before: pictures are [C, H, W].
BEFORE = {"height_axis": 1, "normalizer_epsilon": OLD_EPSILON, "scaled_actions": False}
# What is new in schema 4: fields of distributions.
BEFORE_4: dict[str, dict[str, Any]] = {"gaussian": {"least_log_std": -5.0}}
OLD_KEYS = {"schema", "sizes", "activation", "bias", "distribution", "obs_shape", "normalizer_count", "about"}
OLD_DISTRIBUTIONS = {"DiagonalGaussian": "gaussian", "Categorical": "categorical", "FactoredCategorical": "factored"}
WHOLE = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
LARGEST = 2**29  # of a whole number


class PolicyFileError(PlainError):
    """A file that cannot be read as a policy; the message says why in a sentence."""


def description_of(policy: PolicyParts, about: dict[str, Any]) -> dict[str, Any]:
    """What a file says about a policy. Raises ValueError for a network or distribution that is not registered."""
    return {
        "schema": SCHEMA,
        "network": _entry(NETWORKS, "network", policy.network),
        "distribution": _entry(DISTRIBUTIONS, "distribution", policy.distribution),
        "obs_shape": policy.obs_shape,
        "height_axis": policy.height_axis,
        "normalizer_count": None if policy.normalizer is None else policy.normalizer.count,
        "normalizer_epsilon": None if policy.normalizer is None else policy.normalizer.epsilon,
        "scaled_actions": policy.scaled_actions,
        "action_space": _space_entry(policy.action_space),
        "states": _space_entry(policy.states),
        "about": about,
    }


def described(description: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The fields of `PolicyParts` and those of its `Normalizer` that are no tensors, by a description of any schema.

    Raises PolicyFileError.
    """
    schema = description.get("schema")
    if schema not in (1, 2, 3, SCHEMA):
        advice = "; update trpolab" if isinstance(schema, int) and schema > SCHEMA else ""
        raise PolicyFileError(f"has schema {schema!r}, this version reads up to {SCHEMA}{advice}")
    expected = OLD_KEYS if schema == 1 else KEYS - (set(BEFORE) if schema == 2 else set())
    if set(description) - ({"convolutions"} if schema == 1 else set()) != expected:
        raise PolicyFileError(f"its description has the keys {sorted(description)}, expected {sorted(expected)}")
    if schema == 1:
        description = _renewed(description)
    description = BEFORE | description
    entry = description["distribution"]
    if schema < SCHEMA and isinstance(entry, dict):
        description["distribution"] = BEFORE_4.get(str(entry.get("kind")), {}) | entry
    count = _checked(float | None, description["normalizer_count"], "normalizer_count")
    if count is not None and count < 0:
        raise PolicyFileError(f"normalizer_count = {count!r}: must be a number >= 0, or null")
    epsilon = _checked(float | None, description["normalizer_epsilon"], "normalizer_epsilon") or 0.0
    if not isinstance(description["about"], dict):
        raise PolicyFileError("what it says about the policy is not a table")
    network: Network = _made(NETWORKS, "network", description["network"])
    distribution: Distribution = _made(DISTRIBUTIONS, "distribution", description["distribution"])
    obs_shape = _checked(tuple[int, ...], description["obs_shape"], "obs_shape")
    height = _checked(int, description["height_axis"], "height_axis")
    wanted: tuple[int, ...] = (math.prod(obs_shape),)
    if network.sees_pixels and 0 <= height < len(obs_shape) - 1 and 0 not in obs_shape:
        wanted = planes_shape(obs_shape, height)
    if min(obs_shape, default=1) < 1 or network.inputs != wanted or network.outputs != distribution.outputs:
        raise PolicyFileError(f"{network} does not fit observations {list(obs_shape)} and {distribution}")
    known = {name: _space(description[name], name) for name in ("action_space", "states")}
    if not isinstance(known["states"], spaces.Discrete | None):
        raise PolicyFileError(f"states = {known['states']}: must be Discrete, or null")
    return {
        "network": network,
        "distribution": distribution,
        "obs_shape": obs_shape,
        "height_axis": height,
        "scaled_actions": _checked(bool, description["scaled_actions"], "scaled_actions"),
        **known,
    }, None if count is None else {"count": count, "epsilon": epsilon}


def _entry(kinds: Registry[Any], what: str, part: Any) -> dict[str, Any]:
    """{"kind": name, field: value, ...} of a network or distribution."""
    for kind in kinds.values():  # by name: a class that was defined again in a notebook is another object
        if _qualified(getattr(kind, what)) == _qualified(type(part)):
            return {"kind": kind.name, **{field.name: getattr(part, field.name) for field in dataclasses.fields(part)}}
    raise ValueError(f"the {what} {type(part).__name__} is not registered, so no file could be read: trpolab.register")


def _qualified(cls: type) -> tuple[str, str]:
    return cls.__module__, cls.__qualname__


def _made(kinds: Registry[Any], what: str, entry: Any) -> Any:
    """The network or distribution of an entry."""
    if not isinstance(entry, dict) or not isinstance(entry.get("kind"), str):
        raise PolicyFileError(f"{what} = {entry!r}: must be a table with its kind")
    if entry["kind"] not in kinds:
        raise PolicyFileError(
            f"its {what} is of the kind {entry['kind']!r}, which is not registered here (there are "
            f"{', '.join(kinds)}): import the module that calls trpolab.register for it"
        )
    make = getattr(kinds[entry["kind"]], what)
    kept = {field.name: field for field in dataclasses.fields(make)}
    if set(entry) != {"kind", *kept}:
        raise PolicyFileError(f"{what} = {entry!r}: a {entry['kind']!r} has {', '.join(kept)}")
    hints = get_type_hints(make)
    try:
        return make(**{name: _checked(hints[name], entry[name], f"{what}.{name}") for name in kept})
    except (TypeError, ValueError, ArithmeticError) as error:
        if isinstance(error, PolicyFileError):
            raise
        raise PolicyFileError(f"its {what} is wrong: {error}") from error


def _checked(kind: Any, value: Any, name: str) -> Any:
    """A JSON value, lists as tuples, if it has the annotated type."""
    value = as_setting(value)
    if not _fits(kind, value):
        wanted = kind.__name__ if type(kind) is type else kind
        raise PolicyFileError(f"{name} = {value!r:.200}: must be {wanted}, of finite numbers up to {LARGEST}")
    return value


def _fits(kind: Any, value: Any) -> bool:
    inner = get_args(kind)
    if get_origin(kind) is tuple:
        if not isinstance(value, tuple):
            return False
        inner = inner[:1] * len(value) if inner[-1] is ... else inner
        return len(inner) == len(value) and all(map(_fits, inner, value))
    if inner:
        return any(_fits(option, value) for option in inner)
    if type(value) is int:
        return kind in (int, float) and abs(value) <= LARGEST
    return type(value) is kind and (kind is not float or math.isfinite(value))


def _space_entry(space: Any) -> dict[str, Any] | None:
    """A space as JSON; a bound that is infinite is null."""
    match space:
        case spaces.Box():
            return {"kind": "Box", "dtype": space.dtype.name, "low": _listed(space.low), "high": _listed(space.high)}
        case spaces.Discrete():
            whole = {"n": int(space.n), "start": int(space.start)}
            return {"kind": "Discrete", "dtype": space.dtype.name, **whole}
        case spaces.MultiDiscrete():
            nvec, start = space.nvec.tolist(), space.start.tolist()
            return {"kind": "MultiDiscrete", "dtype": space.dtype.name, "nvec": nvec, "start": start}
    return None


def _listed(bound: np.ndarray) -> Any:
    listed = bound.astype(object)
    listed[~np.isfinite(bound)] = None
    return listed.tolist()


def _space(entry: Any, name: str) -> spaces.Space[Any] | None:
    """The space of an entry: no more numbers than the file's header holds."""
    try:
        match entry:
            case None:
                return None
            case {"kind": "Box", "dtype": "float16" | "float32" | "float64" as dtype, "low": low, "high": high}:
                low, high = np.array(low, dtype), np.array(high, dtype)
                low, high = np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)
                return spaces.Box(low.astype(dtype), high.astype(dtype), dtype=np.dtype(dtype).type)
            case {"kind": "Discrete", "n": n, "start": int() as start}:
                kind = _whole(entry.get("dtype", "int64"))
                return spaces.Discrete(_checked(int, n, name), start=start, dtype=kind)
            case {"kind": "MultiDiscrete", "dtype": dtype, "nvec": nvec, "start": start}:
                nvec, start = (np.array(_checked(tuple[int, ...], numbers, name)) for numbers in (nvec, start))
                return spaces.MultiDiscrete(nvec, dtype=_whole(dtype), start=start)
    except (TypeError, ValueError, AssertionError, OverflowError) as error:
        raise PolicyFileError(f"{name} = {entry!r:.200}: {error}") from error
    raise PolicyFileError(f"{name} = {entry!r:.200}: must be a Box of floats, Discrete or MultiDiscrete, or null")


def _whole(name: Any) -> Any:
    """The type of whole numbers of this name."""
    if name not in WHOLE:
        raise ValueError(f"dtype = {name!r}: must be one of {', '.join(WHOLE)}")
    return np.dtype(name).type


def _renewed(description: dict[str, Any]) -> dict[str, Any]:
    """A description of schema 1 as this schema has it."""
    sizes, entry = _checked(tuple[int, ...], description["sizes"], "sizes"), description["distribution"]
    if len(sizes) < 2:
        raise PolicyFileError(f"sizes = {list(sizes)}: must be (in, *hidden, out)")
    network: dict[str, Any] = {"kind": "mlp", "sizes": list(sizes)}
    if "convolutions" in description:
        filters, kernel, stride = _checked(tuple[int, int, int], description["convolutions"], "convolutions")
        network = {"kind": "convnet", "image": description["obs_shape"], "hidden": list(sizes[1:-1])}
        network |= {"outputs": sizes[-1], "filters": filters, "kernel": kernel, "stride": stride}
    network |= {"activation": description["activation"], "bias": description["bias"]}
    if isinstance(entry, dict) and isinstance(entry.get("kind"), str):
        entry = entry | {"kind": OLD_DISTRIBUTIONS.get(entry["kind"], entry["kind"])}
    return description | {"network": network, "distribution": entry, "action_space": None, "states": None}
