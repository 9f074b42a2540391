"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

UrlOption = Annotated[
    str, typer.Option("--url", envvar="COMFYFLEET_URL", help="Address of the fleet; else from HOME/credentials.env.")
]
TokenOption = Annotated[
    str,
    typer.Option(
        "--token",
        envvar="COMFYFLEET_TOKEN",
        help="Token of your account; else from HOME/credentials.env. Better set it than type it.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else on stdout.")]
TagsOption = Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="Repeatable.")]
HeadersOption = Annotated[
    list[str] | None,
    typer.Option("--header", metavar="'NAME: VALUE'", help="Sent with every request to the runner."),
]
OutOption = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the outputs.")]
RegistryOption = Annotated[
    str, typer.Option("--registry", metavar="HOST:PORT", help="gRPC address of runner_registry; else from HOME.")
]
AdminKeyOption = Annotated[
    str,
    typer.Option(
        "--admin-key",
        envvar="COMFYFLEET_ADMIN_KEY",
        help="The operator's key; else from HOME/credentials.env. Better set it than type it.",
    ),
]
