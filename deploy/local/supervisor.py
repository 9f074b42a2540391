"""Starts a local fleet stage by stage, keeps it running, stops it in reverse order."""

import asyncio
import fcntl
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psutil

from deploy.local.bootstrap import Bootstrap
from deploy.local.home import Home
from deploy.local.process import Supervised
from deploy.local.programs import REGISTRY, Plan, Wanted, plan
from deploy.local.state import FleetState, ProcessState, start_time

Progress = Callable[[str, str], None]


class AlreadyRunning(Exception):
    """Another supervisor holds the home."""


class Supervisor:
    """One local fleet. `progress` hears of every change of a process: its name and state."""

    def __init__(self, home: Home, wanted: Wanted, progress: Progress) -> None:
        self._home = home
        self._wanted = wanted
        self._progress = progress
        self._supervised: list[Supervised] = []
        self._state = FleetState()
        self._stopping = asyncio.Event()

    async def run(self, when_ready: Callable[[FleetState], None]) -> None:
        """Everything from start to stop. Raises AlreadyRunning."""
        self._home.make()
        with _locked(self._home):
            before = FleetState.read(self._home)
            await asyncio.to_thread(end_leftovers, before)
            self._listen_to_signals()
            fleet = plan(self._home, self._wanted, before)
            self._state = FleetState(_myself(), False, fleet.url, _external(fleet))
            starting = asyncio.create_task(self._start(fleet))
            stopping = asyncio.create_task(self._stopping.wait())
            try:
                await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if starting.done():
                    starting.result()
                    self._become_ready(when_ready)
                    await stopping
            finally:
                starting.cancel()
                stopping.cancel()
                await asyncio.gather(starting, stopping, return_exceptions=True)
                await self._stop()

    async def _start(self, fleet: Plan) -> None:
        for stage in fleet.stages:
            members = [Supervised(program, self._home, self._changed) for program in stage]
            self._supervised += members
            self._state.processes += [member.state for member in members]
            await asyncio.gather(*[member.start() for member in members])
        bootstrap = Bootstrap(fleet.addresses[REGISTRY], self._home.secret("identity.key"))
        known = self._home.read_credentials()
        credentials = await bootstrap.credentials(known, fleet.url, self._home.secret("admin.key"))
        await bootstrap.register(credentials["COMFYFLEET_ACCOUNT"], fleet.runners)
        self._home.write_credentials(credentials)

    def _become_ready(self, when_ready: Callable[[FleetState], None]) -> None:
        self._state.ready = True
        self._state.write(self._home)
        when_ready(self._state)

    async def _stop(self) -> None:
        self._state.ready = False
        for member in reversed(self._supervised):
            await member.stop()
        self._state.supervisor = None
        self._state.write(self._home)

    def _changed(self) -> None:
        self._state.write(self._home)
        for member in self._supervised:
            self._progress(member.state.name, member.state.state)

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._stopping.set)


def end_leftovers(state: FleetState) -> None:
    """End what a killed supervisor left behind: only the very processes it recorded."""
    left = [item for item in reversed(state.processes) if item.pid is not None and item.is_alive]
    for item in left:
        with suppress(ProcessLookupError):
            os.kill(item.pid or 0, signal.SIGINT if item.name == "postgres" else signal.SIGTERM)
    processes = []
    for item in left:
        with suppress(psutil.Error):
            processes.append(psutil.Process(item.pid))
    _, alive = psutil.wait_procs(processes, timeout=15)
    for process in alive:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _myself() -> ProcessState:
    return ProcessState("supervisor", os.getpid(), "", "running", 0, start_time(os.getpid()))


def _external(fleet: Plan) -> list[ProcessState]:
    return [ProcessState(name, None, address, "external") for name, address in fleet.external.items()]


@contextmanager
def _locked(home: Home) -> Iterator[None]:
    with home.lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AlreadyRunning from None
        yield
