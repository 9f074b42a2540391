"""`python -m deploy.local HOME PORT RUNNERS REPLICAS`: the supervisor that `comfyfleet up --detach` leaves behind."""

import asyncio
import sys
from pathlib import Path

from libs.runtime import disable_grpc_fork_support

disable_grpc_fork_support()

from deploy.local.home import Home  # noqa: E402
from deploy.local.programs import Wanted  # noqa: E402
from deploy.local.supervisor import AlreadyRunning, Supervisor  # noqa: E402
from libs.observe import logs  # noqa: E402


def main() -> int:
    """Run until SIGTERM."""
    home, port, runners, replicas = sys.argv[1:5]
    logs.configure("supervisor", "info", as_json=True)
    wanted = Wanted(int(port), int(runners), int(replicas))
    try:
        asyncio.run(Supervisor(Home(Path(home)), wanted, lambda _, __: None).run(lambda _: None))
    except AlreadyRunning:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
