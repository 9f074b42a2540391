"""`python -m gateway`: the environment becomes settings, settings become a running gateway."""

import sys

from libs.runtime import disable_grpc_fork_support, run

disable_grpc_fork_support()

from gateway.app import build  # noqa: E402
from gateway.settings import GatewaySettings  # noqa: E402
from libs.observe import logs, traces  # noqa: E402


def main() -> int:
    """Run until a signal comes; returns the exit code."""
    settings = GatewaySettings.from_environment()
    logs.configure("gateway", settings.log_level, as_json=settings.log_json)
    traces.configure("gateway", settings.otlp_endpoint)
    return run(lambda: build(settings), fast=True)


if __name__ == "__main__":
    sys.exit(main())
