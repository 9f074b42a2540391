"""The client against a peer that says odd things."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from libs.clock import SystemClock
from libs.comfy import (
    Absent,
    CancelResult,
    ComfyClient,
    FileMissing,
    Finished,
    OutputFile,
    Pending,
    PromptRefused,
    Running,
    SubmitUnclear,
    UploadRefused,
)
from libs.comfy.messages import Executing, Status
from libs.outbound import AddressPolicy, BadAnswer, Limits, Outbound, TooLarge, Unreachable
from libs.testing import eventually, free_port
from libs.testing.fault_proxy import FaultProxy
from tests.unit.outbound.peer import serving

OURS = "11111111-1111-4111-8111-111111111111"
ENTRY = {"prompt": [0, OURS, {}, {}, []], "outputs": {}, "status": {"status_str": "success", "messages": []}}
FILE = OutputFile("9", "a.png", "", "output", "images")


class Script:
    """Answers by method and path; remembers what it was asked. A list is answered one by one, its last for ever."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = {"GET /system_stats": {"system": {"comfyui_version": "0.33.0"}, "devices": []}, **answers}
        self.asked: list[str] = []
        self.bodies: list[bytes] = []

    async def answer(self, request: Request) -> Response:
        key = f"{request.method} {request.url.path}"
        self.asked.append(key)
        self.bodies.append(await request.body())
        said = self.answers.get(key, 404)
        if isinstance(said, list):
            said = said.pop(0) if len(said) > 1 else said[0]
        if isinstance(said, Response):
            return said
        return Response(status_code=said) if isinstance(said, int) else JSONResponse(said)

    @property
    def route(self) -> Route:
        return Route("/{path:path}", self.answer, methods=["GET", "POST"])


@asynccontextmanager
async def client_of(url: str) -> AsyncIterator[ComfyClient]:
    outbound = Outbound(AddressPolicy(), Limits(connect=2, idle=2, total=3, body_bytes=100_000, ping_seconds=1))
    try:
        yield ComfyClient(url, {"authorization": "Bearer very-secret"}, outbound, SystemClock())
    finally:
        await outbound.aclose()


@asynccontextmanager
async def scripted(answers: Mapping[str, Any]) -> AsyncIterator[tuple[ComfyClient, Script]]:
    script = Script(answers)
    async with serving(script.route) as url, client_of(url) as client:
        yield client, script


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[tuple[FaultProxy, ComfyClient]]:
    async with (
        FaultProxy("127.0.0.1", int(url.rpartition(":")[2])) as proxy,
        client_of(f"http://{proxy.address}") as client,
    ):
        yield proxy, client


def queue(running: tuple[str, ...] = (), pending: tuple[str, ...] = ()) -> Any:
    return {
        "queue_running": [[0, one, {}, {}, []] for one in running],
        "queue_pending": [[place, one, {}, {}, []] for place, one in enumerate(pending, 1)],
    }


OLD = {"GET /system_stats": {"system": {"os": "posix"}, "devices": []}}


async def test_submit() -> None:
    async with scripted({"POST /prompt": {"prompt_id": OURS, "number": 7, "node_errors": {"3": {}}}}) as (
        client,
        script,
    ):
        submitted = await client.submit({"1": {}}, OURS, "me", {"key": "v"})
    assert (submitted.prompt_id, submitted.number, submitted.node_errors) == (OURS, 7, {"3": {}})
    assert b'"extra_data":{"key":"v","comfyfleet":"' + OURS.encode() in script.bodies[0]


REFUSAL = {"error": {"type": "prompt_no_outputs", "message": "Prompt has no outputs"}, "node_errors": []}


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (JSONResponse(REFUSAL, 400), "prompt_no_outputs"),
        (JSONResponse({"error": "no prompt", "node_errors": []}, 400), "invalid_prompt"),
        (Response("Maximum request body size exceeded.", 413), "too_large"),
    ],
)
async def test_refusals(reply: Response, kind: str) -> None:
    async with scripted({"POST /prompt": reply}) as (client, _):
        with pytest.raises(PromptRefused) as refused:
            await client.submit({}, OURS, "me")
    assert refused.value.error["type"] == kind
    assert refused.value.node_errors == {}
    assert refused.value.reason == "PROMPT_REFUSED"


@pytest.mark.parametrize(
    "reply",
    [Response("500", 500), Response(status_code=502), HTMLResponse("<html>"), Response("no", 400), {"ok": True}],
)
async def test_replies_that_say_neither_yes_nor_no(reply: Any) -> None:
    async with scripted({"POST /prompt": reply}) as (client, _):
        with pytest.raises(SubmitUnclear):
            await client.submit({}, OURS, "me")


@pytest.mark.parametrize("status", [302, 401, 403, 404])
async def test_being_turned_away_at_the_door_is_clear(status: int) -> None:
    async with scripted({"POST /prompt": status}) as (client, _):
        with pytest.raises(BadAnswer) as turned_away:
            await client.submit({}, OURS, "me")
    assert turned_away.value.status == status
    assert "secret" not in repr(turned_away.value)


async def test_a_lost_reply_is_unclear_and_a_refused_connection_is_not() -> None:
    script = Script({"POST /prompt": {"prompt_id": OURS}})
    async with serving(script.route) as url, proxied(url) as (proxy, client):
        proxy.lose_replies()
        submitting = asyncio.create_task(client.submit({}, OURS, "me"))
        await eventually(lambda: script.asked)
        await proxy.cut()
        with pytest.raises(SubmitUnclear):
            await submitting
        with pytest.raises(Unreachable) as refused:
            await client.submit({}, OURS, "me")
        assert not refused.value.maybe_sent


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        ({f"GET /history/{OURS}": {OURS: ENTRY}}, Finished),
        ({f"GET /history/{OURS}": {}, "GET /queue": queue(running=(OURS,))}, Running),
        ({f"GET /history/{OURS}": {}, "GET /queue": queue(pending=("x", OURS))}, Pending),
        ({f"GET /history/{OURS}": {}, "GET /queue": queue()}, Absent),
        ({f"GET /history/{OURS}": [{}, {OURS: ENTRY}], "GET /queue": queue()}, Finished),
    ],
)
async def test_find(answers: Mapping[str, Any], kind: type) -> None:
    async with scripted(answers) as (client, _):
        assert isinstance(await client.find(OURS), kind)


async def test_find_on_a_server_that_chose_its_own_id() -> None:
    theirs = {**ENTRY, "prompt": [0, "theirs", {}, {"comfyfleet": OURS}, []]}
    async with scripted({**OLD, "GET /history": {"other": ENTRY, "theirs": theirs}}) as (client, _):
        found = await client.find(OURS)
    assert isinstance(found, Finished)
    assert found.prompt_id == "theirs"


@pytest.mark.parametrize("said", [HTMLResponse("<html>log in</html>"), 302, 500, [], {"error": "no"}])
async def test_find_never_guesses_absent(said: Any) -> None:
    answer = JSONResponse([]) if said == [] else said
    histories: list[Any] = [{}, answer]
    for history in histories:
        async with scripted({f"GET /history/{OURS}": history, "GET /queue": answer}) as (client, _):
            with pytest.raises(BadAnswer):
                await client.find(OURS)


CANCEL = f"POST /api/jobs/{OURS}/cancel"
SIGNALLED, NOTHING = CancelResult(signalled=True), CancelResult(signalled=False)


@pytest.mark.parametrize(
    ("answers", "result", "interrupts"),
    [
        ({CANCEL: {"cancelled": True}}, SIGNALLED, 0),
        ({CANCEL: {"cancelled": False}}, NOTHING, 0),
        ({CANCEL: 405, "GET /queue": queue(running=(OURS,))}, SIGNALLED, 1),
        ({CANCEL: HTMLResponse("<html>"), "GET /queue": queue(running=(OURS,))}, SIGNALLED, 1),
        ({CANCEL: 404, "GET /queue": queue(running=("another",))}, NOTHING, 0),
        ({**OLD, "GET /queue": queue(running=("another",))}, NOTHING, 0),
        ({**OLD, "GET /queue": queue(running=(OURS, "another"))}, NOTHING, 0),
        ({**OLD, "GET /queue": queue(running=(OURS,))}, CancelResult(signalled=True, may_have_hit_another=True), 1),
    ],
)
async def test_cancel(answers: Mapping[str, Any], result: CancelResult, interrupts: int) -> None:
    async with scripted({"POST /queue": 200, "POST /interrupt": 200, **answers}) as (client, script):
        assert await client.cancel(OURS) == result
    assert script.asked.count("POST /interrupt") == interrupts


async def test_the_version_is_asked_once() -> None:
    async with scripted({}) as (client, script):
        assert (await client.version()).text == "0.33.0"
        await client.version()
    assert script.asked == ["GET /system_stats"]


async def test_upload() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"first "
        yield b"second"

    answer = {"name": "a (1).png", "subfolder": "job", "type": "input"}
    async with scripted({"POST /upload/image": answer}) as (client, script):
        assert await client.upload_image('a"/.png', chunks(), subfolder="job") == "job/a (1).png"
        assert await client.upload_image("ü.png", b"first second") == "job/a (1).png"
    assert all(b"first second" in body for body in script.bodies)
    assert b'filename="a%22_.png"' in script.bodies[0]
    assert 'filename="ü.png"'.encode() in script.bodies[1]


@pytest.mark.parametrize("status", [400, 413])
async def test_refused_uploads(status: int) -> None:
    async with scripted({"POST /upload/image": status}) as (client, _):
        with pytest.raises(UploadRefused):
            await client.upload_image("a.png", b"")


async def test_view() -> None:
    picture = Response(b"x" * 1000, media_type="image/png")
    async with scripted({"GET /view": [picture, 404, 500]}) as (client, _):
        async with client.view(FILE) as download:
            assert (download.size, download.content_type) == (1000, "image/png")
            assert await download.body() == b"x" * 1000
        for wrong in (FileMissing, BadAnswer):
            with pytest.raises(wrong):
                async with client.view(FILE):
                    pass


async def test_probe_and_catalogue() -> None:
    answers = {"GET /prompt": {"exec_info": {"queue_remaining": 3}}, "GET /object_info": {"A": {}, "B": {}}}
    async with scripted(answers) as (client, _):
        assert await client.probe() == 3
        assert await client.node_classes() == {"A", "B"}


Call = Callable[[ComfyClient], Awaitable[object]]
CALLS: list[Call] = [
    lambda client: client.probe(),
    lambda client: client.system_stats(),
    lambda client: client.object_info(),
    lambda client: client.queue(),
    lambda client: client.history(OURS),
    lambda client: client.free(),
]


@pytest.mark.parametrize("call", CALLS)
async def test_strange_peers(call: Call) -> None:
    page, gigabytes = HTMLResponse("<html>"), Response(bytes(200_000))
    paths = ("GET /prompt", "GET /system_stats", "GET /object_info", "GET /queue", f"GET /history/{OURS}")
    for said, wrong in ((page, BadAnswer), (302, BadAnswer), (gigabytes, TooLarge)):
        async with scripted({**dict.fromkeys(paths, said), "POST /free": said}) as (client, _):
            if said is page and call is CALLS[-1]:
                continue
            with pytest.raises(wrong):
                await call(client)


async def test_nobody_there() -> None:
    async with client_of(f"http://127.0.0.1:{free_port()}") as client:
        with pytest.raises(Unreachable):
            await client.probe()
        with pytest.raises(Unreachable):
            async with client.events():
                pass


async def test_events_begin_with_the_handshake_and_end_with_the_connection() -> None:
    heard: list[Any] = []

    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        heard.extend([socket.query_params["clientId"], socket.headers["authorization"], await socket.receive_json()])
        await socket.send_json({"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 1}}}})
        await socket.send_text("nonsense")
        await socket.send_json({"type": "executing", "data": {"node": None, "prompt_id": OURS}})
        await socket.close()

    async with serving(WebSocketRoute("/ws", talk)) as url, client_of(url) as client, client.events() as stream:
        events = [event async for event in stream]
    assert heard[:2] == [stream.client_id, "Bearer very-secret"]
    assert heard[2] == {"type": "feature_flags", "data": {"supports_preview_metadata": True}}
    assert events[0] == Status(1)
    assert events[-1] == Executing(OURS, None)
    assert stream.close_reason
    assert stream.quiet_seconds >= 0


async def test_the_socket_is_read_while_nobody_takes_events() -> None:
    frames, sent = 2000, asyncio.Event()

    async def flood(socket: WebSocket) -> None:
        await socket.accept()
        for _ in range(frames):
            await socket.send_bytes(b"\0\0\0\1\0\0\0\1" + bytes(20_000))
        await socket.send_json({"type": "executing", "data": {"node": None, "prompt_id": OURS}})
        sent.set()
        await socket.receive()

    async with serving(WebSocketRoute("/ws", flood)) as url, client_of(url) as client, client.events() as stream:
        await asyncio.wait_for(sent.wait(), 30)
        taken = 0
        async for event in stream:
            taken += 1
            if event == Executing(OURS, None):
                break
    assert taken < frames / 2


async def test_a_dead_peer_is_noticed_by_pings() -> None:
    async def quiet(socket: WebSocket) -> None:
        await socket.accept()
        await socket.receive()
        await socket.receive()

    async with (
        serving(WebSocketRoute("/ws", quiet)) as url,
        proxied(url) as (proxy, client),
        client.events() as stream,
    ):
        proxy.black_hole()
        assert [event async for event in stream] == []
        assert stream.close_reason
