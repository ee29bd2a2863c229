"""Policy files: what was saved comes back, and nothing else is let in."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from gymnasium import spaces

from tests import reference
from trpolab.policies import Policy, PolicyFileError, make_policy, read_policy, save_policy
from trpolab.policies import serialization as files
from trpolab.training.config import PolicyConfig

SPACES = {**reference.ACTION_SPACES, "shifted": spaces.Discrete(3, start=2), "shaped": spaces.Box(-1, 1, (2, 2))}


def a_policy(kind: str = "gaussian", normalize: bool = True) -> Policy:
    config = PolicyConfig(hidden=(4,), normalize_observations=normalize)
    generator = np.random.default_rng(0)
    policy = make_policy(spaces.Box(-1, 1, (3,)), SPACES[kind], config, generator)
    if policy.normalizer is None:
        return policy
    return policy.replace(normalizer=policy.normalizer.updated(generator.normal(size=(9, 3))))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_policy(tmp_path / "p.safetensors", a_policy(), {"task": "Toy", "score": 1.5})
    return tmp_path / "p.safetensors"


def rewrite(path: Path, description: dict | None = None, tensors: dict | None = None, drop: str = "") -> None:
    """Write the file again, its description or tensors changed."""
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    about = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["trpolab"]) | (description or {})
    about.pop(drop, None)
    arrays = safetensors.numpy.load(content) | (tensors or {})
    arrays = {name: array for name, array in arrays.items() if array is not None}
    path.write_bytes(safetensors.numpy.save(arrays, {"trpolab": json.dumps(about)}))


@pytest.mark.parametrize("kind", list(SPACES))
@pytest.mark.parametrize("normalize", [True, False])
def test_what_was_saved_comes_back(kind: str, normalize: bool, tmp_path: Path) -> None:
    policy = a_policy(kind, normalize)
    save_policy(tmp_path / "p", policy, {"task": "Toy"})
    found, about = read_policy(tmp_path / "p")
    assert about == {"task": "Toy"}
    assert torch.equal(found.theta, policy.theta)
    assert (found.network, found.distribution, found.obs_shape) == (
        policy.network,
        policy.distribution,
        policy.obs_shape,
    )
    obs = np.random.default_rng(1).normal(size=(5, 3))
    np.testing.assert_array_equal(found.actor(8).parameters(obs), policy.actor(8).parameters(obs))
    assert [entry.name for entry in tmp_path.iterdir()] == ["p"]


def test_what_json_cannot_say_is_refused_and_leaves_the_old_file(saved: Path) -> None:
    before = saved.read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        save_policy(saved, a_policy(), {"score": float("nan")})
    assert saved.read_bytes() == before


@pytest.mark.reliability("R26")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"description": {"schema": 99}}, "schema 99.*update trpolab"),
        ({"description": {"extra": 1}}, "extra"),
        ({"drop": "about"}, "keys"),
        ({"description": {"sizes": [3, 10**9, 10**9, 2]}}, "sizes"),
        ({"description": {"sizes": [3, 10**5, 10**5, 2]}}, "theta is"),
        ({"description": {"sizes": [3, -4, 2]}}, "sizes"),
        ({"description": {"sizes": [3, True, 2]}}, "sizes"),
        ({"description": {"sizes": "many"}}, "sizes"),
        ({"description": {"sizes": [3, 5, 2]}}, "theta is"),
        ({"description": {"sizes": [4, 4, 2]}}, "do not fit observations"),
        ({"description": {"activation": "__import__('os')"}}, "activation"),
        ({"description": {"activation": ["tanh"]}}, "activation"),
        ({"description": {"bias": 1}}, "bias"),
        ({"description": {"obs_shape": [3, 2]}}, "do not fit observations"),
        ({"description": {"normalizer_count": -1}}, "normalizer_count"),
        ({"description": {"normalizer_count": None}}, "holds the tensors"),
        ({"description": {"about": []}}, "not a table"),
        ({"description": {"distribution": {"kind": "Policy"}}}, "distribution"),
        ({"description": {"distribution": {"kind": ["DiagonalGaussian"]}}}, "distribution"),
        ({"description": {"distribution": {"kind": "DiagonalGaussian", "size": 2.5, "shape": None}}}, "size"),
        ({"description": {"distribution": {"kind": "DiagonalGaussian", "size": None, "shape": None}}}, "wrong"),
        ({"description": {"distribution": {"kind": "Categorical", "n": 2}}}, "distribution"),
        ({"tensors": {"theta": np.zeros(3, np.float32)}}, "theta is F32"),
        ({"tensors": {"theta": np.zeros(28, np.float64)}}, "theta is F64"),
        ({"tensors": {"theta": None}}, "holds the tensors"),
        ({"tensors": {"more": np.zeros(1)}}, "more"),
        ({"tensors": {"normalizer.var": np.array([1.0, -1.0, 1.0])}}, "negative"),
        ({"tensors": {"normalizer.mean": np.array([1.0, np.nan, 1.0])}}, "normalizer.mean.*not finite"),
    ],
)
def test_files_that_lie_are_refused(saved: Path, change: dict, said: str) -> None:
    rewrite(saved, **change)
    with pytest.raises(PolicyFileError, match=said) as caught:
        read_policy(saved)
    assert str(saved) in str(caught.value)


@pytest.mark.reliability("R26")
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"12345678", "not a safetensors file"),
        (struct.pack("<Q", 4) + b"[{}]", "not a table"),
        (struct.pack("<Q", 2) + b"{}", "not of a policy"),
        (struct.pack("<Q", 8) + b"\xff" * 8, "not JSON"),
        (safetensors.numpy.save({"theta": np.zeros(3, np.float32)}), "not of a policy"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(PolicyFileError, match=said):
        read_policy(tmp_path / "p")


@pytest.mark.reliability("R26")
def test_a_huge_file_is_refused_by_its_size_alone(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LARGEST_FILE", 100)
    with pytest.raises(PolicyFileError, match="bytes"):
        read_policy(saved)


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(PolicyFileError, match="cannot be read"):
        read_policy(tmp_path / "nothing")
    with pytest.raises(PolicyFileError, match="cannot be read"):
        read_policy(tmp_path)
