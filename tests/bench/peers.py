"""The processes that are measured, each started by this run and ended with it."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from deploy.local.home import Home
from deploy.local.state import FleetState
from libs.testing import free_port

BIN = Path(sys.executable).parent
_PATIENCE = 60.0  # seconds for a peer to become ready


@dataclass(frozen=True, slots=True)
class Fleet:
    """A running `comfyfleet up`."""

    home: Path
    url: str
    token: str

    @property
    def runners(self) -> Sequence[str]:
        """Base URLs of its simulated runners."""
        state = FleetState.read(Home(self.home))
        return [f"http://{item.address}" for item in state.processes if item.name.startswith("simulated-runner")]

    def memory(self, name: str) -> int:
        """Resident bytes of one of its processes."""
        state = FleetState.read(Home(self.home))
        pid = next(item.pid for item in state.processes if item.name == name)
        return int(psutil.Process(pid).memory_info().rss)


@contextmanager
def fleet(runners: int, **environment: str) -> Iterator[Fleet]:
    """A fleet with simulated runners."""
    with tempfile.TemporaryDirectory(prefix="cf-bench-") as folder:
        home = Path(folder) / "fleet"
        words = ["up", "--home", str(home), "--port", "0", "--simulated-runners", str(runners), "--detach"]
        _cli(words, {**os.environ, "COMFYFLEET_LOG_LEVEL": "warning", **environment})
        known = Home(home).read_credentials()
        try:
            yield Fleet(home, known["COMFYFLEET_URL"], known["COMFYFLEET_TOKEN"])
        finally:
            _cli(["down", "--home", str(home)], dict(os.environ))


def _cli(words: Sequence[str], environment: dict[str, str]) -> None:
    command = [str(BIN / "comfyfleet"), *words]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@contextmanager
def program(command: Sequence[str], url: str) -> Iterator[subprocess.Popen[bytes]]:
    """Any program that answers HTTP at a URL once it is ready."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _until(lambda: _answers(url))
        yield process
    finally:
        process.terminate()
        process.wait(15)


@contextmanager
def bare() -> Iterator[tuple[str, int]]:
    """The bare baselines; yields base URL and pid of the HTTP part."""
    module = [sys.executable, "-m", "tests.bench.baseline"]
    http_port, grpc_port = free_port(), free_port()
    url = f"http://127.0.0.1:{http_port}"
    peer = subprocess.Popen([*module, "grpc", str(grpc_port)])
    try:
        with program([*module, "http", str(http_port), str(grpc_port)], f"{url}/hello") as process:
            yield url, process.pid
    finally:
        peer.terminate()
        peer.wait(15)


@contextmanager
def proxy(runner: str) -> Iterator[str]:
    """The package comfy-api-proxy in front of a runner."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        command = [str(BIN / "comfy-api-proxy"), "run", "--comfyui", runner, "--port", str(port)]
        with program([*command, "--state-dir", folder], f"{url}/api/v2/jobs/none"):
            yield url


def _answers(url: str) -> bool:
    try:
        httpx.get(url, timeout=1, trust_env=False)
    except httpx.HTTPError:
        return False
    return True


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("a peer did not become ready")
        time.sleep(0.1)
