"""A run that another process trains, in the page of a lab."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import gymnasium
import pytest

pytest.importorskip("ipywidgets", reason='needs the lab: pip install "trpolab[lab]"')

import trpolab
from tests.lab.test_hostile_text import bad_tags
from tests.reliability.runs import session
from trpolab.lab.watch import Watch, plain
from trpolab.runs.reader import RunFolderError
from trpolab.selftest.expect import contents
from trpolab.training.session import Session

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture
def run(tmp_path: Path) -> Session:
    """A run that has yet to begin, in this process."""
    return session(out=tmp_path, iterations=6, checkpoint_every=2)


def looked(watch: Watch) -> Watch:
    """After another look into the folder."""
    watch._next = 0.0
    watch.refresh()
    watch.settle()
    return watch


def test_it_follows_a_run_to_its_end_and_only_reads(run: Session) -> None:
    going = run.iterate()
    next(going)
    assert run.path is not None
    watch = trpolab.watch(run.path)
    assert watch.state == "watching" and watch.history[0]["kl_mean"] == run.history[0]["kl_mean"]
    page = watch.view.page
    assert all(button.disabled for button in page.buttons.values())
    assert all(widget.layout.display == "none" for widget in page.steering)
    run.controls.replace(delta=0.07)
    next(going)
    next(going)
    looked(watch)
    assert [row["iteration"] for row in watch.history] == [1, 2, 3] and "watching · iteration 3" in page.status.value
    assert watch.view.charts.rows.get("kl_mean").tolist() == [row["kl_mean"] for row in run.history]
    assert "0.07" in watch.view.knobs.widget.children[0].children[1].value
    assert watch.trainer.policies.iterations()[-1] == 3
    for _ in going:
        continue
    before = contents(run.path)
    looked(watch)
    assert watch.state == "finished" and page.error.value == "" and len(watch.history) == 6
    assert "6 iterations" in watch.summary().title and watch._repr_mimebundle_()["text/plain"] == "Watch(CartPole-v1)"
    watch.close()
    assert watch.state == "closed" and contents(run.path) == before


def test_it_says_when_the_writer_is_gone_and_when_the_folder_is(run: Session) -> None:
    run.run()
    assert run.path is not None
    status = json.loads((run.path / "status.json").read_text())
    (run.path / "status.json").write_text(json.dumps({**status, "state": "running", "process_ticks": 1}))
    watch = Watch(run.path)
    assert watch.state == "crashed" and "is gone" in watch.session.trouble
    looked(watch)
    assert "is gone" in watch.view.page.error.value
    shutil.rmtree(run.path)
    looked(watch)
    assert watch.state == "gone" and "is not a folder" in watch.view.page.error.value and len(watch.history) == 6
    watch.close()


def test_iterations_that_are_done_again_replace_those_before(run: Session, tmp_path: Path) -> None:
    run.run()
    assert run.path is not None
    watch = Watch(run.path)
    assert len(watch.view.charts.rows) == 6
    shutil.rmtree(run.path / "ckpt" / "000006")
    again = Session(resume=run.path, iterations=7)
    going = again.iterate()
    next(going)
    looked(watch)
    assert [row["iteration"] for row in watch.history] == [1, 2, 3, 4, 5]
    assert len(watch.view.charts.rows) == 5 and len(watch.view.charts.ghosts) == 1
    going.close()
    watch.close()


def test_half_a_line_is_read_when_it_is_whole(run: Session) -> None:
    run.run()
    assert run.path is not None
    file = run.path / "metrics.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole[:-30])
    watch = Watch(run.path)
    assert len(watch.history) == 5
    file.write_bytes(whole)
    assert len(looked(watch).history) == 6
    watch.close()


def test_what_a_folder_says_is_text_and_what_is_no_number_is_left_out(run: Session) -> None:
    run.run()
    assert run.path is not None
    about = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps({**about, "task": EVIL}))
    bad = {"iteration": 7, "kl_mean": EVIL, "sim_steps": [1], "outcome": EVIL, "changed": {EVIL: 1, "delta": EVIL}}
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(bad) + "\n" + json.dumps({"iteration": 8, "changed": 5}) + "\n[1]\n")
    watch = looked(Watch(run.path))
    assert len(watch.history) == 8 and watch.history[6]["sim_steps"] == 0 and "kl_mean" not in watch.history[6]
    page = watch.view.page
    looked(watch)
    for shown in (page.status, page.error, page.where, watch.view.knobs.widget.children[0].children[1]):
        assert bad_tags(shown.value) == []
    assert "alert(1)" in page.status.value and watch.summary()
    watch.close()


def test_a_run_of_a_callable_is_charted(tmp_path: Path) -> None:
    made = Session(lambda: gymnasium.make("Pendulum-v1"), out=tmp_path, slots=2, steps_per_iteration=64, iterations=2)
    made.run()
    watch = looked(Watch(made.path))
    assert len(watch.history) == 2 and watch.view is not None and not watch.session.named
    watch.close()


def test_a_run_that_kept_no_policies_has_no_player_and_says_why(run: Session) -> None:
    run.run()
    assert run.path is not None
    shutil.rmtree(run.path / "policies")
    watch = looked(Watch(run.path))
    page = watch.view.page
    assert page.cards["rollout"].layout.display == "none"
    assert "no rollout: the run folder holds no policy<" in page.progress.value
    watch.close()


def test_what_a_folder_cannot_tell_or_its_sampler_does_not_read_is_not_shown(tmp_path: Path) -> None:
    going = session(out=tmp_path, iterations=2, proposal="uniform").iterate()
    next(going)
    watch = looked(Watch(next(tmp_path.iterdir())))
    page = watch.view.page
    assert page.cards["rollout"].layout.display is None and "no rollout" not in page.progress.value
    assert "residual" not in {chart["key"] for chart in page.charts.charts}
    assert "uniform" not in watch.view.knobs.widget.children[0].children[1].value  # q is of the vine
    going.close()
    watch.close()


def test_a_folder_that_is_no_run_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="is not a run folder"):
        trpolab.watch(tmp_path)
    with pytest.raises(RunFolderError, match="is not a folder"):
        trpolab.watch("nowhere")


def test_rows_without_anything_are_rows() -> None:
    row: dict[str, Any] = plain({"iteration": 3})
    assert row["changed"] == {} and row["outcome"] == "" and row["return_mean"] is None
