"""One ComfyUI server."""

import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

from libs.clock import Clock
from libs.comfy.calls import Calls
from libs.comfy.cancel import CancelResult, cancel_by_steps, cancel_job, read_queue
from libs.comfy.errors import FileMissing, SubmitUnclear
from libs.comfy.events import EventStream, reading
from libs.comfy.history import MARKER, HistoryEntry, OutputFile, parse_history
from libs.comfy.multipart import UploadForm
from libs.comfy.queue import Absent, Finished, Queue, Whereabouts
from libs.comfy.reading import mapping, whole
from libs.comfy.replies import Submitted, parse_submitted, parse_uploaded
from libs.comfy.stats import SystemStats, parse_stats
from libs.comfy.versions import ServerVersion
from libs.outbound import BadAnswer, Download, Outbound, Unreachable

# How far back a prompt is looked for on servers whose prompt ids are not ours.
_HISTORY_SCAN = "200"


class ComfyClient:
    """All calls raise Unreachable, BadAnswer, TooLarge or AddressNotAllowed on top of what they say."""

    def __init__(
        self,
        endpoint: str,
        headers: Mapping[str, str],
        outbound: Outbound,
        clock: Clock,
        *,
        upload_seconds: float = 600,
    ) -> None:
        """Talk to `endpoint` with `headers` on every call; an upload may last `upload_seconds`."""
        self._calls = Calls(endpoint, headers, outbound)
        self._clock = clock
        self._upload_seconds = upload_seconds
        self._version: ServerVersion | None = None

    async def version(self) -> ServerVersion:
        """Ask once; asked again after each new event stream, since the server may have been updated."""
        if self._version is None:
            self._version = (await self.system_stats()).version
        return self._version

    async def probe(self) -> int:
        """Return how many prompts are queued or running: the cheapest sign of life."""
        answer = mapping(await self._calls.get("/prompt"))
        left = whole(mapping(answer.get("exec_info")).get("queue_remaining"))
        if left is None:
            raise BadAnswer("the runner's answer to /prompt is not ComfyUI's")
        return left

    async def system_stats(self) -> SystemStats:
        """Return what the server says about its machine."""
        try:
            return parse_stats(await self._calls.get("/system_stats"))
        except ValueError:
            raise BadAnswer("the runner's answer to /system_stats is not ComfyUI's") from None

    async def object_info(self) -> Mapping[str, Any]:
        """Return the node catalogue, by class name; its combo inputs are the model inventory. Hundreds of kB."""
        return mapping(await self._calls.get("/object_info"))

    async def node_classes(self) -> frozenset[str]:
        """Return the names of the installed node classes."""
        return frozenset(await self.object_info())

    async def upload_image(
        self, name: str, file: bytes | AsyncIterator[bytes], *, subfolder: str = "", overwrite: bool = False
    ) -> str:
        """Put a file of any kind into the input directory; return the name to use in the graph. UploadRefused."""
        fields = {"type": "input", "subfolder": subfolder, **({"overwrite": "true"} if overwrite else {})}
        form = UploadForm(fields, name.replace("/", "_"), file)
        answer = await self._calls.send("/upload/image", form.body(), form.content_type, self._upload_seconds)
        return parse_uploaded(answer)

    async def submit(
        self,
        graph: Mapping[str, Any],
        prompt_id: str,
        client_id: str,
        extra_data: Mapping[str, Any] | None = None,
    ) -> Submitted:
        """Queue a prompt. PromptRefused: it will never run. SubmitUnclear: look with `find` before sending it again.

        Unreachable and BadAnswer mean that the server has not seen it.
        """
        body = {
            "prompt": graph,
            "prompt_id": prompt_id,
            "client_id": client_id,
            "extra_data": {**(extra_data or {}), MARKER: prompt_id},
        }
        try:
            return parse_submitted(await self._calls.post("/prompt", body))
        except Unreachable as lost:
            if lost.maybe_sent:
                raise SubmitUnclear("the reply to the prompt was lost") from lost
            raise

    async def find(self, prompt_id: str) -> Whereabouts:
        """Say where a prompt is, by the id it was submitted with or the one the server gave it.

        Right after SubmitUnclear, Absent is not final yet: the server may still be validating.
        """
        # A prompt goes from the queue to history in one step, so history is the last to be asked. It is also
        # asked first, because it is small and the queue's answer holds every graph.
        for look in (self._finished, self._queued, self._finished):
            if found := await look(prompt_id):
                return found
        return Absent()

    async def history(self, prompt_id: str) -> HistoryEntry | None:
        """Return the end of a prompt, by the server's id for it; None while it is queued, running or unknown."""
        return (await self._entries(f"/history/{quote(prompt_id, safe='')}")).get(prompt_id)

    async def queue(self) -> Queue:
        """Return what runs and waits. The answer holds every graph: prefer `probe`."""
        return await read_queue(self._calls)

    @asynccontextmanager
    async def view(self, file: OutputFile) -> AsyncIterator[Download]:
        """Open an output file: `size`, `content_type`, `chunks()`. FileMissing."""
        params = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
        async with self._calls.open("/view", params) as download:
            if download.status in (400, 403, 404):
                raise FileMissing(file.filename)
            if download.status != 200:
                raise BadAnswer(f"the runner answers {download.status} to /view", status=download.status)
            yield download

    async def cancel(self, prompt_id: str) -> CancelResult:
        """Stop a prompt, by the server's id for it, whether it waits or runs. Asking twice does no harm."""
        done = await cancel_job(self._calls, prompt_id)
        return done or await cancel_by_steps(self._calls, await self.version(), prompt_id)

    async def free(self, *, unload_models: bool = True, free_memory: bool = True) -> None:
        """Ask the server to unload models and drop its cache when it is next idle."""
        await self._calls.tell("/free", {"unload_models": unload_models, "free_memory": free_memory})

    @asynccontextmanager
    async def events(self, client_id: str | None = None) -> AsyncIterator[EventStream]:
        """Open a connection for the messages of prompts submitted with its `client_id`.

        Leave `client_id` out: one that is used twice goes deaf when its older connection closes (trap 1).
        """
        chosen = client_id or uuid.uuid4().hex
        async with self._calls.websocket(f"/ws?clientId={quote(chosen, safe='')}") as connection:
            self._version = None
            async with reading(connection, chosen, self._clock) as stream:
                yield stream

    async def _queued(self, prompt_id: str) -> Whereabouts | None:
        return (await self.queue()).find(prompt_id)

    async def _finished(self, prompt_id: str) -> Finished | None:
        if (await self.version()).takes_prompt_id:
            entry = await self.history(prompt_id)
            return Finished(prompt_id, entry) if entry else None
        entries = await self._entries("/history", {"max_items": _HISTORY_SCAN})
        for found, entry in entries.items():
            if prompt_id in (found, entry.marker):
                return Finished(found, entry)
        return None

    async def _entries(self, path: str, params: Mapping[str, str] | None = None) -> Mapping[str, HistoryEntry]:
        try:
            return parse_history(await self._calls.get(path, params))
        except ValueError:
            raise BadAnswer("the runner's answer to /history is not ComfyUI's") from None
