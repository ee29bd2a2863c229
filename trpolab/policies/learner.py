"""What an iteration hands to the next."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from trpolab.policies.policy import Policy
from trpolab.policies.value import ValueFunction


@dataclass(frozen=True, eq=False)
class Learner:
    """The policy, the value function if one is used, and the method's own state."""

    policy: Policy
    value: ValueFunction | None = None
    state: dict[str, Any] = field(default_factory=dict)  # of the method; never written to, only replaced

    def replace(self, **changes: Any) -> Learner:
        """A copy with fields changed."""
        return dataclasses.replace(self, **changes)
