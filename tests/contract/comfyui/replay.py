"""Sends the requests of a recording to a server and keeps both sides' answers and messages, ready to compare."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from libs.testing import eventually

Row = Mapping[str, Any]
_WAIT = 15.0  # seconds for the messages that a recording has at some point
_CHATTY = {"progress", "progress_state", "status", "feature_flags"}  # throttled, or not about a prompt


def rows_of(path: Path) -> Sequence[Row]:
    """The rows of a recording, in order."""
    return [json.loads(line) for line in path.read_text().splitlines()]


@dataclass
class Step:
    """One request with both answers."""

    number: int
    request: Mapping[str, Any]
    recorded: Mapping[str, Any]
    status: int
    body: Any


@dataclass
class Replay:
    """One recording against one server. `skipped` tells, by row, why a request was not sent."""

    endpoint: str
    classes: frozenset[str]
    steps: list[Step] = field(default_factory=list)
    skipped: dict[int, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)
    cached: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    recorded: dict[str, Counter[tuple[str, Any]]] = field(default_factory=lambda: defaultdict(Counter))
    received: dict[str, Counter[tuple[str, Any]]] = field(default_factory=lambda: defaultdict(Counter))

    async def run(self, rows: Sequence[Row]) -> None:
        """Everything, each request once the messages that came before it in the recording are here too."""
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(
                httpx.AsyncClient(base_url=self.endpoint, timeout=10, trust_env=False)
            )
            connections: dict[str, ClientConnection] = {}
            for number, row in enumerate(rows):
                if row["kind"] == "ws_open":
                    connections[row["conn"]] = await stack.enter_async_context(self._open(row["url"]))
                elif row["kind"] == "ws_send":
                    await connections[row["conn"]].send(json.dumps(row["json"]))
                elif row["kind"] == "ws_text":
                    self._note(self.recorded, row["json"])
                elif row["kind"] == "http":
                    await eventually(self._caught_up, within=_WAIT)
                    await self._request(client, number, row)
            await eventually(self._caught_up, within=_WAIT)

    def wrong_messages(self, spared_prompts: set[str]) -> list[str]:
        """What is missing and what is too much, prompt by prompt, by the recorded ids.

        The recorded server had results of earlier recordings in its cache: that ours executes those is no difference.
        """
        wrong = []
        for old, new in self.ids.items():
            missing = self.recorded[old] - self.received[new]
            spared = {("executing", node) for node in self.cached[old]}
            extra = {key for key in self.received[new] - self.recorded[old] if key not in spared}
            if old not in spared_prompts and (missing or extra):
                wrong.append(f"prompt {old}: missing {dict(missing)}, too much {extra}")
        return wrong

    @asynccontextmanager
    async def _open(self, url: str) -> AsyncIterator[ClientConnection]:
        async with connect(self.endpoint.replace("http", "ws") + url) as socket:
            reading = asyncio.create_task(self._read(socket))
            try:
                yield socket
            finally:
                reading.cancel()

    async def _read(self, socket: ClientConnection) -> None:
        async for message in socket:
            if isinstance(message, str):
                self._note(self.received, json.loads(message))

    def _note(self, into: dict[str, Counter[tuple[str, Any]]], message: Mapping[str, Any]) -> None:
        data = message.get("data") or {}
        prompt_id = data.get("prompt_id")
        if prompt_id is not None and message["type"] == "execution_cached" and into is self.recorded:
            self.cached[prompt_id] |= set(data["nodes"])
        if prompt_id is not None and message["type"] not in _CHATTY:
            into[prompt_id][message["type"], data.get("node", data.get("node_id"))] += 1

    def _caught_up(self) -> bool:
        return all(not self.recorded[old] - self.received[new] for old, new in self.ids.items())

    async def _request(self, client: httpx.AsyncClient, number: int, row: Row) -> None:
        request = row["request"]
        reason = self._cannot(request, row["response"])
        if reason:
            self.skipped[number] = reason
            self.absent.add((row["response"].get("json") or {}).get("prompt_id", "none"))
            return
        content, headers = self._content(request)
        answer = await client.request(
            request["method"], self._mapped(request["path"]), content=content, headers=headers
        )
        body = _json(answer)
        recorded = row["response"].get("json")
        if request["path"].endswith("/prompt") and answer.status_code == 200 and isinstance(recorded, dict):
            self.ids[recorded.get("prompt_id", "")] = (body or {}).get("prompt_id", "")
            self.ids.pop("", None)
        self.steps.append(Step(number, request, row["response"], answer.status_code, body))

    def _cannot(self, request: Mapping[str, Any], response: Mapping[str, Any]) -> str:
        if "body_note" in request:
            return "the recording does not hold the uploaded bytes"
        if "status" not in response:
            return "the recorded call did not get an answer"
        if any(prompt_id in request["path"] for prompt_id in self.absent):
            return "it asks for a prompt that was not replayed"
        unknown = _classes(request.get("json")) - self.classes - {"NoSuchNode", None}
        if unknown:
            return f"classes that are not simulated: {', '.join(sorted(map(str, unknown)))}"
        return ""

    def _content(self, request: Mapping[str, Any]) -> tuple[bytes | None, dict[str, str]]:
        headers = {name: value for name, value in (request.get("headers") or {}).items() if name.lower() != "host"}
        if "json" in request:
            return self._mapped(json.dumps(request["json"])).encode(), {"content-type": "application/json", **headers}
        return (request["raw_body"].encode() if "raw_body" in request else None), headers

    def _mapped(self, text: str) -> str:
        for old, new in self.ids.items():
            text = text.replace(old, new)
        return text


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None


def _classes(body: Any) -> set[Any]:
    graph = body.get("prompt") if isinstance(body, dict) else None
    nodes = graph.values() if isinstance(graph, dict) else ()
    return {node.get("class_type") for node in nodes if isinstance(node, dict)}
