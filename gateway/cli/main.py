"""One API for a fleet of ComfyUI servers.

Start a fleet:    comfyfleet up --simulated-runners 2

Add a server:     comfyfleet runner add --name studio --endpoint http://127.0.0.1:8188

Run a workflow:   comfyfleet run workflow.json --input 10.image=@photo.jpg
"""

import sys

from libs.runtime import disable_grpc_fork_support

disable_grpc_fork_support()

import typer  # noqa: E402

from deploy.local import commands  # noqa: E402
from gateway.cli import accounts, config, jobs, run, runners, show, simulate  # noqa: E402
from gateway.cli.errors import CommandFailed, ExitCode  # noqa: E402

WORK, FLEET, OPERATE = "Work", "Fleet", "Operate"


def build() -> typer.Typer:
    """Every command, in the order in which the help shows them."""
    app = typer.Typer(no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)
    for work in (run.run, jobs.jobs, jobs.job, jobs.cancel):
        app.command(rich_help_panel=WORK)(work)
    for fleet in (commands.up, commands.down, commands.status, runners.runners):
        app.command(rich_help_panel=FLEET)(fleet)
    app.add_typer(runners.app, name="runner", rich_help_panel=FLEET)
    app.command("simulate-runner", rich_help_panel=FLEET)(simulate.simulate_runner)
    app.add_typer(accounts.account, name="account", rich_help_panel=OPERATE)
    app.add_typer(accounts.token, name="token", rich_help_panel=OPERATE)
    app.add_typer(accounts.managed_runner, name="managed-runner", rich_help_panel=OPERATE)
    app.command("config", cls=config.ConfigCommand, rich_help_panel=OPERATE)(config.config)
    return app


def main() -> None:
    """The entry point of the command."""
    try:
        build()()
    except CommandFailed as error:
        show.failure(error)
        sys.exit(error.code)
    except BrokenPipeError:
        # Whoever read the output has seen enough; the interpreter must not complain on its way out.
        sys.stderr.close()
        sys.exit(ExitCode.SUCCEEDED)
