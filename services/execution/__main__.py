"""`python -m services.execution`: environment, settings, run."""

import sys

from libs.runtime import disable_grpc_fork_support, run

disable_grpc_fork_support()

from libs.observe import logs, traces  # noqa: E402 - grpc must not be imported before
from services.execution.app import build  # noqa: E402
from services.execution.settings import ExecutionSettings  # noqa: E402


def main() -> int:
    """Serve until a signal; returns the exit code."""
    settings = ExecutionSettings()
    logs.configure("execution", settings.log_level, as_json=settings.log_json)
    traces.configure("execution", settings.otlp_endpoint)
    return run(lambda: build(settings), fast=True)


if __name__ == "__main__":
    sys.exit(main())
