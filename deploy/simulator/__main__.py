"""`python -m deploy.simulator`: one simulated runner until a signal comes."""

import argparse
import asyncio
import signal
import sys

from deploy.simulator.app import SimulatorSettings, simulating
from deploy.simulator.versions import DEFAULT, VERSIONS


async def serve(settings: SimulatorSettings) -> None:
    """Run until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with simulating(settings) as simulator:
        print(f"simulated runner {settings.version} at {simulator.endpoint}", flush=True)
        await stopping.wait()


def main() -> int:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m deploy.simulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8188)
    parser.add_argument("--version", choices=sorted(VERSIONS), default=DEFAULT, help="which ComfyUI it speaks like")
    parser.add_argument("--speed", type=float, default=1.0, help="divides the time that nodes take")
    parser.add_argument("--folder", default="", help="keeps input and output; default: a temporary one")
    given = parser.parse_args()
    asyncio.run(serve(SimulatorSettings(f"{given.host}:{given.port}", given.version, given.speed, given.folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
