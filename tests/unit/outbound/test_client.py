import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.exceptions import ConnectionClosed

from libs.errors import InvalidArgument
from libs.outbound import AddressNotAllowed, AddressPolicy, BadAnswer, Limits, Outbound, TooLarge, Unreachable
from libs.testing import eventually, free_port
from libs.testing.fault_proxy import FaultProxy
from tests.unit.outbound.peer import serving

SECRET = "very-secret-value"


@pytest.fixture
async def outbound() -> AsyncIterator[Outbound]:
    client = Outbound(AddressPolicy(), Limits(connect=1, idle=1, total=2, body_bytes=1000, frame_bytes=1000))
    yield client
    await client.aclose()


async def echo(request: Request) -> Response:
    answer = JSONResponse(dict(request.headers))
    answer.set_cookie("tracked", "yes")
    return answer


async def endless(request: Request) -> Response:
    async def zeros() -> AsyncIterator[bytes]:
        while True:
            yield bytes(1 << 16)
            await asyncio.sleep(0)

    return StreamingResponse(zeros())


async def silent(request: Request) -> Response:
    await asyncio.Event().wait()
    return Response()


async def test_host_name_is_kept_and_the_checked_address_is_connected_to() -> None:
    asked: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    outbound = Outbound(AddressPolicy(), resolver=resolve)
    async with serving(Route("/", echo)) as url:
        port = url.rpartition(":")[2]
        answer = await outbound.fetch("GET", f"http://changing.example:{port}/")
    await outbound.aclose()
    assert f"changing.example:{port}".encode() in answer.body
    assert asked == ["changing.example"]


async def test_cookies_are_neither_kept_nor_sent(outbound: Outbound) -> None:
    async with serving(Route("/", echo)) as url:
        await outbound.fetch("GET", url)
        assert b"cookie" not in (await outbound.fetch("GET", url)).body


async def test_framing_headers_of_a_user_are_dropped(outbound: Outbound) -> None:
    async with serving(Route("/", echo)) as url:
        answer = await outbound.fetch("GET", url, headers={"Host": "elsewhere", "X-Key": "k", "Content-Length": "9"})
    assert b"elsewhere" not in answer.body
    assert b'"x-key":"k"' in answer.body


async def test_redirects_are_answers(outbound: Outbound) -> None:
    async def away(request: Request) -> Response:
        return RedirectResponse("http://169.254.169.254/")

    async with serving(Route("/", away)) as url:
        assert (await outbound.fetch("GET", url)).status == 307


async def test_an_answer_over_the_limit_is_not_read_to_its_end(outbound: Outbound) -> None:
    async with serving(Route("/", endless)) as url:
        with pytest.raises(TooLarge) as refused:
            await outbound.fetch("GET", url)
    assert refused.value.reason == "ANSWER_TOO_LARGE"


async def test_an_answer_that_announces_too_much_is_not_read_at_all(outbound: Outbound) -> None:
    async def announced(request: Request) -> Response:
        return PlainTextResponse("x" * 2000)

    async with serving(Route("/", announced)) as url, outbound.open("GET", url, limit=1999) as download:
        assert download.size == 2000
        with pytest.raises(TooLarge):
            await download.body()


async def test_an_answer_nobody_asked_to_compress_is_refused(outbound: Outbound) -> None:
    async def bomb(request: Request) -> Response:
        return Response(b"\x1f\x8b", headers={"content-encoding": "gzip"})

    async with serving(Route("/", bomb)) as url:
        with pytest.raises(BadAnswer):
            await outbound.fetch("GET", url)


async def test_silence_may_have_been_heard(outbound: Outbound) -> None:
    async with serving(Route("/", silent)) as url:
        with pytest.raises(Unreachable) as lost:
            await outbound.fetch("GET", url, headers={"authorization": SECRET})
    assert lost.value.maybe_sent


async def test_dripping_ends_at_the_total(outbound: Outbound) -> None:
    async def drip(request: Request) -> Response:
        async def drops() -> AsyncIterator[bytes]:
            while True:
                yield b"x"
                await asyncio.sleep(0.05)

        return StreamingResponse(drops())

    async with serving(Route("/", drip)) as url:
        with pytest.raises(Unreachable):
            await outbound.fetch("GET", url, timeout=0.3)


async def test_a_refused_connection_was_not_heard(outbound: Outbound) -> None:
    with pytest.raises(Unreachable) as refused:
        await outbound.fetch("POST", f"http://127.0.0.1:{free_port()}/", json={})
    assert not refused.value.maybe_sent


async def test_a_cut_connection_may_have_been_heard(outbound: Outbound) -> None:
    async with serving(Route("/", echo)) as url, FaultProxy("127.0.0.1", int(url.rpartition(":")[2])) as proxy:
        proxy.black_hole()
        calling = asyncio.create_task(outbound.fetch("GET", f"http://{proxy.address}/"))
        await eventually(lambda: proxy.accepted)
        await proxy.cut()
        with pytest.raises(Unreachable) as lost:
            await calling
    assert lost.value.maybe_sent


async def test_an_illegal_header_is_refused_without_its_value(outbound: Outbound) -> None:
    async with serving(Route("/", echo)) as url:
        with pytest.raises(InvalidArgument) as refused:
            await outbound.fetch("GET", url, headers={"x-key": SECRET + "\r\nx-other: 1"})
    assert SECRET not in repr(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


async def test_metadata_is_refused_before_connecting(outbound: Outbound) -> None:
    with pytest.raises(AddressNotAllowed):
        await outbound.fetch("GET", "http://169.254.169.254/latest/meta-data")
    with pytest.raises(AddressNotAllowed):
        await outbound.check("http://[::ffff:169.254.169.254]/")
    with pytest.raises(AddressNotAllowed):
        async with outbound.websocket("http://169.254.169.254/ws"):
            pass


async def test_websocket_echo_and_frame_limit(outbound: Outbound) -> None:
    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(socket.headers["x-key"])
        await socket.send_text("x" * 2000)
        await socket.receive()

    async with (
        serving(WebSocketRoute("/ws", talk)) as url,
        outbound.websocket(f"{url}/ws", headers={"X-Key": "k"}) as connection,
    ):
        assert await connection.recv() == "k"
        with pytest.raises(ConnectionClosed, match="1009"):
            await connection.recv()


async def test_what_is_no_websocket_is_a_bad_answer(outbound: Outbound) -> None:
    async def away(request: Request) -> Response:
        return RedirectResponse("/elsewhere")

    async with serving(Route("/ws", echo), Route("/away", away)) as url:
        for path in ("/ws", "/away", "/missing"):
            with pytest.raises(BadAnswer):
                async with outbound.websocket(url + path):
                    pass


async def test_a_websocket_to_nobody_is_unreachable(outbound: Outbound) -> None:
    with pytest.raises(Unreachable) as refused:
        async with outbound.websocket(f"http://127.0.0.1:{free_port()}/ws"):
            pass
    assert not refused.value.maybe_sent
