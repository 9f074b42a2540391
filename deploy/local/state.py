"""What runs, as others may read it: `comfyfleet status`, `down`, and the next `up`."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import psutil

from deploy.local.home import Home, read_json, write_private


@dataclass(slots=True)
class ProcessState:
    """One process. `started` is the system's start time of the pid, which tells a reused pid apart."""

    name: str
    pid: int | None
    address: str
    state: str
    restarts: int = 0
    started: float = 0.0

    @property
    def is_alive(self) -> bool:
        """Whether this very process still runs."""
        return self.pid is not None and start_time(self.pid) == self.started

    def told(self) -> dict[str, Any]:
        """As `comfyfleet status --json` prints it."""
        return {
            "name": self.name,
            "pid": self.pid,
            "address": self.address,
            "state": self.state,
            "restarts": self.restarts,
        }


@dataclass(slots=True)
class FleetState:
    """The supervisor and everything it looks after."""

    supervisor: ProcessState | None = None
    ready: bool = False
    url: str = ""
    processes: list[ProcessState] = field(default_factory=list)

    @classmethod
    def read(cls, home: Home) -> "FleetState":
        """The last state written; an empty one when there is none."""
        content: dict[str, Any] = read_json(home.state)
        supervisor = content.get("supervisor")
        return cls(
            ProcessState(**supervisor) if supervisor else None,
            bool(content.get("ready")),
            str(content.get("url", "")),
            [ProcessState(**item) for item in content.get("processes", [])],
        )

    def write(self, home: Home) -> None:
        """Replace the file at once."""
        write_private(home.state, json.dumps(asdict(self), indent=1))

    @property
    def is_running(self) -> bool:
        """Whether the supervisor is there."""
        return self.supervisor is not None and self.supervisor.is_alive

    def port_of(self, name: str) -> int | None:
        """The port that a process had, so that a restart keeps addresses."""
        return next((int(item.address.rpartition(":")[2]) for item in self.processes if item.name == name), None)

    def now(self) -> Sequence[ProcessState]:
        """The processes, with those that are gone shown as stopped."""
        for item in self.processes:
            if item.state != "external" and not item.is_alive:
                item.state, item.pid = "stopped", None
        return self.processes


def start_time(pid: int) -> float:
    """When a pid began; 0 when there is no such process, or only its remains."""
    try:
        process = psutil.Process(pid)
        return 0.0 if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return 0.0
