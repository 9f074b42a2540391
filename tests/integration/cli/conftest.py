"""A running fleet, and the command as its users start it: a process of its own."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from deploy.simulator.app import SimulatorSettings
from tests.support import keys
from tests.support.stack import Account, Stack, running_stack


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed."""
        return json.loads(self.out)


@dataclass(slots=True)
class Command:
    """`comfyfleet` in a folder of its own, with an environment of its own."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    async def start(self, *arguments: str, **environment: str) -> Process:
        """A started command."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith("COMFYFLEET_")}
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from gateway.cli.main import main; main()", *arguments),
            cwd=self.folder,
            env={**plain, **self.environment, **environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
        )

    async def __call__(self, *arguments: str, **environment: str) -> Ended:
        """Run to the end."""
        return await ended(await self.start(*arguments, **environment))

    def write(self, name: str, content: Any) -> str:
        """A file beside the command; returns its name."""
        (self.folder / name).write_text(json.dumps(content))
        return name


async def ended(process: Process) -> Ended:
    """Wait for a command, for a minute at most."""
    try:
        out, err = await asyncio.wait_for(process.communicate(), 60)
    except TimeoutError:
        process.kill()
        raise
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


@dataclass(slots=True)
class World:
    """A fleet with an account and one simulated runner."""

    stack: Stack
    account: Account
    runner_id: str


@pytest.fixture(scope="module")
async def world(module_dsn: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    simulated = [SimulatorSettings(version="0.33.0")]
    async with running_stack(module_dsn, nats_url, tmp_path_factory.mktemp("blobs"), simulators=simulated) as stack:
        account = await stack.account()
        yield World(stack, account, await stack.register(account, stack.simulators[0]))


@pytest.fixture
def command(world: World, tmp_path: Path) -> Command:
    """As a tenant and operator of the running fleet."""
    return Command(
        tmp_path,
        {
            "COMFYFLEET_URL": world.stack.url,
            "COMFYFLEET_TOKEN": world.account.token,
            "COMFYFLEET_ADMIN_KEY": keys.ADMIN,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        },
    )
