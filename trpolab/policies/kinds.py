"""Networks and distributions that a policy can have: an entry each, and which one suits a task's spaces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any, ClassVar, TypeVar

from gymnasium import spaces

from trpolab.policies.distributions import Distribution
from trpolab.policies.frames import height_axis
from trpolab.policies.network import Network
from trpolab.registry import REQUIRED, Entry, Registry
from trpolab.settings import PlainError

AUTO = "auto"  # the first entry that fits the task
Space = spaces.Space[Any]


@dataclass(frozen=True, kw_only=True)
class NetworkKind(Entry):
    """A network: how it is made, and for which observations."""

    functions: ClassVar[dict[str, str]] = {"make": "shape, outputs, policy, settings", "fits": "space"}

    network: type[Network] = REQUIRED  # its fields are what policy files hold of it
    make: Callable[..., Network] = REQUIRED  # (shape of an observation, outputs, PolicyConfig, its own settings)
    # Whether it takes observations of this space. One that sees pixels is asked about pictures only.
    fits: Callable[[Space], bool] = lambda space: isinstance(space, spaces.Box)


@dataclass(frozen=True, kw_only=True)
class DistributionKind(Entry):
    """A distribution: how it is made, and for which actions."""

    functions: ClassVar[dict[str, str]] = {"make": "space, settings", "fits": "space"}

    distribution: type[Distribution] = REQUIRED  # its fields are what policy files hold of it
    make: Callable[..., Distribution] = REQUIRED  # (action space, its own settings)
    fits: Callable[[Space], bool] = REQUIRED  # whether it takes actions of this space


K = TypeVar("K", bound=Entry)


class PolicyKinds(Registry[K]):
    """Networks or distributions by name."""

    def _problems(self, entry: K) -> Iterator[str]:
        yield from super()._problems(entry)
        if entry.name == AUTO:
            yield f"the name is taken: {AUTO!r} is the first that fits a task"
        made, base = getattr(entry, self.what), Network if self.what == "network" else Distribution
        if not (isinstance(made, type) and issubclass(made, base) and is_dataclass(made)):
            yield f"{self.what} = {made!r}: must be a frozen dataclass derived from trpolab.policies.{base.__name__}"


NETWORKS = PolicyKinds("network", NetworkKind)
DISTRIBUTIONS = PolicyKinds("distribution", DistributionKind)


def settings_of(kind: Entry, settings: Mapping[str, Any] | None) -> Any:
    """An entry's own settings among those given by the name of their part; their defaults if not given."""
    return (settings or {}).get(kind.part, kind.settings and kind.settings())


def network_kind(observation_space: Space, name: str = AUTO) -> NetworkKind:
    """The network of this name, or the first that fits; of pictures, the first that sees pixels.

    Raises PlainError that quotes the space where none does.
    """
    kinds, pictures = NETWORKS.values(), height_axis(observation_space) is not None
    seeing = [kind for kind in kinds if kind.network.sees_pixels and pictures]
    others = [kind for kind in kinds if not kind.network.sees_pixels]
    fitting = [kind for kind in (*seeing, *others) if kind.fits(observation_space)]
    wrong = f"observation space {observation_space}: must be a Box (or Discrete, given one-hot)"
    return _chosen(fitting, f"policy.network = {name!r}", name, wrong)


def distribution_kind(action_space: Space, name: str = AUTO) -> DistributionKind:
    """The same for a distribution."""
    fitting = [kind for kind in DISTRIBUTIONS.values() if kind.fits(action_space)]
    wrong = f"action space {action_space}: must be a Box of floats, Discrete, or a flat MultiDiscrete"
    return _chosen(fitting, f"policy.distribution = {name!r}", name, wrong)


def _chosen(fitting: list[K], setting: str, name: str, wrong: str) -> K:
    if not fitting:
        raise PlainError(wrong)
    for kind in fitting:
        if name in (AUTO, kind.name):
            return kind
    raise PlainError(f"{setting}: does not fit the task; use one of {AUTO}, {', '.join(kind.name for kind in fitting)}")
