"""Who the command speaks to and as whom: flags, else the environment, else the home of a local fleet."""

from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.home import Home
from deploy.local.state import FleetState
from gateway.cli.errors import CommandFailed, ExitCode


@dataclass(frozen=True, slots=True)
class Connection:
    """A gateway and an account's token."""

    url: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RegistryConnection:
    """The registry's gRPC address and a credential: the operator's key or an account's token."""

    address: str
    key: str = field(repr=False)


def connection(home: Path, url: str, token: str) -> Connection:
    """What was given, completed from HOME. CommandFailed (usage) that says what to do when something is missing."""
    known = Home(home).read_credentials() if not (url and token) else {}
    url, token = url or known.get("COMFYFLEET_URL", ""), token or known.get("COMFYFLEET_TOKEN", "")
    if not url:
        raise _missing("no fleet is known", "COMFYFLEET_URL", home)
    if not token:
        raise _missing("no token is known", "COMFYFLEET_TOKEN", home)
    return Connection(url.rstrip("/"), token)


def operator(home: Path, address: str, key: str) -> RegistryConnection:
    """Where the registry is and the operator's key, each given or from HOME."""
    address = address or registry_address(home)
    key = key or Home(home).read_credentials().get("COMFYFLEET_ADMIN_KEY", "")
    if not address:
        raise CommandFailed(
            f"the registry's address is not known: no fleet runs in {home}",
            ExitCode.USAGE,
            ["start one with: comfyfleet up", "or give --registry HOST:PORT"],
        )
    if not key:
        raise _missing("the operator's key is not known", "COMFYFLEET_ADMIN_KEY", home)
    return RegistryConnection(address, key)


def registry_address(home: Path) -> str:
    """The gRPC address of the local fleet's registry; empty when no fleet runs in HOME."""
    running = [item for item in FleetState.read(Home(home)).now() if item.state != "stopped"]
    return next((item.address for item in running if item.name == "runner_registry"), "")


def _missing(what: str, variable: str, home: Path) -> CommandFailed:
    advice = ["start a local fleet with: comfyfleet up", f"or set {variable}, or give --home of a fleet"]
    return CommandFailed(f"{what}: {home}/credentials.env does not name one", ExitCode.USAGE, advice)


def local_registry(home: Path, url: str, token: str) -> RegistryConnection | None:
    """The registry of HOME's fleet, as the account that the command uses; None for any other fleet."""
    address = registry_address(home)
    known = Home(home).read_credentials()
    wanted = url or known.get("COMFYFLEET_URL", "")
    if not address or wanted.rstrip("/") != known.get("COMFYFLEET_URL", "").rstrip("/"):
        return None
    return RegistryConnection(address, token or known.get("COMFYFLEET_TOKEN", ""))


def owner(home: Path, account_id: str) -> str:
    """The account that was given, else that of HOME's fleet."""
    account_id = account_id or Home(home).read_credentials().get("COMFYFLEET_ACCOUNT", "")
    if not account_id:
        raise _missing("no account is known", "COMFYFLEET_ACCOUNT", home)
    return account_id
