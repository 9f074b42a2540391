"""`comfyfleet simulate-runner`."""

from typing import Annotated

import typer


def simulate_runner(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8188,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    version: Annotated[str, typer.Option(metavar="V", help="Which ComfyUI it speaks like; default: the newest.")] = "",
    speed: Annotated[float, typer.Option(min=0.001, help="Divides the time that nodes take.")] = 1.0,
    folder: Annotated[str, typer.Option(metavar="DIR", help="Keeps input and output; default: a temporary one.")] = "",
) -> None:
    """Run a ComfyUI server without models: for demos, for tests, and to plan capacity. Ctrl-C ends it.

    Example: comfyfleet simulate-runner --port 8188 --speed 10
    """
    import asyncio

    from deploy.simulator.__main__ import serve
    from deploy.simulator.app import SimulatorSettings
    from deploy.simulator.versions import DEFAULT, VERSIONS
    from gateway.cli.errors import CommandFailed, ExitCode

    if version and version not in VERSIONS:
        known = ", ".join(sorted(VERSIONS))
        raise CommandFailed(f"--version {version!r} is not one of: {known}", ExitCode.USAGE)
    asyncio.run(serve(SimulatorSettings(f"{host}:{port}", version or DEFAULT, speed, folder)))
