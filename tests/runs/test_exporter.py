"""Exports, read back by the programs that they are for; and archives that are not what they seem."""

from __future__ import annotations

import csv
import json
import shutil
import stat
import subprocess
import sys
import zipfile
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import torch

from trpolab import load_policy
from trpolab.cli import main
from trpolab.runs import archive
from trpolab.runs.archive import unpack
from trpolab.runs.exporter import export
from trpolab.runs.reader import RunFolderError, read_metrics, read_run
from trpolab.selftest.files import refuses_hostile_archives
from trpolab.training.session import Session, train


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two segments, with settings changed on the way."""
    out = tmp_path_factory.mktemp("runs")
    first = train("CartPole-v1", out=out, iterations=3, steps_per_iteration=128, slots=4, checkpoint_every=2)
    Session(resume=first.path, iterations=5, delta=0.03).run()
    return first.path


def test_csv_holds_every_iteration_and_metric(folder: Path, tmp_path: Path) -> None:
    path = export(folder, "csv", tmp_path / "m.csv")
    rows, records = list(csv.DictReader(path.open(encoding="utf-8"))), read_metrics(folder)
    assert [int(row["iteration"]) for row in rows] == [1, 2, 3, 4, 5]
    for row, record in zip(rows, records, strict=True):
        assert float(row["sim_steps"]) == record["sim_steps"] and row["outcome"] == record["outcome"]
        assert row["kl_mean"] == ("" if record["kl_mean"] is None else repr(record["kl_mean"]))
    assert json.loads(rows[3]["changed"]) == records[3]["changed"] and rows[0]["changed"] == ""


def test_a_spreadsheet_runs_nothing_of_a_csv(folder: Path, tmp_path: Path) -> None:
    """A message may come from a task; one that begins like a formula is quoted."""
    hostile = tmp_path / "run"
    hostile.mkdir()
    (hostile / "run.json").write_text((folder / "run.json").read_text())
    line = {"segment": 0, "iteration": 1, "message": "=HYPERLINK(1)", "kl_mean": -0.5}
    (hostile / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    text = export(hostile, "csv", tmp_path / "m.csv").read_text()
    assert "'=HYPERLINK(1)" in text and ",-0.5" in text


def test_parquet_keeps_the_types(folder: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(export(folder, "parquet", tmp_path / "m.parquet")).to_pylist()
    records = read_metrics(folder)
    assert len(table) == 5
    for row, record in zip(table, records, strict=True):
        for name in ("iteration", "sim_steps", "return_mean", "kl_mean", "outcome", "step_fraction"):
            assert row[name] == record[name], name


@pytest.mark.parametrize(
    ("kind", "name", "module"), [("parquet", "Parquet", "pyarrow"), ("tensorboard", "TensorBoard", "tensorboard")]
)
def test_without_its_package_one_sentence_names_the_command(
    kind: str, name: str, module: str, folder: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    for loaded in [module, *(found for found in sys.modules if found.startswith(f"{module}."))]:
        monkeypatch.setitem(sys.modules, loaded, None)
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(folder), "--to", kind, "--out", "out"]) == 2
    said = capsys.readouterr().err
    assert (
        said == f'trpolab: an export to {name} needs {module}, which is not installed: pip install "trpolab[{kind}]"\n'
    )
    assert list(tmp_path.iterdir()) == []


def test_tensorboard_reads_the_events_of_each_segment(folder: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    where = export(folder, "tensorboard")
    assert where == folder / "tb"
    export(folder, "tensorboard")  # again: the same files, not more of them
    assert sorted(path.name for path in where.iterdir()) == ["segment-000", "segment-001"]
    records, found = read_metrics(folder), []
    for segment in sorted(where.iterdir()):
        assert len(list(segment.iterdir())) == 1
        events = accumulator.EventAccumulator(str(segment))
        events.Reload()
        assert "return_recent" in events.Tags()["scalars"] and "iteration" not in events.Tags()["scalars"]
        found += [(event.step, event.value, event.wall_time) for event in events.Scalars("sim_steps")]
    assert [step for step, _, _ in found] == [1, 2, 3, 4, 5]
    assert [value for _, value, _ in found] == [record["sim_steps"] for record in records]
    times = [time for _, _, time in found]
    began = datetime.fromisoformat(read_run(folder)["created"]).timestamp()
    np.testing.assert_allclose(times, began + np.cumsum([record["seconds_total"] for record in records]), atol=1e-6)


def test_training_and_exporting_import_no_tensorboard(folder: Path, tmp_path: Path) -> None:
    code = f"""
import sys
from trpolab.runs.exporter import export
export({str(folder)!r}, "csv", {str(tmp_path / "m.csv")!r})
print([name for name in sys.modules if name.partition(".")[0] in ("tensorboard", "pyarrow", "tensorflow")])
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_a_zip_taken_in_elsewhere_is_the_run(folder: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(folder), "--to", "zip"]) == 0
    file = Path(capsys.readouterr().out.strip())
    assert file == Path(f"{folder.name}.zip")
    assert main(["import", str(file), "--out", "elsewhere"]) == 0
    taken = Path(capsys.readouterr().out.strip())
    assert taken == Path("elsewhere") / folder.name
    assert list(read_metrics(taken)) == list(read_metrics(folder))
    assert torch.equal(load_policy(taken).theta, load_policy(folder).theta)
    resumed, stayed = Session(resume=taken, iterations=7).run(), Session(resume=folder, iterations=7)
    assert resumed.state == "finished"
    np.testing.assert_array_equal(resumed.policy.theta, stayed.run().policy.theta)
    assert main(["import", str(file), "--out", "elsewhere"]) == 2
    assert "is there already" in capsys.readouterr().err
    assert sorted(path.name for path in Path("elsewhere").iterdir()) == [folder.name]


def test_what_people_put_into_a_run_folder_keeps_no_run_from_being_taken_in(folder: Path, tmp_path: Path) -> None:
    mine = Path(shutil.copytree(folder, tmp_path / "mine"))
    for name in ("²", "a note: 1.txt", "nul"):
        (mine / "ckpt" / name).write_text("mine")
    taken = unpack(export(mine, "zip", tmp_path / "run.zip"), tmp_path / "out")
    assert read_metrics(taken) == read_metrics(folder)
    assert {path.name for path in (taken / "ckpt").iterdir()} == {path.name for path in (folder / "ckpt").iterdir()}


def test_a_run_without_a_time_is_exported_all_the_same(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    mine = Path(shutil.copytree(folder, tmp_path / "mine"))
    about = json.loads((mine / "run.json").read_text())
    (mine / "run.json").write_text(json.dumps({**about, "created": "yesterday"}))
    with (mine / "metrics.jsonl").open("a") as file:
        file.write('{"iteration": 6, "segment": "x", "kl_mean": 0.5}\n')
    assert list(export(mine, "tensorboard").rglob("events.out.tfevents.*"))


def test_bad_requests_are_a_sentence(folder: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.csv").touch()
    for words, said in (
        (["export", str(folder), "--to", "excel"], "to = 'excel': must be one of csv, parquet, tensorboard, zip"),
        (["export", "nowhere", "--to", "csv"], "'nowhere' is not a folder"),
        (["export", str(folder), "--to", "csv", "--out", "there.csv"], "there already"),
        (["export", str(folder), "--to", "csv", "--out", "no/such/m.csv"], "'no/such' is not a folder"),
        (["import", "nothing.zip"], "nothing.zip: No such file"),
        (["import", "there.csv"], "not a zip file"),
    ):
        assert main(words) == 2
        err = capsys.readouterr().err
        assert said in err and err.count("\n") == 1, words


# Archives made to do harm

RUN = '{"schema": 1, "id": "r1", "task": "CartPole-v1", "settings": {}}'


def archive_of(path: Path, *entries: tuple[str, bytes], mode: int = stat.S_IFREG | 0o644) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("r1/run.json", RUN)
        for name, content in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(info, content)
    return path


NAMES = (
    *("r//evil", "r/./media", "C:/evil", "r/policies/nul.safetensors", "r/policies/.hidden", "r/policies/a:stream"),
    *("r/policies/name.", "r/policies/" + "n" * 300, "r/lock", "r", "evil", "r2/metrics.jsonl", "R/run.json"),
    "r/RUN.json",
)


@pytest.mark.reliability("R27")
def test_names_that_lead_elsewhere_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    refuses_hostile_archives(tmp_path, NAMES)


@pytest.mark.reliability("R27")
@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_and_devices_are_refused(kind: int, tmp_path: Path) -> None:
    file = archive_of(tmp_path / "bad.zip", ("r1/policies/a", b"/etc/passwd"), mode=kind | 0o777)
    with pytest.raises(RunFolderError, match="a link or a device"):
        unpack(file, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.reliability("R27")
def test_archives_that_are_too_large_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = archive_of(tmp_path / "bad.zip", ("r1/metrics.jsonl", b"0" * 3_000))
    with pytest.raises(RunFolderError, match="more than 1000"):
        unpack(file, tmp_path / "runs", largest=1000)
    monkeypatch.setattr(archive, "MOST_FILES", 1)
    with pytest.raises(RunFolderError, match="holds 2 files"):
        unpack(file, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.reliability("R27")
def test_an_entry_that_lies_about_its_size_leaves_nothing(tmp_path: Path) -> None:
    file = archive_of(tmp_path / "bad.zip", ("r1/metrics.jsonl", bytes(range(256)) * 40))
    content = file.read_bytes()
    for said, marker in ((100, b"PK\x01\x02"), (10**6, b"PK\x01\x02")):
        lying = bytearray(content)
        at = lying.rindex(marker)
        lying[at + 24 : at + 28] = said.to_bytes(4, "little")  # uncompressed size in the central directory
        file.write_bytes(lying)
        with pytest.raises(RunFolderError):
            unpack(file, tmp_path / "runs")
        assert not list((tmp_path / "runs").glob("*")) and not list((tmp_path / "runs").glob(".*"))


@pytest.mark.reliability("R27")
def test_a_flipped_byte_and_another_runs_record_leave_nothing(tmp_path: Path) -> None:
    file = archive_of(tmp_path / "bad.zip", ("r1/metrics.jsonl", np.random.default_rng(0).bytes(5000)))
    content = bytearray(file.read_bytes())
    content[content.index(b"metrics.jsonl") + 500] ^= 1
    file.write_bytes(content)
    with pytest.raises(RunFolderError, match="can be read"):
        unpack(file, tmp_path / "runs")
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(other, "w") as made:
        made.writestr("r2/run.json", RUN)
    with pytest.raises(RunFolderError, match="another run's"):
        unpack(other, tmp_path / "runs")
    assert list((tmp_path / "runs").iterdir()) == []


def test_columns_that_come_and_go_are_kept_apart() -> None:
    from trpolab.runs.exporter import columns

    assert columns([{"a": 1}, {"b": 2, "a": None}]) == {"a": [1, None], "b": [None, 2]}
    assert columns([]) == {}
