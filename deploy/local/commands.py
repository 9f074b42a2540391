"""`comfyfleet up`, `down` and `status`."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from deploy.local.home import DEFAULT, Home
from deploy.local.state import FleetState

if TYPE_CHECKING:
    from deploy.local.programs import Wanted

HomeOption = Annotated[Path, typer.Option("--home", help="Folder of the fleet: data, logs, secrets, credentials.")]
_STOP_SECONDS = 90.0
_console = Console(stderr=True)


def up(
    home: HomeOption = DEFAULT,
    port: Annotated[int, typer.Option(help="Port of the HTTP API; 0 takes a free one.")] = 8080,
    simulated_runners: Annotated[int, typer.Option(help="Simulated ComfyUI servers to start and register.")] = 0,
    execution_replicas: Annotated[int, typer.Option(min=1, help="Processes of the execution service.")] = 1,
    detach: Annotated[bool, typer.Option("--detach", help="Return once everything is healthy.")] = False,
) -> None:
    """Start a whole fleet on this machine and keep it running.

    PostgreSQL and NATS come with it unless DATABASE_URL and NATS_URL are set. Everything lies below HOME; credentials
    for clients are written to HOME/credentials.env.

    Example: comfyfleet up --simulated-runners 2
    """
    from deploy.local.programs import Wanted

    wanted = Wanted(port, simulated_runners, execution_replicas)
    code = _detached(home, wanted) if detach else _foreground(home, wanted)
    raise typer.Exit(code)


def down(home: HomeOption = DEFAULT) -> None:
    """Stop the fleet of HOME, gracefully, and wait until it is gone.

    Example: comfyfleet down --home /srv/fleet
    """
    from deploy.local.supervisor import end_leftovers

    folder = Home(home)
    state = FleetState.read(folder)
    if state.is_running and state.supervisor is not None and state.supervisor.pid is not None:
        os.kill(state.supervisor.pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        while state.is_running and time.monotonic() < deadline:
            time.sleep(0.1)
    end_leftovers(FleetState.read(folder))
    _console.print(f"The fleet of {home} is down.")


def status(
    home: HomeOption = DEFAULT,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the processes of the fleet of HOME. Exit code 3 when it is not running.

    Example: comfyfleet status --json
    """
    state = FleetState.read(Home(home))
    processes = [item.told() for item in state.now()]
    if as_json:
        typer.echo(json.dumps({"processes": processes}, indent=1))
    else:
        _show(processes)
    raise typer.Exit(0 if state.is_running else 3)


def _show(processes: list[dict[str, object]]) -> None:
    table = Table("name", "state", "pid", "address", "restarts")
    for item in processes:
        table.add_row(*(str(item[name] or "") for name in ("name", "state", "pid", "address")), str(item["restarts"]))
    Console().print(table)


def _foreground(home: Path, wanted: "Wanted") -> int:
    from deploy.local.supervisor import AlreadyRunning, Supervisor
    from libs.observe import logs

    logs.configure("supervisor", "warning", as_json=not sys.stderr.isatty())
    folder = Home(home)
    with _bar() as progress:
        task = progress.add_task("starting", total=None)

        def changed(name: str, state: str) -> None:
            progress.update(task, description=f"{name}: {state}")

        def ready(state: FleetState) -> None:
            progress.stop()
            _say_what_next(folder, state)

        try:
            asyncio.run(Supervisor(folder, wanted, changed).run(ready))
        except AlreadyRunning:
            progress.stop()
            _console.print(f"A fleet is already running in {home}. Stop it with: comfyfleet down --home {home}")
            return 1
    return 0


def _detached(home: Path, wanted: "Wanted") -> int:
    folder = Home(home)
    if FleetState.read(folder).is_running:
        _console.print(f"A fleet is already running in {home}.")
        return 1
    folder.make()
    command = [sys.executable, "-m", "deploy.local", str(home), str(wanted.port), str(wanted.simulated_runners)]
    command.append(str(wanted.execution_replicas))
    with folder.log("supervisor").open("ab") as output:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    with _bar() as progress:
        task = progress.add_task("starting", total=None)
        while child.poll() is None:
            state = FleetState.read(folder)
            if state.ready and state.supervisor is not None and state.supervisor.pid == child.pid:
                progress.stop()
                _say_what_next(folder, state)
                return 0
            waiting = [item.name for item in state.processes if item.state in ("starting", "restarting")]
            progress.update(task, description=f"waiting for {', '.join(waiting)}" if waiting else "starting")
            time.sleep(0.1)
    _console.print(f"The fleet did not start; see {folder.path / 'logs' / 'supervisor.log'}")
    return 1


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=_console, transient=True
    )


def _say_what_next(home: Home, state: FleetState) -> None:
    _console.print(f"[bold]The fleet is up[/] at {state.url}")
    _console.print(f"  credentials      {home.credentials}")
    _console.print(f"  logs             {home.path / 'logs'}")
    _console.print(
        "  add a server     comfyfleet runner add --name studio --endpoint http://127.0.0.1:8188", soft_wrap=True
    )
    _console.print("  run a workflow   comfyfleet run workflow.json --out ./out")
    _console.print(f"  stop             comfyfleet down --home {home.path}")
