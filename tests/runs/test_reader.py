"""What is said of policies that can't be read or written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import trpolab
from trpolab.policies import NETWORKS
from trpolab.runs.reader import RunFolderError


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three kept policies."""
    out = tmp_path_factory.mktemp("runs")
    return trpolab.train("CartPole-v1", iterations=3, steps_per_iteration=64, checkpoint_every=1, out=out).path


def test_policies_of_a_network_that_is_not_registered_give_one_reason(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(run, folder := tmp_path / "run")
    about = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**about, "modules": ["my_network"]}))
    monkeypatch.setattr(NETWORKS, "_entries", {name: kind for name, kind in NETWORKS.items() if name != "mlp"})
    with pytest.raises(RunFolderError, match=r"\(its run.json names my_network\)$") as refused:
        trpolab.load_policy(folder)
    assert str(refused.value).count("which is not registered here") == 1


def test_a_path_that_is_not_there_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"nope.safetensors': no such file or folder"):
        trpolab.load_policy(tmp_path / "nope.safetensors")


def test_a_policy_that_cannot_be_saved_names_the_path_that_was_given(run: Path, tmp_path: Path) -> None:
    policy, folder = trpolab.load_policy(run), tmp_path / "a_folder"
    (folder / "inside").mkdir(parents=True)
    for target in (tmp_path / "nowhere" / "x.safetensors", folder):
        with pytest.raises(OSError) as refused:
            policy.save(target)
        assert refused.value.filename == str(target) and refused.value.strerror
    assert [path.name for path in tmp_path.iterdir()] == ["a_folder"]
