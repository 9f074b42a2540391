"""`comfyfleet run` against a whole fleet."""

import signal
from io import BytesIO
from pathlib import Path

from PIL import Image

from libs.testing import eventually
from libs.testing.fault_proxy import FaultProxy
from tests.integration.cli.conftest import Command, World, ended
from tests.support.graphs import failing, loading, picture, sampled


def red(folder: Path) -> Path:
    path = folder / "red.png"
    Image.new("RGB", (8, 8), (255, 0, 0)).save(path)
    return path


async def test_a_file_goes_in_and_a_picture_comes_out(world: World, command: Command) -> None:
    workflow, photo = command.write("w.json", loading("nothing.png")), red(command.folder)
    done = await command("run", workflow, "--input", f"1.image=@{photo}", "--input", "9.filename_prefix=made")
    assert done.code == 0, done.err
    saved = command.folder / done.out.strip()
    assert saved.parent == command.folder / "out"
    assert saved.name.startswith("made")
    assert Image.open(BytesIO(saved.read_bytes())).getpixel((0, 0)) == (0, 255, 255)
    assert "succeeded" in done.err.splitlines()


async def test_a_second_run_sends_no_bytes_and_overwrites_nothing(world: World, command: Command) -> None:
    workflow, photo = command.write("w.json", loading("nothing.png")), red(command.folder)
    arguments = ("run", workflow, "--input", f"1.image=@{photo}", "--out", "kept", "--json")
    first, second = await command(*arguments), await command(*arguments)
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert first.json["status"] == "succeeded"
    assert first.json["saved"] != second.json["saved"]
    assert all((command.folder / path).is_file() for path in first.json["saved"] + second.json["saved"])
    assert second.err == ""


async def test_a_failed_node_is_told_and_is_exit_code_1(world: World, command: Command) -> None:
    done = await command("run", command.write("w.json", failing()))
    assert done.code == 1
    assert "deliberate" in done.err
    assert "node: 2 (SimFail)" in done.err


async def test_a_refused_workflow_names_the_node(world: World, command: Command) -> None:
    done = await command("run", command.write("w.json", {"1": {"inputs": {}}}))
    assert done.code == 1
    assert "invalid_workflow" in done.err
    assert "node 1: class_type" in done.err


async def test_wrong_usage_sends_nothing(world: World, command: Command) -> None:
    done = await command("run", command.write("w.json", picture()), "--input", "7.x=1")
    assert done.code == 2
    assert "no node 7" in done.err


async def test_nobody_there_is_exit_code_5(command: Command) -> None:
    done = await command("run", command.write("w.json", picture()), "--url", "http://127.0.0.1:1")
    assert done.code == 5
    assert "cannot reach the fleet" in done.err


async def test_a_wrong_token_is_refused_and_not_repeated(world: World, command: Command) -> None:
    done = await command("run", command.write("w.json", picture()), COMFYFLEET_TOKEN="not-a-token")
    assert done.code == 1
    assert "unauthorized" in done.err
    assert "not-a-token" not in done.err


async def test_a_job_that_nobody_takes_says_why_and_can_be_canceled(world: World, command: Command) -> None:
    token = (await world.stack.account("without runners")).token
    accepted = await command("run", command.write("w.json", picture()), "--no-wait", COMFYFLEET_TOKEN=token)
    assert accepted.code == 0, accepted.err
    job_id = accepted.out.strip()
    assert "no active runner" in (await command("job", job_id, COMFYFLEET_TOKEN=token)).out
    assert (await command("cancel", job_id, COMFYFLEET_TOKEN=token)).out.strip() == "canceled"
    assert (await command("job", job_id, "--watch", COMFYFLEET_TOKEN=token)).code == 3


async def test_cancel_while_it_is_watched_is_exit_code_3(world: World, command: Command) -> None:
    running = await command.start("run", command.write("w.json", sampled(30, 100, color=31)))
    assert running.stderr is not None
    job_id = (await running.stderr.readline()).decode().split()[1]
    await eventually(lambda: _is(command, job_id, "running"))
    canceled = await command("cancel", job_id)
    assert canceled.code == 0
    assert (await ended(running)).code == 3


async def test_ctrl_c_without_a_terminal_leaves_the_job_running(world: World, command: Command) -> None:
    running = await command.start("run", command.write("w.json", sampled(30, 100, color=32)))
    assert running.stderr is not None
    job_id = (await running.stderr.readline()).decode().split()[1]
    await running.stderr.readline()
    running.send_signal(signal.SIGINT)
    left = await ended(running)
    assert left.code == 130
    assert f"comfyfleet job {job_id} --watch" in left.err
    assert (await command("job", job_id, "--json")).json["status"] in {"queued", "running"}
    await command("cancel", job_id)


async def test_a_connection_that_is_cut_is_resumed(world: World, command: Command) -> None:
    host, port = world.stack.url.removeprefix("http://").split(":")
    async with FaultProxy(host, int(port)) as proxy:
        workflow = command.write("w.json", sampled(2, 20, color=33))
        running = await command.start("run", workflow, COMFYFLEET_URL=f"http://{proxy.address}")
        assert running.stderr is not None
        job_id = (await running.stderr.readline()).decode().split()[1]
        await eventually(lambda: _is(command, job_id, "running"))
        before = proxy.accepted
        await proxy.cut()
        await proxy.heal()
        done = await ended(running)
    assert done.code == 0, done.err
    assert proxy.accepted > before
    assert (command.folder / done.out.strip()).is_file()


async def _is(command: Command, job_id: str, status: str) -> bool:
    return bool((await command("job", job_id, "--json")).json["status"] == status)
