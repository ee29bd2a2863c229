"""What the setting `device` means here, and what runs there are called."""

from __future__ import annotations

import pytest
import torch

from trpolab.numerics.device import device_for, device_name, exact_convolutions


def test_without_a_gpu_auto_is_the_cpu_and_cuda_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert (device_for("auto"), device_name("auto"), device_name("cpu")) == ("cpu", "CPU", "CPU")
    for ask in (device_for, device_name):
        with pytest.raises(ValueError, match=r"device = 'cuda': torch finds no CUDA device here; use 'cpu' or 'auto'"):
            ask("cuda")


def test_with_a_gpu_both_are_it_and_called_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA Pocket")
    assert [device_for(name) for name in ("auto", "cuda", "cpu")] == ["cuda", "cuda", "cpu"]
    assert [device_name(name) for name in ("auto", "cuda", "cpu")] == ["NVIDIA Pocket", "NVIDIA Pocket", "CPU"]


def test_convolutions_keep_all_digits_only_where_that_is_asked_for() -> None:
    before = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic
    with exact_convolutions():
        assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic) == (False, True)
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic) == before
