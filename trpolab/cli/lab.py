"""`trpolab lab [DIR]`: a folder with the notebooks, and JupyterLab on the first of them."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import trpolab
from trpolab.cli.exits import Exit, refuse
from trpolab.extras import install_line
from trpolab.machine import user_path
from trpolab.runs.disk import write_atomically

FIRST = "0_start.ipynb"
DEFAULT_FOLDER = "trpolab-notebooks"
RECORD = ".trpolab-notebooks.json"  # sha256 of each notebook as it was copied: what differs from it was edited
SKIPPED = {".ipynb_checkpoints", "__pycache__", "runs", "solutions"}  # the exercises have theirs folded in


@dataclass(frozen=True)
class Copied:
    """What `copy_notebooks` did, as paths relative to the folder."""

    written: tuple[str, ...]
    kept: tuple[str, ...]  # edited copies that were left alone


def lab(words: Sequence[str]) -> int:
    """Put the notebooks into a folder and run JupyterLab there until it ends; `words` are [DIR] [OPTION ...].

    Without a folder: the checkout's own `notebooks/` inside one, else `trpolab-notebooks` here. The options are handed
    to JupyterLab.
    """
    folder, options = folder_and_options(words)
    checkout = checkout_notebooks(Path.cwd())
    if folder is None and checkout is not None and importlib.util.find_spec("jupyterlab") is not None:
        print(f"Notebooks: {checkout}", flush=True)
        return serve(checkout, options)
    return copy_and_serve(packaged_notebooks(), folder or DEFAULT_FOLDER, options, FIRST)


def folder_and_options(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """DIR, if it is given, and what goes to JupyterLab."""
    folder = words[0] if words and not words[0].startswith("-") else None
    options = list(words if folder is None else words[1:])
    if "--" in options:
        options.remove("--")
    return folder, options


def copy_and_serve(source: Path, folder: str, options: Sequence[str], first: str) -> int:
    """Copy notebooks to a folder, and run JupyterLab there, opened on the first."""
    if importlib.util.find_spec("jupyterlab") is None:
        return refuse([f"the lab needs JupyterLab, which is not installed: {install_line('jupyterlab')}"])
    target = user_path(folder).absolute()
    try:
        copied = copy_notebooks(source, target)
    except OSError as error:
        return refuse([f"the notebooks could not be copied to {target}: {error.strerror or error}"])
    if copied.kept:
        print(f"Kept as you edited them, new versions not written: {', '.join(copied.kept)}")
    print(f"Notebooks: {target}", flush=True)
    return serve(target, options, first)


def packaged_notebooks() -> Path:
    """The notebooks that came with this installation: inside the package, or beside it in a checkout."""
    package = Path(trpolab.__file__).parent
    inside = package / "notebooks"
    return inside if inside.is_dir() else package.parent / "notebooks"


def checkout_notebooks(here: Path) -> Path | None:
    """The `notebooks/` of the trpolab checkout that holds `here`, or None outside one."""
    for folder in (here, *here.parents):
        project, notebooks = folder / "pyproject.toml", folder / "notebooks"
        if project.is_file() and (notebooks / FIRST).is_file():
            try:
                name = tomllib.loads(project.read_text(encoding="utf-8")).get("project", {}).get("name")
            except (tomllib.TOMLDecodeError, UnicodeDecodeError):
                continue
            if name == "trpolab":
                return notebooks
    return None


def copy_notebooks(source: Path, folder: Path) -> Copied:
    """Copy every file of `source` to `folder`, never over one that was edited since it was copied.

    A copy that nobody touched is replaced when the packaged one has changed. Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record, written, kept = _read_record(folder), [], []
    for relative in _files(source):
        wanted, target = _digest(source / relative), folder / relative
        present = _digest(target) if target.exists() else None
        if present not in (None, wanted, record.get(relative)):
            kept.append(relative)
            continue
        if present != wanted:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / relative, target)
            written.append(relative)
        record[relative] = wanted
    write_atomically(folder / RECORD, json.dumps(record, indent=1, sort_keys=True))
    return Copied(tuple(written), tuple(kept))


def jupyter_arguments(folder: Path, options: Sequence[str], first: str = FIRST) -> list[str]:
    """JupyterLab's arguments: on loopback, its token on, opened on the first notebook, `options` last so they win."""
    arguments = [
        f"--ServerApp.root_dir={folder}",
        "--ServerApp.ip=127.0.0.1",
        f"--LabApp.default_url=/lab/tree/{first}",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--allow-root")  # in a container there is often only root
    return [*arguments, *options]


def serve(folder: Path, options: Sequence[str], first: str = FIRST) -> int:
    """Run JupyterLab in this process, in `folder`, until it is shut down."""
    from jupyterlab.labapp import LabApp

    os.chdir(folder)
    with tempfile.TemporaryDirectory(prefix="trpolab-lab-") as config:
        paths = (_write_page_config(Path(config)), os.environ.get("JUPYTER_CONFIG_PATH"))
        os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, paths))
        LabApp.launch_instance(jupyter_arguments(folder, options, first))
    return Exit.FINISHED


def _write_page_config(folder: Path) -> str:
    """A Jupyter configuration folder that leaves the announcements out: they ask the network, and for attention."""
    (folder / "labconfig").mkdir()
    page = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
    (folder / "labconfig" / "page_config.json").write_text(json.dumps(page), encoding="utf-8")
    return str(folder)


def _files(source: Path) -> list[str]:
    files = [path.relative_to(source) for path in sorted(source.rglob("*")) if path.is_file()]
    return [file.as_posix() for file in files if SKIPPED.isdisjoint(file.parts)]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read_record(folder: Path) -> dict[str, str]:
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return {}  # without a record every copy that differs counts as edited, which is the safe side
    return record if isinstance(record, dict) else {}
