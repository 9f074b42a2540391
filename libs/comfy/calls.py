"""HTTP calls to one server whose answers must be understood."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from websockets.asyncio.client import ClientConnection

from libs.comfy.reading import read_json
from libs.outbound import Answer, BadAnswer, Download, Outbound


class Calls:
    """One server's address and headers. The headers appear in no error and no repr."""

    def __init__(self, endpoint: str, headers: Mapping[str, str], outbound: Outbound) -> None:
        """`endpoint` may have a path, as behind a reverse proxy."""
        self._base = endpoint.rstrip("/")
        self._headers = dict(headers)
        self._outbound = outbound

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """Return the JSON of a 200. BadAnswer for anything else."""
        answer = await self._outbound.fetch("GET", self._base + path, headers=self._headers, params=params)
        return json_of(_successful(answer, path), path)

    async def post(self, path: str, json: Any) -> Answer:
        """Return the answer, whatever its status."""
        return await self._outbound.fetch("POST", self._base + path, headers=self._headers, json=json)

    async def tell(self, path: str, json: Any) -> None:
        """Post something that is answered by an empty 200."""
        _successful(await self.post(path, json), path)

    async def send(self, path: str, body: bytes | AsyncIterator[bytes], content_type: str, timeout: float) -> Answer:
        """Post a body of any kind, at most `timeout` seconds long."""
        headers = {**self._headers, "content-type": content_type}
        return await self._outbound.fetch("POST", self._base + path, headers=headers, content=body, timeout=timeout)

    def open(self, path: str, params: Mapping[str, str]) -> AbstractAsyncContextManager[Download]:
        """Open an answer for streaming."""
        return self._outbound.open("GET", self._base + path, headers=self._headers, params=params)

    def websocket(self, path: str) -> AbstractAsyncContextManager[ClientConnection]:
        """Open a websocket."""
        return self._outbound.websocket(self._base + path, headers=self._headers)


def json_of(answer: Answer, path: str) -> Any:
    """Return the parsed body. BadAnswer if it is none: a proxy's login page, say."""
    try:
        return read_json(answer.body)
    except ValueError:
        raise BadAnswer(f"the runner's answer to {path} is not JSON", status=answer.status) from None


def _successful(answer: Answer, path: str) -> Answer:
    if answer.status != 200:
        raise BadAnswer(f"the runner answers {answer.status} to {path}", status=answer.status)
    return answer
