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
from trpolab.policies.config import Gaussian
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


def network(**changes: object) -> dict:
    """What a file says about the network of `a_policy`, changed."""
    return {"kind": "mlp", "sizes": [3, 4, 2], "activation": "tanh", "bias": True, **changes}


def gaussian(**changes: object) -> dict:
    """The same of its distribution."""
    return {"kind": "gaussian", "size": 2, "shape": None, "least_log_std": -5.0, **changes}


def box(**changes: object) -> dict:
    """The same of its action space."""
    return {"kind": "Box", "dtype": "float32", "low": [-1.0, -1.0], "high": [1.0, 1.0], **changes}


@pytest.mark.parametrize("kind", list(SPACES))
@pytest.mark.parametrize("normalize", [True, False])
def test_what_was_saved_comes_back(kind: str, normalize: bool, tmp_path: Path) -> None:
    policy = a_policy(kind, normalize)
    save_policy(tmp_path / "p", policy, {"task": "Toy"})
    found, about = read_policy(tmp_path / "p")
    assert about == {"task": "Toy"}
    assert torch.equal(found.theta, policy.theta)
    names = ("network", "distribution", "obs_shape", "action_space", "states")
    assert [getattr(found, name) for name in names] == [getattr(policy, name) for name in names]
    obs = np.random.default_rng(1).normal(size=(5, 3))
    np.testing.assert_array_equal(found.actor(8).parameters(obs), policy.actor(8).parameters(obs))
    assert [entry.name for entry in tmp_path.iterdir()] == ["p"]


def test_a_policys_least_log_std_comes_back_and_is_minus_5_in_files_of_schema_3(tmp_path: Path) -> None:
    space = spaces.Box(-1, 1, (2,))
    floor = make_policy(space, space, PolicyConfig(), np.random.default_rng(0), {"gaussian": Gaussian(-1.5)})
    low = floor.with_theta(torch.cat([floor.theta[:-2], torch.tensor([-3.0, -1.0])]))
    low.save(tmp_path / "p")
    again = read_policy(tmp_path / "p")[0]
    assert again.parameters(np.ones((1, 2), np.float32))[0, 2:].tolist() == [-1.5, -1.0]
    assert again.misfit(space, space) == "", "whoever takes any log σ takes this"
    entry = gaussian(least_log_std=-1.5)
    entry.pop("least_log_std")
    rewrite(
        tmp_path / "p", {"schema": 3, "distribution": entry}, {"theta": torch.full((len(low.theta),), -3.0).numpy()}
    )
    assert read_policy(tmp_path / "p")[0].parameters(np.ones((1, 2), np.float32))[0, 2:].tolist() == [-3.0, -3.0]


OLD = Path(__file__).parent / "data"


@pytest.mark.parametrize("kind", ["gaussian", "shaped", "categorical", "factored", "convnet"])
def test_files_of_schema_1_give_the_numbers_that_they_gave_to_the_code_that_wrote_them(kind: str) -> None:
    policy, about = read_policy(OLD / f"{kind}-schema1.safetensors")
    told = json.loads((OLD / "schema1.json").read_text())[kind]
    obs = np.array(told["obs"], np.uint8 if policy.sees_pixels else np.float64)
    np.testing.assert_allclose(policy.actor(4).parameters(obs), told["u"], rtol=1e-5, atol=1e-6)
    assert (about, repr(policy.distribution)) == ({"task": "Toy", "score": 1.5}, told["distribution"])
    assert policy.action_space is None and policy.states is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sizes": []}, "sizes"),
        ({"sizes": [3, 4, 3]}, "does not fit"),
        ({"distribution": {"kind": "Beta", "size": 2}}, "'Beta', which is not registered"),
        ({"convolutions": [16, 4]}, "convolutions"),
        ({"convolutions": [16, 4, 2]}, "network"),
        ({"action_space": None}, "keys"),
    ],
)
def test_files_of_schema_1_that_lie_are_refused(change: dict, said: str, tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes((OLD / "gaussian-schema1.safetensors").read_bytes())
    rewrite(tmp_path / "p", change)
    with pytest.raises(PolicyFileError, match=said):
        read_policy(tmp_path / "p")


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(np.array([-np.inf, -1]), np.array([3.5, np.inf]), dtype=np.float64),
        spaces.Box(-0.1, 0.1, (2,), np.float32),
        spaces.Box(-np.inf, np.inf, (2,)),
        spaces.Box(np.array([[-1.0, 0.0], [-2.0, 0.1]]), np.ones((2, 2)), dtype=np.float64),
        spaces.Discrete(3, start=-4),
        spaces.MultiDiscrete([3, 2], start=[1, 0], dtype=np.int32),
    ],
    ids=str,
)
def test_the_tasks_own_spaces_come_back(space: spaces.Space, tmp_path: Path) -> None:
    own = (spaces.Discrete(5, start=2), space)
    observed = spaces.Box(0, 1, (5,))
    policy = make_policy(observed, space, PolicyConfig(hidden=()), np.random.default_rng(0), own_spaces=own)
    policy.save(tmp_path / "p")
    found = read_policy(tmp_path / "p")[0]
    assert (found.states, found.action_space, found.action_space.dtype) == (*own, space.dtype)


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
        ({"description": {"network": network(sizes=[3, 10**9, 10**9, 2])}}, "sizes"),
        ({"description": {"network": network(sizes=[3, 10**5, 10**5, 2])}}, "theta is"),
        ({"description": {"network": network(sizes=[3, -4, 2])}}, "sizes"),
        ({"description": {"network": network(sizes=[3, True, 2])}}, "sizes"),
        ({"description": {"network": network(sizes="many")}}, "sizes"),
        ({"description": {"network": network(sizes=[3])}}, "sizes"),
        ({"description": {"network": network(sizes=[3, 5, 2])}}, "theta is"),
        ({"description": {"network": network(sizes=[4, 4, 2])}}, "does not fit observations"),
        ({"description": {"network": network(activation="__import__('os')")}}, "activation"),
        ({"description": {"network": network(activation=["tanh"])}}, "activation"),
        ({"description": {"network": network(bias=1)}}, "bias"),
        ({"description": {"network": network(more=1)}}, "network"),
        ({"description": {"network": {"kind": "mlp"}}}, "network"),
        ({"description": {"network": ["mlp"]}}, "network"),
        ({"description": {"network": {"kind": "resnet", "depth": 3}}}, "'resnet', which is not registered here"),
        ({"description": {"obs_shape": [3, 2]}}, "does not fit observations"),
        ({"description": {"obs_shape": [-3, -1]}}, "does not fit observations"),
        ({"description": {"normalizer_count": -1}}, "normalizer_count"),
        ({"description": {"normalizer_count": 10**400}}, "normalizer_count"),
        ({"description": {"normalizer_count": None}}, "holds the tensors"),
        ({"description": {"about": []}}, "not a table"),
        ({"description": {"distribution": {"kind": "Policy"}}}, "'Policy', which is not registered here"),
        ({"description": {"distribution": {"kind": ["gaussian"]}}}, "distribution"),
        ({"description": {"distribution": gaussian(size=2.5)}}, "size"),
        ({"description": {"distribution": gaussian(size=None)}}, "size"),
        ({"description": {"distribution": gaussian(shape=[3])}}, "wrong"),
        ({"description": {"distribution": gaussian(least_log_std="-1")}}, "least_log_std"),
        ({"description": {"distribution": gaussian(least_log_std=-7)}}, "least_log_std = -7"),
        ({"description": {"schema": 3, "distribution": gaussian(least=1)}}, "distribution"),
        ({"description": {"distribution": {"kind": "categorical", "n": 2}}}, "distribution"),
        ({"description": {"action_space": {"kind": "Dict"}}}, "action_space"),
        ({"description": {"action_space": box(low="left")}}, "action_space"),
        ({"description": {"action_space": box(low=[-1, -1, -1])}}, "action_space"),
        ({"description": {"action_space": box(low=[[-1], [-1, -1]])}}, "action_space"),
        ({"description": {"action_space": box(dtype="O")}}, "action_space"),
        ({"description": {"action_space": box(low=-1.0, high=1.0)}}, "do not fit"),
        ({"description": {"action_space": {"kind": "Discrete", "n": -1, "start": 0}}}, "action_space"),
        ({"description": {"action_space": {"kind": "MultiDiscrete", "dtype": "int64", "nvec": [0]}}}, "action_space"),
        ({"description": {"states": {"kind": "Discrete", "n": 7, "start": 0}}}, "do not fit"),
        ({"description": {"states": box()}}, "states"),
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
