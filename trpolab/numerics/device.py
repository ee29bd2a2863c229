"""Where arithmetic runs: on the CPU, or on a GPU by CUDA; what that is called, and how much memory is free there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch

CPU = "CPU"


def device_problems(name: str) -> list[str]:
    """That CUDA was asked for and there is none, in a sentence."""
    missing = name == "cuda" and not torch.cuda.is_available()
    return ["device = 'cuda': torch finds no CUDA device here; use 'cpu' or 'auto'"] if missing else []


def device_for(name: str) -> str:
    """`auto` is CUDA where there is one. Raises ValueError if CUDA was asked for and there is none."""
    if problems := device_problems(name):
        raise ValueError(problems[0])
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name


def device_name(name: str) -> str:
    """What runs the update where the setting is auto, cpu or cuda: "CPU", or the GPU's name."""
    return torch.cuda.get_device_name() if device_for(name) == "cuda" else CPU


def exact_convolutions() -> AbstractContextManager[None]:
    """Inside, cuDNN rounds to no fewer bits than float32 has, and adds in the same order every time."""
    return torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)


def memory_taken(work: Callable[[], Any]) -> int:
    """The most bytes of the GPU's memory that a piece of work takes; it is done twice, as the first time costs more."""
    work()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    work()
    return torch.cuda.max_memory_allocated() - before


def free_memory() -> int:
    """Bytes of the GPU's memory that tensors can still take, those that torch holds in reserve included."""
    return torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
