"""A policy as a torch.nn.Module, for other programs: torch.export, torch.jit.trace, ONNX, or further training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trpolab.policies.acting import ActionBounds
from trpolab.policies.frames import BRIGHTEST, planes
from trpolab.policies.normalizer import CLIP
from trpolab.policies.parts import PolicyParts


class PolicyModule(nn.Module):
    """u [B, U], the distribution's parameters in the task's units, at raw observations [B, *O].

    θ is a parameter (`theta`), the normaliser's shift and scale are buffers (float64). The numbers are those of the
    policy up to rounding. Of a Gaussian u is [mean, log σ], of discrete actions the logits.
    """

    shift: Tensor
    scale: Tensor
    action_middle: Tensor
    action_half: Tensor

    def __init__(self, policy: PolicyParts):
        super().__init__()
        self.network, self.distribution = policy.network, policy.distribution
        self.theta = nn.Parameter(policy.theta.detach().clone())
        self.obs_shape = policy.obs_shape
        self.normalized, self.height = policy.normalizer is not None, policy.height_axis
        if policy.normalizer is not None:
            shift, scale = policy.normalizer.shift_and_scale
            self.register_buffer("shift", torch.tensor(shift))
            self.register_buffer("scale", torch.tensor(scale))
        bounds = ActionBounds.of(policy.action_space, policy.scaled_actions)
        self.scaled = bounds.middle is not None
        if self.scaled:
            self.register_buffer("action_middle", torch.tensor(bounds.middle))
            self.register_buffer("action_half", torch.tensor(bounds.half))

    def forward(self, obs: Tensor) -> Tensor:
        """u [B, U] at observations [B, *O]: floats, or bytes for a policy that sees pixels.

        Raises ValueError for another shape, such as that of one observation.
        """
        if not torch.jit.is_tracing() and obs.shape[1:] != self.obs_shape:
            wanted = ", ".join(map(str, self.obs_shape))
            raise ValueError(f"obs has shape {list(obs.shape)}: must be [B, {wanted}] for B observations")
        size = self.network.size
        if self.normalized:
            obs = ((obs - self.shift) * self.scale).clamp(-CLIP, CLIP)
        x = obs.to(self.theta.dtype)
        x = planes(x, self.height) / BRIGHTEST if self.network.sees_pixels else x.flatten(1)
        u = self.distribution.assemble(self.network.forward(self.theta[:size], x), self.theta[size:])
        return self.distribution.in_units(u, self.action_middle, self.action_half) if self.scaled else u
