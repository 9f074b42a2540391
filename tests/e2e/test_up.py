"""`comfyfleet up` as a user has it: real processes, killed one after the other while a job runs."""

import asyncio
import json
import os
import shutil
import signal
import stat
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from deploy.local.home import Home
from libs.testing import eventually
from tests.support.graphs import picture, sampled
from tests.support.http import submit, until

COMMAND = str(Path(sys.executable).parent / "comfyfleet")


@dataclass(frozen=True, slots=True)
class Fleet:
    """A fleet in a folder."""

    home: Path

    async def cli(self, *words: str) -> tuple[int, str]:
        """Run the command; returns exit code and standard output."""
        process = await asyncio.create_subprocess_exec(
            COMMAND, *words, "--home", str(self.home), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        output, _ = await process.communicate()
        return process.returncode or 0, output.decode()

    async def processes(self) -> dict[str, dict[str, Any]]:
        """What `comfyfleet status --json` says, by name."""
        _, output = await self.cli("status", "--json")
        return {item["name"]: item for item in json.loads(output)["processes"]}

    def client(self) -> httpx.AsyncClient:
        """An HTTP client with the named token."""
        known = Home(self.home).read_credentials()
        headers = {"authorization": f"Bearer {known['COMFYFLEET_TOKEN']}"}
        return httpx.AsyncClient(base_url=known["COMFYFLEET_URL"], headers=headers, timeout=30, trust_env=False)

    async def kill(self, name: str) -> None:
        """kill -9, then wait until the supervisor has it running again."""
        before = (await self.processes())[name]
        os.kill(before["pid"], signal.SIGKILL)

        async def back() -> bool:
            now = (await self.processes())[name]
            again = now["pid"] != before["pid"] and now["restarts"] > before["restarts"]
            return bool(now["state"] == "running" and again)

        await eventually(back, within=40, every=0.2)

    async def executions(self) -> int:
        """How many prompts the simulated runners have started, all together."""
        total = 0
        async with httpx.AsyncClient(trust_env=False) as client:
            for name, item in (await self.processes()).items():
                if name.startswith("simulated-runner"):
                    counts = (await client.get(f"http://{item['address']}/simulator/executions")).json()
                    total += sum(counts.values())
        return total


@pytest.fixture(scope="module")
async def fleet() -> AsyncIterator[Fleet]:
    home = Path(tempfile.mkdtemp(prefix="cf-up-"))
    fleet = Fleet(home / "fleet")
    try:
        code, _ = await fleet.cli("up", "--port", "0", "--simulated-runners", "2", "--detach")
        assert code == 0
        yield fleet
    finally:
        await fleet.cli("down")
        shutil.rmtree(home, ignore_errors=True)


async def test_everything_runs_and_credentials_are_private(fleet: Fleet) -> None:
    processes = await fleet.processes()
    names = {"postgres", "nats", "runner_registry", "execution", "gateway", "simulated-runner-1", "simulated-runner-2"}
    assert set(processes) == names
    assert {item["state"] for item in processes.values()} == {"running"}
    assert all(set(item) == {"name", "pid", "address", "state", "restarts"} for item in processes.values())
    known = Home(fleet.home).read_credentials()
    assert set(known) == {
        "COMFYFLEET_URL", "COMFYFLEET_ACCOUNT", "COMFYFLEET_TOKEN", "COMFYFLEET_TOKEN1", "COMFYFLEET_TOKEN2",
        "COMFYFLEET_ADMIN_KEY",
    }  # fmt: skip
    assert stat.S_IMODE(Home(fleet.home).credentials.stat().st_mode) == 0o600
    assert stat.S_IMODE(fleet.home.stat().st_mode) == 0o700
    async with fleet.client() as client:
        runners = (await client.get("/v1/runner")).json()
        assert (runners["total"], {tuple(runner["tags"]) for runner in runners["runners"]}) == (2, {("simulated",)})


async def test_no_secret_stands_on_a_command_line_or_in_a_log(fleet: Fleet) -> None:
    home = Home(fleet.home)
    secrets = [home.secret(path.name) for path in (fleet.home / "secrets").iterdir()]
    secrets += [value for name, value in home.read_credentials().items() if "TOKEN" in name or "KEY" in name]
    lines = [" ".join(psutil.Process(item["pid"]).cmdline()) for item in (await fleet.processes()).values()]
    text = "\n".join([*lines, *(log.read_text(errors="replace") for log in (fleet.home / "logs").iterdir())])
    assert not [secret for secret in secrets if secret in text]


async def test_a_second_up_says_that_one_runs(fleet: Fleet) -> None:
    code, _ = await fleet.cli("up", "--port", "0", "--detach")
    assert code == 1


@pytest.mark.parametrize("name", ["execution", "postgres", "nats", "runner_registry", "gateway"])
async def test_a_job_survives_the_death_of_any_process_and_runs_once(fleet: Fleet, name: str) -> None:
    before = await fleet.executions()
    async with fleet.client() as client:
        job = await submit(client, sampled(8, color=hash(name) % 1000))
        await until(client, job["id"], "running")
        await fleet.kill(name)
    async with fleet.client() as client:

        async def ended() -> Any:
            answer = await client.get(f"/api/v2/jobs/{job['id']}")
            return answer.json() if answer.status_code == 200 and answer.json()["completed_at"] else None

        done = await eventually(ended, within=60, every=0.1)
        assert (done["status"], len(done["outputs"])) == ("succeeded", 1)
    assert await fleet.executions() - before == 1


async def test_a_job_goes_on_elsewhere_when_its_runner_dies(fleet: Fleet) -> None:
    async with fleet.client() as client:
        job = await submit(client, sampled(4, color=4242))
        await until(client, job["id"], "running")
        name = await _runner_of_the_running_job(fleet)
        await fleet.kill(name)
        done = await until(client, job["id"], "succeeded", "failed", within=90)
        assert done["status"] == "succeeded"


async def _runner_of_the_running_job(fleet: Fleet) -> str:
    async with httpx.AsyncClient(trust_env=False) as client:
        for name, item in (await fleet.processes()).items():
            if name.startswith("simulated-runner"):
                queue = (await client.get(f"http://{item['address']}/queue")).json()
                if queue["queue_running"]:
                    return name
    raise AssertionError("no runner runs anything")


async def test_down_leaves_nothing_and_up_finds_everything_again(fleet: Fleet) -> None:
    async with fleet.client() as client:
        job = await submit(client, picture(4343))
        await until(client, job["id"], "succeeded")
    before = await fleet.processes()
    credentials = Home(fleet.home).credentials.read_text()
    assert (await fleet.cli("down"))[0] == 0
    assert not [item for item in before.values() if psutil.pid_exists(item["pid"])]
    assert (await fleet.cli("status"))[0] == 3
    port = before["gateway"]["address"].rpartition(":")[2]
    assert (await fleet.cli("up", "--port", port, "--simulated-runners", "2", "--detach"))[0] == 0
    assert Home(fleet.home).credentials.read_text() == credentials
    async with fleet.client() as client:
        kept = (await client.get(f"/api/v2/jobs/{job['id']}")).json()
        assert kept["status"] == "succeeded"
        content = await client.get(kept["outputs"][0]["url"])
        assert content.content.startswith(b"\x89PNG")


async def test_what_a_killed_supervisor_left_is_cleaned_up(fleet: Fleet) -> None:
    state = json.loads(Home(fleet.home).state.read_text())
    os.kill(state["supervisor"]["pid"], signal.SIGKILL)
    left = [item["pid"] for item in state["processes"]]
    assert (await fleet.cli("down"))[0] == 0
    await eventually(lambda: not [pid for pid in left if psutil.pid_exists(pid)])
