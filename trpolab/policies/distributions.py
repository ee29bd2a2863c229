"""Action distributions (Appendix D): what the outputs of a network mean.

A distribution is a shape. Its parameters u [B, U] come from a network's outputs and from `own` parameters that do not
depend on the state. Sampling takes its noise as an argument, in NumPy; everything that an update needs is torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from trpolab.numerics.arrays import Array, as_array, as_tensor


class Distribution:
    """Base of distributions: frozen dataclasses whose fields are numbers, texts, booleans or tuples of them.

    A distribution says `outputs` (the width of the network's output) and `action_shape` (*A), and has `log_prob`, `kl`,
    `entropy`, `noise`, `sample_from` and `mode`. The other derivatives follow by autograd; where their speed counts, a
    distribution writes them by hand.
    """

    action_dtype: ClassVar[np.dtype[Any]] = np.dtype(np.float32)  # of sampled actions
    noise_centre: ClassVar[float] = 0.0  # noise is as likely above it as below
    scalable: ClassVar[bool] = False  # whether its actions may be in units of the task's bounds: see `in_units`
    least_log_std = -math.inf  # where its log σ may begin, if it has one

    if TYPE_CHECKING:  # not there at run time: a dataclass would take them for defaults of its fields

        @property
        def outputs(self) -> int: ...

        @property
        def action_shape(self) -> tuple[int, ...]: ...

    @property
    def noise_size(self) -> int:
        """Random numbers that one action takes."""
        return math.prod(self.action_shape)

    @property
    def own_parameters(self) -> int:
        """Number of parameters that do not depend on the state."""
        return 0

    @property
    def parameter_count(self) -> int:
        """U."""
        return self.outputs + self.own_parameters

    @property
    def action_count(self) -> int | None:
        """A, the number of actions, all combinations of factored ones; None for continuous ones."""
        return None

    def log_prob(self, u: Tensor, actions: Tensor) -> Tensor:
        """log π(a) [B] of actions [B, *A]."""
        raise NotImplementedError

    def kl(self, u_old: Tensor, u_new: Tensor) -> Tensor:
        """KL(old‖new) [B]."""
        raise NotImplementedError

    def entropy(self, u: Tensor) -> Tensor:
        """Entropy [B] in nats."""
        raise NotImplementedError

    def noise(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Random numbers [*shape, noise_size] that `sample_from` turns into actions."""
        raise NotImplementedError

    def sample_from(self, u: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Actions [B, *A]; u [B, U], noise [B, noise_size]."""
        raise NotImplementedError

    def mode(self, u: np.ndarray) -> np.ndarray:
        """The likeliest actions [B, *A]."""
        raise NotImplementedError

    def initial(self, log_std: float) -> Tensor:
        """Own parameters at the start [own_parameters] float32; `log_std` is what the settings say."""
        return torch.zeros(self.own_parameters)

    def assemble(self, outputs: Tensor, own: Tensor) -> Tensor:
        """u [B, U] from network outputs [B, outputs] and own parameters."""
        if not self.own_parameters:
            return outputs
        return torch.cat([outputs, own.expand(outputs.shape[0], -1)], dim=1)

    def assemble_jvp(self, own: Tensor, d_outputs: Tensor, d_own: Tensor) -> Tensor:
        """Tangent of u [B, U] from those of the outputs [B, outputs] and of the own parameters."""
        return self.assemble(d_outputs, d_own)

    def assemble_vjp(self, own: Tensor, cotangent: Tensor) -> tuple[Tensor, Tensor]:
        """Cotangents of the outputs [B, outputs] and of the own parameters (summed over rows) from that of u [B, U]."""
        return cotangent[:, : self.outputs], cotangent[:, self.outputs :].sum(0)

    def bounded(self, own: Tensor) -> Tensor:
        """Own parameters moved onto their bounds where they lie outside; the distribution stays the same."""
        return own

    def clamped(self, own: Tensor) -> int:
        """How many own parameters stand where a policy is of little use: 0 if it never is."""
        return 0

    def score(self, u: Tensor, actions: Tensor) -> Tensor:
        """∂ log π(a) / ∂u [B, U]."""
        with torch.enable_grad():
            u = u.detach().requires_grad_()
            return torch.autograd.grad(self.log_prob(u, actions).sum(), u)[0]

    def kl_slope(self, u_old: Tensor, u_new: Tensor) -> Tensor:
        """∂ KL(old‖new) / ∂u_new [B, U]."""
        with torch.enable_grad():
            u_new = u_new.detach().requires_grad_()
            return torch.autograd.grad(self.kl(u_old.detach(), u_new).sum(), u_new)[0]

    def output_metric(self, outputs: Array, own: Array) -> Callable[[Array], Array]:
        """M, the KL's second derivative in the network's outputs, as d_outputs [B, outputs] ↦ cotangent of that shape.

        `outputs` [B, outputs] and `own` are where it is taken.
        """
        at = as_tensor(outputs).detach()
        fixed = as_tensor(own).detach()
        with torch.enable_grad():
            x = at.clone().requires_grad_()
            kl = self.kl(self.assemble(at, fixed), self.assemble(x, fixed)).sum()
            (slope,) = torch.autograd.grad(kl, x, create_graph=True)
        return lambda d: as_array(torch.autograd.grad(slope, x, as_tensor(d), retain_graph=True)[0])

    def own_metric(self, own: Tensor) -> Tensor:
        """The same for the own parameters: the diagonal [own_parameters]; no state and no output may enter it.

        If the metric of own parameters has another form, let the network give them as outputs instead.
        """
        if self.own_parameters:
            raise NotImplementedError(f"{type(self).__name__} has own parameters, and no own_metric")
        return own

    def widened(self, u: np.ndarray, factor: float) -> np.ndarray:
        """Parameters [N, U] of a wider distribution, whose support is the same."""
        raise ValueError(f"{self} has no wider one: use another proposal than 'widened'")

    def in_units(self, u: Tensor, middle: Tensor, half: Tensor) -> Tensor:
        """u [B, U] of middle + half · a [*A], for actions a of the distributions u."""
        raise NotImplementedError(f"{type(self).__name__} is not scalable")

    def joint_action(self, indices: np.ndarray) -> np.ndarray:
        """Actions [..., *A] from their numbers 0 … A - 1 [...]."""
        raise ValueError(f"{self} has no finite set of actions")
