"""`/prompt`, `/queue`, `/interrupt`, `/free`, `/history`."""

import re
import uuid
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deploy.simulator import validation
from deploy.simulator.executor import Server, now_ms
from deploy.simulator.routes.answers import body_of, empty, json, trouble
from deploy.simulator.validation import Checked, Refused, ServerTrouble, problem

_CANONICAL = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class ReplyLost(Exception):
    """The connection is cut instead of answering."""


class PromptRoutes:
    """Submitting and looking after prompts."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def routes(self) -> list[Route]:
        """The paths, without prefix."""
        return [
            Route("/prompt", self.remaining, methods=["GET"]),
            Route("/prompt", self.submit, methods=["POST"]),
            Route("/queue", self.queue, methods=["GET"]),
            Route("/queue", self.edit_queue, methods=["POST"]),
            Route("/interrupt", self.interrupt, methods=["POST"]),
            Route("/free", self.free, methods=["POST"]),
            Route("/history", self.history, methods=["GET"]),
            Route("/history", self.edit_history, methods=["POST"]),
            Route("/history/{prompt_id}", self.one_history, methods=["GET"]),
        ]

    async def remaining(self, _: Request) -> Response:
        """The cheapest sign of life."""
        return json({"exec_info": {"queue_remaining": self._server.prompts.remaining}})

    async def submit(self, request: Request) -> Response:
        """Validate and queue."""
        try:
            body = await body_of(request)
            return self._submit(body)
        except (ValueError, TypeError, AttributeError, ServerTrouble):
            return trouble()
        except Refused as refused:
            return self._refusal(refused)

    def _refusal(self, refused: Refused) -> Response:
        error, node_errors = refused.error, refused.node_errors
        empty_list = error["type"] in ("no_prompt", "prompt_no_outputs")
        if self._server.features.object_errors or not empty_list:
            return json({"error": error, "node_errors": node_errors}, 400)
        return json({"error": "no prompt" if error["type"] == "no_prompt" else error, "node_errors": []}, 400)

    def _submit(self, body: dict[str, Any]) -> Response:
        prompts, features, faults = self._server.prompts, self._server.features, self._server.faults
        if "prompt" not in body:
            prompts.next_number()
            raise Refused(problem("no_prompt", "No prompt provided", "No prompt provided"))
        number = self._number(body)
        prompt_id = self._prompt_id(body)
        checked = self._check(body)
        extra_data = dict(body.get("extra_data") or {})
        if "client_id" in body:
            extra_data["client_id"] = body["client_id"]
        if features.create_time:
            extra_data["create_time"] = now_ms()
        twice = any((item.number, item.prompt_id) == (number, prompt_id) for item in prompts.pending)
        prompts.add(number, prompt_id, checked.graph, extra_data, checked.outputs)
        if twice or faults.take("error_500_but_queued"):
            return trouble()
        if faults.take("lose_reply"):
            raise ReplyLost
        return json({"prompt_id": prompt_id, "number": number, "node_errors": checked.node_errors})

    def _number(self, body: dict[str, Any]) -> float:
        counted = self._server.prompts.next_number()
        if "number" in body:
            return float(body["number"])
        return -counted if body.get("front") else counted

    def _prompt_id(self, body: dict[str, Any]) -> str:
        features = self._server.features
        wanted = body.get("prompt_id")
        if wanted is None or not features.chosen_prompt_id:
            return str(uuid.uuid4())
        if features.prompt_id_must_be_uuid and not (isinstance(wanted, str) and _CANONICAL.fullmatch(wanted)):
            details = (
                "prompt_id must be a UUID string in canonical lowercase hyphenated form; omit it to let the server "
                "generate one"
            )
            raise Refused(problem("invalid_prompt_id", "prompt_id must be a valid UUID", details))
        return str(wanted)

    def _check(self, body: dict[str, Any]) -> Checked:
        server = self._server
        targets = body.get("partial_execution_targets")
        return validation.check(body["prompt"], server.nodes, server.folders, server.features, targets)

    async def queue(self, _: Request) -> Response:
        """Everything that waits and runs."""
        prompts, hide = self._server.prompts, self._server.features.hides_secrets
        running = [prompts.running.item(hide=hide)] if prompts.running else []
        return json({"queue_running": running, "queue_pending": [item.item(hide=hide) for item in prompts.pending]})

    async def edit_queue(self, request: Request) -> Response:
        """Remove pending prompts."""
        try:
            body = await body_of(request)
        except ValueError:
            return trouble()
        if body.get("clear"):
            self._server.prompts.clear()
        if body.get("delete"):
            self._server.prompts.remove(body["delete"])
        return empty()

    async def interrupt(self, request: Request) -> Response:
        """Stop what runs; with an id only if that runs, where the version knows the field."""
        try:
            body = await body_of(request)
        except ValueError:
            body = {}
        wanted = body.get("prompt_id") if isinstance(body, dict) else None
        running = self._server.prompts.running
        named = wanted is not None and self._server.features.interrupt_by_id
        if running is not None and (not named or running.prompt_id == wanted):
            self._server.interrupt = True
        return empty()

    async def free(self, request: Request) -> Response:
        """Forget cached results before the next prompt."""
        try:
            body = await body_of(request)
        except ValueError:
            return trouble()
        self._server.free_memory = self._server.free_memory or bool(body.get("free_memory"))
        return empty()

    async def history(self, request: Request) -> Response:
        """Oldest first; without an offset the last ones."""
        entries = list(self._server.prompts.history.items())
        try:
            most = int(request.query_params.get("max_items", len(entries)))
            offset = int(request.query_params.get("offset", -1))
        except ValueError:
            return trouble()
        start = offset if offset >= 0 else max(0, len(entries) - most)
        return json(dict(entries[start : start + most]))

    async def one_history(self, request: Request) -> Response:
        """One finished prompt; nothing while it is not."""
        prompt_id = request.path_params["prompt_id"]
        entry = self._server.prompts.history.get(prompt_id)
        return json({prompt_id: entry} if entry else {})

    async def edit_history(self, request: Request) -> Response:
        """Forget finished prompts."""
        try:
            body = await body_of(request)
        except ValueError:
            return trouble()
        if body.get("clear"):
            self._server.prompts.history.clear()
        for prompt_id in body.get("delete") or []:
            self._server.prompts.history.pop(prompt_id, None)
        return empty()
