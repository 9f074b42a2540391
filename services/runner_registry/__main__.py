"""`python -m services.runner_registry`: the environment becomes settings, settings become a running service."""

import sys

from libs.runtime import disable_grpc_fork_support, run

disable_grpc_fork_support()

from libs.observe import logs, traces  # noqa: E402
from services.runner_registry.app import NAME, build  # noqa: E402
from services.runner_registry.settings import RegistrySettings  # noqa: E402


def main() -> int:
    """Run until a signal comes; returns the exit code."""
    settings = RegistrySettings.from_environment()
    logs.configure(NAME, settings.log_level, as_json=settings.log_json)
    traces.configure(NAME, settings.otlp_endpoint)
    return run(lambda: build(settings), fast=True)


if __name__ == "__main__":
    sys.exit(main())
