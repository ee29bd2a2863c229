"""R26: policy files made to do harm: no code runs, nothing is allocated for them, and the reason is told."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest
import torch

from tests.policies.test_serialization import a_policy, network, rewrite
from trpolab import evaluate, load_policy
from trpolab.policies import PolicyFileError, read_policy, save_policy
from trpolab.runs.reader import RunFolderError, read_metrics
from trpolab.simulators.mujoco.mujoco_simulator import MujocoSimulator
from trpolab.training.session import Session, train

MOST = 4 * 2**20  # bytes that a refusal may take: the header is read, at most a megabyte


class Bomb:
    """Unpickled, it leaves a file."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self) -> tuple:
        return (os.mkdir, (str(self.trace),))


def peak_of_refusing(path: Path, said: str) -> int:
    """Bytes allocated at most while the file is refused."""
    tracemalloc.start()
    try:
        with pytest.raises(PolicyFileError, match=said):
            read_policy(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.reliability("R26")
@pytest.mark.parametrize("form", ["torch", "numpy"])
def test_a_renamed_pickle_runs_nothing(form: str, tmp_path: Path) -> None:
    path, trace = tmp_path / "policy.safetensors", tmp_path / "owned"
    payload = pickle.dumps(Bomb(trace))
    if form == "torch":
        torch.save({"theta": Bomb(trace)}, path)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("theta.npy", b"\x93NUMPY\x01\x00" + payload)
    assert peak_of_refusing(path, "not a safetensors file") < MOST
    assert not trace.exists()
    pickle.loads(payload)  # noqa: S301
    assert trace.exists(), "the bomb is real"


@pytest.mark.reliability("R26")
@pytest.mark.parametrize("length", [2**62, 2**63 - 1, 2**64 - 1, 2**32, 2**21])
def test_a_header_of_any_length_is_not_believed(length: int, tmp_path: Path) -> None:
    path = tmp_path / "policy.safetensors"
    path.write_bytes(struct.pack("<Q", length) + b"{}" + b" " * 1000)
    assert peak_of_refusing(path, "not a safetensors file") < MOST


@pytest.mark.reliability("R26")
@pytest.mark.parametrize(
    ("description", "said"),
    [
        ({"network": network(sizes=[3, 10**6, 10**6, 2])}, "theta is"),
        ({"network": network(sizes=[3, 2**29, 2**29, 2])}, "theta is"),
        ({"network": network(sizes=[3] + [10**4] * 1000 + [2])}, "theta is"),
        ({"obs_shape": [2**20, 2**20]}, "does not fit"),
        ({"distribution": {"kind": "categorical", "n": 2**40, "start": 0}}, "distribution.n"),
        ({"distribution": {"kind": "categorical", "n": 2**29, "start": 0}}, "does not fit"),
        ({"normalizer_count": 1e308, "obs_shape": [1, 3]}, "normalizer"),
        ({"about": [[[[]]]]}, "not a table"),
    ],
)
def test_shapes_that_would_fill_the_memory_are_refused_by_their_numbers(description, said, tmp_path: Path) -> None:
    path = tmp_path / "policy.safetensors"
    save_policy(path, a_policy(), {})
    rewrite(path, description)
    assert peak_of_refusing(path, said) < MOST


@pytest.mark.reliability("R26")
def test_tensors_that_share_or_leave_their_bytes_are_refused(tmp_path: Path) -> None:
    """Offsets of the header that overlap, run beyond the file, or leave a hole for something else."""
    path = tmp_path / "policy.safetensors"
    save_policy(path, a_policy(), {})
    whole = path.read_bytes()
    length = struct.unpack("<Q", whole[:8])[0]
    header, data = json.loads(whole[8 : 8 + length]), whole[8 + length :]
    for offsets in ([0, 2**40], [-8, 104], [8, 120], [0, 0]):
        bad = json.dumps(header | {"theta": header["theta"] | {"data_offsets": offsets}}).encode()
        path.write_bytes(struct.pack("<Q", len(bad)) + bad + data)
        with pytest.raises(PolicyFileError):
            read_policy(path)
    path.write_bytes(whole + b"PK\x03\x04 and more")
    with pytest.raises(PolicyFileError):
        read_policy(path)


@pytest.mark.reliability("R26")
def test_a_hostile_file_in_a_run_folder_is_refused_wherever_it_is_met(tmp_path: Path) -> None:
    folder = train("CartPole-v1", out=tmp_path, iterations=1, steps_per_iteration=64, slots=2).path
    policies = sorted((folder / "policies").iterdir())
    trace = tmp_path / "owned"
    policies[-1].write_bytes(pickle.dumps(Bomb(trace)) + b"\0" * 64)
    with pytest.raises(RunFolderError, match="not a safetensors file"):
        load_policy(folder)
    checkpoint = next(path for path in (folder / "ckpt").iterdir() if path.name.isdigit())
    for name in ("policy.safetensors", "train.safetensors"):
        shutil.copy(policies[-1], checkpoint / name)
    with pytest.raises(ValueError, match=r"no checkpoint|no valid checkpoint|differs"):
        Session(resume=folder)
    assert not trace.exists()


@pytest.mark.reliability("R26")
def test_a_policy_of_another_task_is_refused_before_a_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = train("CartPole-v1", out=tmp_path, iterations=1, steps_per_iteration=64, slots=2).path
    policy = load_policy(folder)
    monkeypatch.setattr(MujocoSimulator, "step", lambda *given: pytest.fail("it stepped"))
    with pytest.raises(ValueError, match="does not fit Hopper-v5"):
        evaluate(policy, "Hopper-v5", 1)


@pytest.mark.reliability("R26")
@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 100_000])
def test_texts_nested_too_deep_are_a_sentence_everywhere(text: str, tmp_path: Path) -> None:
    path = tmp_path / "policy.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text.encode() + b" " * 8)
    with pytest.raises(PolicyFileError, match="not a safetensors file"):
        read_policy(path)
    folder = train("CartPole-v1", out=tmp_path, iterations=2, steps_per_iteration=64, slots=2, checkpoint_every=1).path
    metrics = (folder / "metrics.jsonl").read_text()
    (folder / "metrics.jsonl").write_text(text + "\n")
    with pytest.raises(RunFolderError, match="line 1 is not a JSON object"):
        read_metrics(folder)
    (folder / "metrics.jsonl").write_text(metrics)
    newest = max(path for path in (folder / "ckpt").iterdir() if path.name.isdigit())
    (newest / "MANIFEST.json").write_text(text)
    assert Session(resume=folder).progress.iteration == int(newest.name) - 1, "the one before is taken"
    (folder / "run.json").write_text(text)
    with pytest.raises(RunFolderError, match="not readable JSON"):
        Session(resume=folder)


@pytest.mark.reliability("R26")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"settings": {"value.hidden": [10**6, 10**6]}}, "its settings ask for"),
        ({"settings": {"no_such": 1}}, "no_such"),
        ({"settings": {"delta": -1}}, "delta"),
        ({"settings": []}, "does not hold"),
        ({"value": {"target_mean": "x" * 100}}, "not numbers"),
        ({"value": {"evil": 1.0}}, "does not hold"),
        ({"blocks": 10**9}, "does not hold"),
        ({"recent_returns": 3}, "does not hold"),
        ({"iteration": 10**9}, "is of iteration"),
        ({"run": "another"}, "another run"),
    ],
)
def test_a_checkpoint_that_fits_its_manifest_but_not_its_run_is_refused(
    change: dict, said: str, tmp_path: Path
) -> None:
    """Whoever writes the manifest, too, gets no further: names, bounds and shapes are checked before they are used."""
    folder = train("CartPole-v1", out=tmp_path, iterations=1, steps_per_iteration=64, slots=2).path
    (entry,) = (path for path in (folder / "ckpt").iterdir() if path.name.isdigit())
    state = json.loads((entry / "state.json").read_text())
    for name, value in change.items():
        state[name] = {**state[name], **value} if isinstance(value, dict) else value
    (entry / "state.json").write_text(json.dumps(state))
    manifest = json.loads((entry / "MANIFEST.json").read_text())
    content = (entry / "state.json").read_bytes()
    manifest["state.json"] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (entry / "MANIFEST.json").write_text(json.dumps(manifest))
    tracemalloc.start()
    with pytest.raises(RunFolderError, match=said):
        Session(resume=folder)
    assert tracemalloc.get_traced_memory()[1] < 4 * MOST
    tracemalloc.stop()
