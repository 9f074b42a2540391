"""`comfyfleet`: one API for a fleet of ComfyUI servers."""

from libs.runtime import disable_grpc_fork_support

disable_grpc_fork_support()

import typer  # noqa: E402

from deploy.local import commands  # noqa: E402

app = typer.Typer(no_args_is_help=True, help=__doc__)
app.command()(commands.up)
app.command()(commands.down)
app.command()(commands.status)


def main() -> None:
    """The entry point of the command."""
    app()
