"""PostgreSQL refuses to run as root. As root, its programs run as nobody, but may still enter the data directory."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

NOBODY = 65534


class SetprivMissing(RuntimeError):
    """As root, PostgreSQL can only be started through setpriv."""

    def __init__(self) -> None:
        super().__init__(
            "PostgreSQL does not run as root and setpriv (package util-linux) is missing: install it, run as a normal "
            "user, or give DATABASE_URL"
        )


def needed() -> bool:
    """Whether this process is root."""
    return os.geteuid() == 0


def wrap(command: Sequence[str]) -> list[str]:
    """The command as an unprivileged user. Unchanged when we are one already.

    The capability lets it pass through parent directories that only root may enter, such as /root; nothing on the
    machine is changed for it.
    """
    if not needed():
        return list(command)
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise SetprivMissing
    return [
        setpriv,
        f"--reuid={NOBODY}",
        f"--regid={NOBODY}",
        "--clear-groups",
        "--inh-caps=-all,+dac_override",
        "--ambient-caps=-all,+dac_override",
        "--",
        *command,
    ]


def own(folder: Path) -> None:
    """Make a folder that belongs to whom the programs run as."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if needed():
        os.chown(folder, NOBODY, NOBODY)
