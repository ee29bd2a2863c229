"""What a person installs: the wheel outside a checkout, and the files that must agree with each other."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import tomllib
import urllib.error
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.checkout import notebooks
from trpolab.cli import doctor
from trpolab.extras import CORE, EXTRAS

DEADLINE = 120.0  # seconds for JupyterLab to answer, generous on a busy machine


@pytest.fixture(scope="module")
def project(checkout: Path) -> dict:
    return tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=checkout, check=True, capture_output=True, text=True)
    (built,) = folder.glob("trpolab-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a fresh environment with the wheel in it; what the wheel requires is lent by this one."""
    folder = tmp_path_factory.mktemp("fresh") / "venv"
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    scheme = {"base": str(folder), "platbase": str(folder)}
    site = Path(sysconfig.get_path("purelib", "venv", scheme))
    # A path line lends the packages here, but not what their own .pth files add: the checkout stays unseen.
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    for kind in ("share/jupyter", "etc/jupyter"):  # JupyterLab's pages, kernels and extensions
        if (lent := Path(sys.prefix) / kind).exists():
            (folder / kind).parent.mkdir(exist_ok=True)
            (folder / kind).symlink_to(lent)
    scripts = Path(sysconfig.get_path("scripts", "venv", scheme))
    pip = [sys.executable, "-m", "pip", "--python", str(scripts / "python"), "install", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True, text=True)
    return scripts


def elsewhere(folder: Path) -> dict[str, str]:
    """An environment in which nothing points back to the checkout, or to the user's own Jupyter."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "JUPYTER"))}
    return {**kept, "JUPYTER_RUNTIME_DIR": str(folder / "runtime"), "JUPYTER_CONFIG_DIR": str(folder / "config")}


def test_the_wheel_carries_the_notebooks_and_nothing_else_of_the_checkout(wheel: Path, checkout: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    expected = {f"trpolab/{path.relative_to(checkout)}" for path in notebooks()}
    sources = {
        f"trpolab/workshop/exercises/{path.name}" for path in (checkout / "trpolab/workshop/exercises").glob("*.md")
    }
    results = {f"trpolab/{path.relative_to(checkout)}" for path in (checkout / "results").rglob("*.*")}
    assert expected and sources and results and expected | sources | results <= set(names)
    assert {name.split("/")[0] for name in names} == {"trpolab", "trpolab-" + version(wheel) + ".dist-info"}
    unwanted = (".ipynb_checkpoints", "notebooks/runs/", "__pycache__")
    assert not [name for name in names if any(part in name for part in unwanted)]


def test_the_wheel_carries_the_bundle_of_the_lab_with_its_licences(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"trpolab/lab/web/{name}" for name in ("dist/trpolab.js", "dist/LICENSES.txt", "loader.js")} <= names
    assert not [name for name in names if "node_modules" in name]


def version(wheel: Path) -> str:
    return wheel.name.split("-")[1]


def test_the_installed_wheel_runs_outside_the_checkout(installed: Path, checkout: Path, tmp_path: Path) -> None:
    where = [installed / "python", "-c", "import trpolab; print(trpolab.__file__, trpolab.make.__name__)"]
    found = subprocess.run(where, cwd=tmp_path, env=elsewhere(tmp_path), check=True, capture_output=True, text=True)
    path, name = found.stdout.split()
    assert Path(path).is_relative_to(installed.parent) and name == "make"
    doctor = subprocess.run(
        [installed / "trpolab", "doctor"], cwd=tmp_path, env=elsewhere(tmp_path), capture_output=True, text=True
    )
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr


def test_the_self_test_needs_no_checkout(installed: Path, tmp_path: Path) -> None:
    """A check that trains, one that starts a child, and one that only reads."""
    code = "from trpolab.selftest import *; print(*run({row: CHECKS[row] for row in ('R4', 'R8', 'R26')}), sep='\\n')"
    command = [installed / "python", "-c", code]
    ran = subprocess.run(command, cwd=tmp_path, env=elsewhere(tmp_path), capture_output=True, text=True)
    assert ran.stdout.count("passed=True") == 3, ran.stdout + ran.stderr


def test_the_lab_opens_outside_the_checkout_and_keeps_edits(installed: Path, tmp_path: Path) -> None:
    pytest.importorskip("jupyterlab", reason='no JupyterLab; get it with: pip install "trpolab[lab]"')
    with running_lab(installed, tmp_path) as (url, token):
        assert url.startswith("http://127.0.0.1:")
        status, page = get(f"{url}lab/tree/0_start.ipynb", token)
        assert status == 200 and b"apputils-extension:announcements" in page  # switched off: it would ask the network
        status, listing = get(f"{url}api/contents/", token)
        assert status == 200 and "0_start.ipynb" in [entry["name"] for entry in json.loads(listing)["content"]]
        assert get(f"{url}api/contents/", "")[0] == 403  # the token is asked for
    first = tmp_path / "trpolab-notebooks" / "0_start.ipynb"
    edited = first.read_text(encoding="utf-8") + "\n"
    first.write_text(edited, encoding="utf-8")
    with running_lab(installed, tmp_path):
        pass
    assert first.read_text(encoding="utf-8") == edited
    assert "0_start.ipynb" in (tmp_path / "lab.log").read_text(encoding="utf-8").splitlines()[0]


@contextmanager
def running_lab(scripts: Path, folder: Path) -> Iterator[tuple[str, str]]:
    """`trpolab lab` in a folder, once it answers: its address and its token."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [scripts / "trpolab", "lab", "--no-browser", f"--port={port}", "--ServerApp.port_retries=0"]
    log = folder / "lab.log"
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=folder, env=elsewhere(folder), stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + DEADLINE
        while not (servers := list((folder / "runtime").glob("jpserver-*.json"))):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text(encoding="utf-8")
            time.sleep(0.1)
        server = json.loads(servers[0].read_text(encoding="utf-8"))
        while get(f"{server['url']}api/status", server["token"])[0] != 200:
            assert process.poll() is None and time.monotonic() < deadline, log.read_text(encoding="utf-8")
            time.sleep(0.1)
        yield server["url"], server["token"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=DEADLINE)


def get(url: str, token: str) -> tuple[int, bytes]:
    """Status and body; 0 while nobody listens."""
    request = urllib.request.Request(url, headers={"Authorization": f"token {token}"} if token else {})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback needs no proxy
    try:
        with opener.open(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, b""
    except urllib.error.URLError:
        return 0, b""


@pytest.mark.parametrize(
    ("package", "first_sound"),
    [
        ("torch", (2, 10)),  # CVE-2025-32434, CVE-2026-24747: a weights file could run code
        ("jupyterlab", (4, 6, 2)),  # CVE-2026-42557 and five more: a saved output could run code
        ("pyarrow", (14, 0, 1)),  # CVE-2023-47248: a file could run code
        ("Pillow", (11, 3)),  # CVE-2025-48379: writing beyond a buffer
    ],
)
def test_no_version_with_a_known_hole_is_allowed(package: str, first_sound: tuple[int, ...], project: dict) -> None:
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    (floor,) = {re.search(r">=([\d.]+)", line)[1] for line in lines if re.match(rf"{package}\b", line)}
    assert tuple(map(int, floor.split("."))) >= first_sound


def test_environment_yml_installs_what_pyproject_names(project: dict, checkout: Path) -> None:
    text = (checkout / "environment.yml").read_text(encoding="utf-8")
    conda, pip = text.split("  - pip:\n")
    listed = [line.strip().removeprefix("- ").strip('"') for line in pip.splitlines()]
    extras = project["optional-dependencies"]
    wanted = [
        *project["dependencies"],
        *(line for extra in ("lab", "atari", "cma", "parquet", "tensorboard", "ray", "test") for line in extras[extra]),
    ]
    assert listed == [*wanted, "-e ."]
    assert f"  - python{project['requires-python']}\n" in conda


def test_all_is_the_sum_of_the_extras_but_for_other_environments_and_libraries(project: dict) -> None:
    extras = set(project["optional-dependencies"]) - {"all", "envs", "bench"}
    (everything,) = project["optional-dependencies"]["all"]
    assert set(re.fullmatch(r"trpolab\[(.*)\]", everything)[1].split(",")) == extras


def test_doctor_and_error_sentences_know_what_pyproject_names(project: dict) -> None:
    def names(lines: list[str]) -> list[str]:
        return [re.split(r"[<>=!]", line)[0] for line in lines]

    brought = {extra: names(lines) for extra, lines in project["optional-dependencies"].items()}
    assert list(CORE) == names(project["dependencies"])
    assert set(doctor.OPTIONAL) == {name for extra in set(EXTRAS.values()) for name in brought[extra]}
    for distribution in doctor.OPTIONAL:
        assert distribution in brought[EXTRAS[doctor.MODULES.get(distribution, distribution)]]


def readme_line(checkout: Path, name: str) -> str:
    block = re.search(
        rf"<!-- {name} -->\n```bash\n(.*?)```\n<!-- /{name} -->", (checkout / "README.md").read_text(), re.S
    )
    assert block, f"README.md has no command between <!-- {name} --> markers"
    return block[1].strip()


def test_the_readme_has_two_command_lines_with_the_same_set_up(checkout: Path) -> None:
    lab, tests = readme_line(checkout, "lab"), readme_line(checkout, "tests")
    assert "\n" not in lab and "\n" not in tests
    assert lab.rpartition(" && ")[0] == tests.rpartition(" && ")[0]
    assert '".[all]"' in lab and lab.endswith("trpolab lab") and tests.endswith("-m pytest")


def test_ci_runs_the_second_line_of_the_readme(checkout: Path, tmp_path: Path) -> None:
    """With stand-ins for everything that installs: what is left is the line itself, its output and its exit code."""
    (tmp_path / ".ci").mkdir()
    (tmp_path / "bin").mkdir()
    (tmp_path / ".ci" / "run").write_text((checkout / ".ci" / "run").read_text())
    for name, text in {
        "chromium": "exit 0",
        "python3": 'echo "$@"; mkdir -p .venv/bin; cp bin/fake .venv/bin/python',
    }.items():
        script(tmp_path / "bin" / name, text)
    script(tmp_path / "bin" / "fake", 'echo "python $@"; [ "$2" != pytest ] || exit 5')
    (tmp_path / "README.md").write_text((checkout / "README.md").read_text())
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    ran = subprocess.run(["bash", ".ci/run"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ran.returncode == 5, ran.stderr
    assert ran.stdout.splitlines() == [
        "+ " + readme_line(checkout, "tests"),
        "-m venv .venv",
        "python -m pip install -e .[all]",
        "python -m pytest",
    ]


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)


def test_a_hub_installs_extras_that_there_are(checkout: Path, project: dict) -> None:
    script = checkout / ".binder" / "postBuild"
    assert os.access(script, os.X_OK)
    (extras,) = re.findall(r'"\.\[(.*?)\]"', script.read_text(encoding="utf-8"))
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    subprocess.run(["bash", "-n", script], check=True)
