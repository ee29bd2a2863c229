"""`trpolab bench device` where there is no GPU."""

from __future__ import annotations

import pytest
import torch

from trpolab.bench import device


def test_without_a_gpu_it_says_so_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(device, "Session", lambda *_, **__: pytest.fail("sampled"))
    (row,) = device.device(pytest.fail).rows
    assert row.startswith("nothing: torch finds no CUDA device here |")
