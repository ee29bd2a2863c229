"""Run folders, checkpoints and policies of an earlier version are read and gone on with."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch

from trpolab import evaluate, load_policy
from trpolab.runs.reader import read_metrics, read_run, read_status
from trpolab.selftest.expect import fingerprint, stable
from trpolab.training.session import Session

OLD = Path(__file__).parent.parent / "data" / "old_runs"
NAMES = sorted(path.name for path in OLD.iterdir() if path.is_dir())


@pytest.fixture(params=NAMES)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of an old run of two iterations."""
    return shutil.copytree(OLD / request.param, tmp_path / read_run(OLD / request.param)["id"])


def test_there_are_some() -> None:
    assert NAMES == ["cem", "path", "vine"]


def test_an_old_run_is_read(old: Path) -> None:
    assert read_status(old).state == "finished"
    assert [row["iteration"] for row in read_metrics(old)] == [1, 2]
    written = safetensors.numpy.load((old / "policies" / "000002.safetensors").read_bytes())
    policy = load_policy(old)
    np.testing.assert_array_equal(policy.theta, written["theta"])
    assert np.isfinite(evaluate(policy, read_run(old)["task"], 1).mean)


def test_an_old_run_is_gone_on_with_as_if_it_had_never_stopped(old: Path) -> None:
    settings, written = read_run(old)["settings"], stable(read_metrics(old))
    settings = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    resumed = Session(resume=old, iterations=4).run()
    assert stable(read_metrics(old))[:2] == written
    assert resumed.state == "finished" and [row["iteration"] for row in resumed.history] == [1, 2, 3, 4]
    whole = Session(out=None, **{**settings, "iterations": 4}).run()
    begun = stable(whole.history)[:2]
    if [{name: new.get(name) for name in row} for row, new in zip(written, begun, strict=True)] != written:
        pytest.skip("this machine's arithmetic is not, bit for bit, that of the machine on which they were made")
    assert stable(resumed.history)[2:] == stable(whole.history)[2:]
    assert torch.equal(resumed.policy.theta, whole.policy.theta)
    assert fingerprint(resumed) == fingerprint(whole)
