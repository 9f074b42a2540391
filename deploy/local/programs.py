"""The process table of a local fleet, as data."""

import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local import ready
from deploy.local.home import Home
from deploy.local.nats import Nats
from deploy.local.nats import answers as nats_answers
from deploy.local.postgres import Postgres
from deploy.local.postgres import answers as postgres_answers
from deploy.local.process import Program
from deploy.local.state import FleetState
from libs.testing.ports import free_port

REGISTRY, EXECUTION, GATEWAY = "runner_registry", "execution", "gateway"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for. `port` 0 takes a free one."""

    port: int = 8080
    simulated_runners: int = 0
    execution_replicas: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """The programs in the order of their start, stage by stage, and the addresses of what runs elsewhere."""

    stages: list[list[Program]]
    external: Mapping[str, str]
    addresses: Mapping[str, str]
    environment: Mapping[str, str]

    @property
    def url(self) -> str:
        """The gateway's base URL."""
        return f"http://{self.addresses[GATEWAY]}"

    @property
    def runners(self) -> list[str]:
        """Base URLs of the simulated runners."""
        return [f"http://{program.address}" for stage in self.stages for program in stage if is_runner(program.name)]


def is_runner(name: str) -> bool:
    """Whether a process is a simulated runner."""
    return name.startswith("simulated-runner-")


def plan(home: Home, wanted: Wanted, before: FleetState) -> Plan:
    """Everything that is to run, on the ports it had before where those are free."""
    ports = _Ports(before)
    backends, external, urls = _backends(home, ports)
    execution_names = [EXECUTION, *(f"{EXECUTION}-{number}" for number in range(2, wanted.execution_replicas + 1))]
    names = [REGISTRY, *execution_names]
    addresses = {name: ports.address(name) for name in names}
    addresses[GATEWAY] = f"127.0.0.1:{wanted.port or ports.take(GATEWAY)}"
    shared = {**urls, **_shared(home, addresses)}
    services = [_service(name, addresses[name], shared) for name in names]
    gateway = Program(
        GATEWAY,
        [sys.executable, "-m", "gateway"],
        addresses[GATEWAY],
        ready.http(f"http://{addresses[GATEWAY]}/readyz"),
        {**shared, "COMFYFLEET_LISTEN": addresses[GATEWAY]},
    )
    runners = [_runner(home, f"simulated-runner-{number}", ports) for number in range(1, wanted.simulated_runners + 1)]
    return Plan([backends, services, [gateway, *runners]], external, addresses, shared)


def _backends(home: Home, ports: "_Ports") -> tuple[list[Program], dict[str, str], dict[str, str]]:
    programs: list[Program] = []
    external: dict[str, str] = {}
    urls: dict[str, str] = {}
    database_url = os.environ.get("COMFYFLEET_DATABASE_URL") or os.environ.get("DATABASE_URL")
    if database_url:
        external["postgres"] = _without_secret(database_url)
    else:
        program, database_url = _postgres(home, ports)
        programs.append(program)
    nats_url = os.environ.get("COMFYFLEET_NATS_URL") or os.environ.get("NATS_URL")
    if nats_url:
        external["nats"] = _without_secret(nats_url)
    else:
        program, nats_url = _nats(home, ports)
        programs.append(program)
    urls |= {"COMFYFLEET_DATABASE_URL": database_url, "COMFYFLEET_NATS_URL": nats_url}
    return programs, external, urls


def _postgres(home: Home, ports: "_Ports") -> tuple[Program, str]:
    server = Postgres((home.path / "postgres").resolve(), ports.take("postgres"), home.secret("postgres.password"))
    program = Program(
        "postgres",
        server.command(),
        server.address,
        _bound(postgres_answers, server.dsn),
        prepare=server.prepare,
        stop_signal=signal.SIGINT,
    )
    return program, server.dsn


def _nats(home: Home, ports: "_Ports") -> tuple[Program, str]:
    server = Nats((home.path / "nats").resolve(), ports.take("nats"), home.secret("nats.token"))
    program = Program(
        "nats", server.command(), server.address, _bound(nats_answers, server.address), prepare=server.prepare
    )
    return program, server.url


def _service(name: str, address: str, shared: Mapping[str, str]) -> Program:
    module = "services." + name.partition("-")[0]
    environment = {**shared, "COMFYFLEET_LISTEN": address}
    return Program(name, [sys.executable, "-m", module], address, ready.grpc_health(address), environment)


def _runner(home: Home, name: str, ports: "_Ports") -> Program:
    port = ports.take(name)
    folder = str((home.path / name).resolve())
    speed = os.environ.get("COMFYFLEET_SIMULATED_SPEED", "1")
    command = [sys.executable, "-m", "deploy.simulator", "--port", str(port), "--folder", folder, "--speed", speed]
    return Program(name, command, f"127.0.0.1:{port}", ready.http(f"http://127.0.0.1:{port}/system_stats"))


def _shared(home: Home, addresses: Mapping[str, str]) -> dict[str, str]:
    return {
        "COMFYFLEET_IDENTITY_KEY": home.secret("identity.key"),
        "COMFYFLEET_ENCRYPTION_KEY": home.secret("encryption.key"),
        "COMFYFLEET_URL_SIGNING_KEY": home.secret("url.key"),
        "COMFYFLEET_ADMIN_KEY": home.secret("admin.key"),
        "COMFYFLEET_BLOB_STORE_URL": os.environ.get("COMFYFLEET_BLOB_STORE_URL") or _blobs(home.path),
        "COMFYFLEET_REGISTRY_ADDRESS": addresses[REGISTRY],
        "COMFYFLEET_EXECUTION_ADDRESS": addresses[EXECUTION],
    }


def _blobs(home: Path) -> str:
    return (home / "blobs").resolve().as_uri()


def _bound(check: Callable[[str], Awaitable[bool]], argument: str) -> Callable[[], Awaitable[bool]]:
    return lambda: check(argument)


def _without_secret(url: str) -> str:
    return url.rpartition("@")[2].partition("/")[0] if "@" in url else url.partition("//")[2].partition("/")[0]


class _Ports:
    """Keeps the ports of the last run where they are still free."""

    def __init__(self, before: FleetState) -> None:
        self._before = before
        self._taken: set[int] = set()

    def take(self, name: str) -> int:
        """A port for a process."""
        port = self._before.port_of(name)
        if port is None or port in self._taken or not _is_free(port):
            port = free_port()
        self._taken.add(port)
        return port

    def address(self, name: str) -> str:
        """A loopback address for a process."""
        return f"127.0.0.1:{self.take(name)}"


def _is_free(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
