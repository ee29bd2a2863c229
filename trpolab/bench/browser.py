"""A real JupyterLab and a headless Chromium, away from the user's own settings: for benchmarks and for tests."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
SECONDS_TO_START = 90


def find_chromium() -> str | None:
    """The path of a Chromium."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def missing() -> str:
    """What a browser test or benchmark lacks here, in a sentence that says how to get it; "" if it has all."""
    if find_chromium() is None:
        return "no Chromium on PATH; get one with: apt-get install chromium"
    if find_spec("playwright") is None:
        return 'needs Playwright: pip install "trpolab[test]"'
    return 'needs JupyterLab: pip install "trpolab[lab]"' if find_spec("jupyterlab") is None else ""


@contextlib.contextmanager
def jupyterlab(folder: Path, home: Path) -> Iterator[str]:
    """The address of a JupyterLab that serves a folder; its settings, its kernels' files and its log are in `home`.

    Raises RuntimeError with the end of its log if it does not start.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    package = str(Path(__file__).parents[2])
    environment = os.environ | {
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "IPYTHONDIR": str(home / "ipython"),
        "PYTHONPATH": os.pathsep.join([package, os.environ.get("PYTHONPATH", "")]),
    }
    environment.pop("TRPOLAB_FAST", None)
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1"),
        *(f"--ServerApp.port={port}", "--IdentityProvider.token=", f"--ServerApp.root_dir={folder}"),
        *("--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"),
    ]
    log = home / "log"
    with log.open("w") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT)
    try:
        _await_port(port, process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def _await_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.2)


@contextlib.contextmanager
def browser(width: int = 1320, height: int = 1000) -> Iterator[Any]:
    """A context of headless Chromium, whose pages have this size and a minute's patience."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=find_chromium(), args=list(ARGUMENTS))
        context = chromium.new_context(viewport={"width": width, "height": height})
        context.set_default_timeout(60_000)
        yield context
        chromium.close()


def write_notebook(file: Path, *sources: str) -> None:
    """A notebook with these code cells."""
    blank: dict[str, Any] = {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": []}
    cells = [{**blank, "id": f"cell{place}", "source": source} for place, source in enumerate(sources)]
    kernel = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}
    file.write_text(json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}), "utf-8")


def open_notebook(page: Any, server: str, name: str) -> None:
    """Open a notebook in JupyterLab; its kernel is ready then."""
    page.goto(f"{server}/lab/tree/{name}?reset")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell")
    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]")
    time.sleep(2)  # the kernel's first "idle" comes before JupyterLab has restored the session
    page.locator(".jp-Notebook .jp-CodeCell .jp-InputArea-editor").first.click()


def run_all(page: Any) -> float:
    """Run all cells of the notebook; returns when that began. A kernel that was not ready yet is asked again."""
    prompts = "[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')]"
    asked = f"() => {prompts}.some((prompt) => prompt.textContent.trim() !== '[ ]:')"
    for _ in range(5):
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        began = time.perf_counter()
        with contextlib.suppress(Exception):  # Playwright's own error for what took too long
            page.wait_for_function(asked, timeout=5_000)
            return began
    raise RuntimeError("the notebook's cells do not run")


def until(true: Callable[[], Any], why: str, patience: float = 120.0) -> Any:
    """What `true()` returns once that is true. Raises AssertionError if it never is."""
    deadline = time.monotonic() + patience
    while not (found := true()):
        if time.monotonic() > deadline:
            raise AssertionError(why)
        time.sleep(0.1)
    return found


def ask_kernel(home: Path, expression: str) -> Any:
    """A literal that an expression gives in the newest kernel of a JupyterLab."""
    from jupyter_client.blocking import BlockingKernelClient

    client: Any = BlockingKernelClient()
    client.load_connection_file(str(max((home / "runtime").glob("kernel-*.json"), key=os.path.getmtime)))
    client.start_channels()
    try:
        asked = {"user_expressions": {"found": expression}, "store_history": False, "timeout": 120}
        found = client.execute_interactive("", output_hook=lambda message: None, **asked)["content"]
    finally:
        client.stop_channels()
    answer = found["user_expressions"]["found"]
    if answer["status"] != "ok":
        raise RuntimeError(f"{expression} failed in the kernel: {answer['evalue']}")
    return ast.literal_eval(answer["data"]["text/plain"])
