"""Two hosts, made of two network namespaces of this machine: one is cut off in mid-iteration, and nothing is lost."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("ray", reason='needs Ray: pip install "trpolab[ray]"')

from trpolab.training.session import Session

HOSTS = {f"trpolab-{os.getpid()}-a": "10.77.0.1", f"trpolab-{os.getpid()}-b": "10.77.0.2"}
HEAD, OTHER = HOSTS
PORT = 6399
SETTINGS = {"seed": 3, "threads": 1, "iterations": 5, "steps_per_iteration": 16_384}
# Ray notices a host that does not answer within some seconds instead of half a minute.
QUICK = {"period_ms": 500, "timeout_ms": 1000, "failure_threshold": 3, "initial_delay_ms": 2000}
PROGRAM = f"""
import hashlib, time
from trpolab.training.session import Session

session = Session("Hopper-v5", out=None, executor="{HOSTS[HEAD]}:{PORT}", workers=2, **{SETTINGS!r})
for done in session.iterate():
    print("done", done.index, flush=True)
print("lost", sum(event["event"] == "worker_restarted" for event in session.events))
print("theta", hashlib.sha256(session.policy.theta.numpy().tobytes()).hexdigest(), flush=True)
"""


def ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


def inside(host: str, *command: str, **given: object) -> subprocess.Popen[str]:
    """A process on one of the hosts."""
    environment = {
        **os.environ,
        **{f"RAY_health_check_{name}": str(value) for name, value in QUICK.items()},
        **{"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "the token of a test " * 2},
        **given,
    }
    words = ["ip", "netns", "exec", host, *command]
    return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def start_ray(host: str, *words: str) -> None:
    ray = [sys.executable, "-m", "ray.scripts.scripts", "start", f"--node-ip-address={HOSTS[host]}", "--num-cpus=1"]
    process = inside(host, *ray, *words)
    told, _ = process.communicate(timeout=120)
    if process.returncode and "timed out" in told:
        pytest.skip("Ray gives its own parts too little time to start on a machine as busy as this one")
    assert process.returncode == 0, told


@pytest.fixture(scope="module")
def hosts() -> Iterator[None]:
    """Two namespaces with a cable between them, and a Ray over both."""
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("two hosts are made of network namespaces: needs root and iproute2")
    folder = tempfile.mkdtemp(prefix="two-hosts-", dir="/tmp")  # short, for Ray's sockets
    try:
        try:
            for host in HOSTS:
                ip("netns", "add", host)
            ip("link", "add", "cable", "netns", HEAD, "type", "veth", "peer", "name", "cable", "netns", OTHER)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"network namespaces can't be made here: {error.stderr.strip()}")
        for host, address in HOSTS.items():
            ip("-n", host, "addr", "add", f"{address}/24", "dev", "cable")
            for device in ("lo", "cable"):
                ip("-n", host, "link", "set", device, "up")
        start_ray(HEAD, "--head", f"--port={PORT}", "--include-dashboard=false", f"--temp-dir={folder}")
        start_ray(OTHER, f"--address={HOSTS[HEAD]}:{PORT}")
        yield
    finally:
        for host in HOSTS:
            with contextlib.suppress(subprocess.CalledProcessError):
                for pid in ip("netns", "pids", host).split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
                ip("netns", "del", host)
        shutil.rmtree(folder, ignore_errors=True)


def has_worker(host: str) -> bool:
    lines = [Path(f"/proc/{pid}/cmdline") for pid in ip("netns", "pids", host).split()]
    return any(line.exists() and line.read_bytes().startswith(b"ray::RayWorker") for line in lines)


def test_another_token_is_told_in_a_sentence(hosts: None, tmp_path: Path) -> None:
    asked = ["train", "CartPole-v1", "--executor", f"{HOSTS[HEAD]}:{PORT}", "--out", str(tmp_path)]
    process = inside(HEAD, sys.executable, "-m", "trpolab", *asked, RAY_AUTH_TOKEN="some other token " * 3)
    told, _ = process.communicate(timeout=120)
    assert process.returncode == 2 and "Traceback" not in told
    assert "what answers has another token, or is no Ray" in told and "RAY_AUTH_TOKEN" in told


def test_a_host_that_is_cut_off_costs_its_work_and_nothing_else(hosts: None) -> None:
    alone = Session("Hopper-v5", out=None, **SETTINGS).run()
    process = inside(HEAD, sys.executable, "-c", PROGRAM)
    told: list[str] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            told.append(line.rstrip())
            if line.startswith("done 2"):
                assert has_worker(HEAD) and has_worker(OTHER)
                ip("-n", OTHER, "link", "set", "cable", "down")
        assert process.wait(120) == 0, told
    finally:
        process.kill()
    assert "lost 1" in told
    assert told[-1] == f"theta {hashlib.sha256(alone.policy.theta.numpy().tobytes()).hexdigest()}"
