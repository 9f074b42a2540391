"""`--header 'NAME: VALUE'`."""

from collections.abc import Sequence

from gateway.cli.errors import CommandFailed, ExitCode


def parse(texts: Sequence[str]) -> dict[str, str]:
    """Headers by name. CommandFailed (usage) without the text, which may hold a secret."""
    headers = {}
    for number, text in enumerate(texts, 1):
        name, colon, value = text.partition(":")
        if not (colon and name.strip()):
            raise CommandFailed(f"--header number {number} is not 'NAME: VALUE'", ExitCode.USAGE)
        headers[name.strip()] = value.strip()
    return headers
