"""`/api/jobs`: the newer view of the same prompts."""

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deploy.simulator.executor import Server
from deploy.simulator.prompts import Prompt
from deploy.simulator.routes.answers import body_of, json

_CANONICAL = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_STATUSES = ("pending", "in_progress", "completed", "failed", "cancelled")
_PREVIEWABLE = ("images", "gifs", "audio", "video", "3d", "text")


class JobRoutes:
    """Only under /api, and only on versions that have them."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def routes(self) -> list[Route]:
        """The paths, prefix included."""
        reading = [
            Route("/api/jobs", self.page, methods=["GET"]),
            Route("/api/jobs/{prompt_id}", self.get, methods=["GET"]),
        ]
        cancelling = [
            Route("/api/jobs/cancel", self.cancel_many, methods=["POST"]),
            Route("/api/jobs/{prompt_id}/cancel", self.cancel, methods=["POST"]),
        ]
        features = self._server.features
        return [*(cancelling if features.job_cancel else []), *(reading if features.jobs else [])]

    async def page(self, request: Request) -> Response:
        """All jobs, newest first."""
        query = request.query_params
        wanted = [word for word in query.get("status", "").split(",") if word]
        if bad := [word for word in wanted if word not in _STATUSES]:
            return json(
                {"error": f"Invalid status value(s): {', '.join(bad)}. Valid values: {', '.join(_STATUSES)}"}, 400
            )
        jobs = [job for job in self._all() if not wanted or job["status"] in wanted]
        jobs.sort(key=lambda job: job.get("create_time", 0), reverse=query.get("sort_order", "desc") == "desc")
        try:
            limit = int(query["limit"]) if "limit" in query else None
            offset = max(0, int(query.get("offset", 0)))
        except ValueError:
            return json({"error": "limit and offset must be integers"}, 400)
        if limit is not None and limit <= 0:
            return json({"error": "limit must be a positive integer"}, 400)
        page = jobs[offset : None if limit is None else offset + limit]
        more = offset + len(page) < len(jobs)
        pagination = {"offset": offset, "limit": limit, "total": len(jobs), "has_more": more}
        return json({"jobs": page, "pagination": pagination})

    async def get(self, request: Request) -> Response:
        """One job."""
        prompt_id = request.path_params["prompt_id"]
        entry = self._server.prompts.history.get(prompt_id)
        if entry is not None:
            return json({**self._finished(prompt_id, entry), **_details(entry)})
        for prompt, status in self._open():
            if prompt.prompt_id == prompt_id:
                return json(self._unfinished(prompt, status))
        return json({"error": "Job not found"}, 404)

    async def cancel(self, request: Request) -> Response:
        """Stop or remove one."""
        return json({"cancelled": self._cancel(request.path_params["prompt_id"])})

    async def cancel_many(self, request: Request) -> Response:
        """Stop or remove several."""
        try:
            body = await body_of(request)
        except ValueError:
            return json({"error": "Invalid JSON in request body"}, 400)
        ids = body.get("job_ids") if isinstance(body, dict) else None
        if not isinstance(ids, list):
            return json({"error": "job_ids must be a list"}, 400)
        invalid = [item for item in ids if not (isinstance(item, str) and _CANONICAL.fullmatch(item))]
        if invalid:
            return json({"error": "job_ids must be canonical UUIDs", "invalid_ids": invalid}, 400)
        stopped = [self._cancel(item) for item in ids]  # every one, so no short cut
        return json({"cancelled": any(stopped)})

    def _cancel(self, prompt_id: str) -> bool:
        prompts = self._server.prompts
        if prompts.running is not None and prompts.running.prompt_id == prompt_id:
            self._server.interrupt = True
            return True
        return prompts.remove([prompt_id])

    def _open(self) -> list[tuple[Prompt, str]]:
        prompts = self._server.prompts
        running = [(prompts.running, "in_progress")] if prompts.running else []
        return [*running, *((prompt, "pending") for prompt in prompts.pending)]

    def _all(self) -> list[dict[str, Any]]:
        finished = [self._finished(prompt_id, entry) for prompt_id, entry in self._server.prompts.history.items()]
        return [*(self._unfinished(prompt, status) for prompt, status in self._open()), *finished]

    def _unfinished(self, prompt: Prompt, status: str) -> dict[str, Any]:
        return self._common(prompt.item(hide=True), status, {})

    def _finished(self, prompt_id: str, entry: dict[str, Any]) -> dict[str, Any]:
        messages = entry["status"]["messages"]
        times = [data["timestamp"] for _, data in messages if "timestamp" in data]
        job = self._common(entry["prompt"], _status(entry), entry["outputs"])
        if times:
            job |= {"execution_start_time": times[0], "execution_end_time": times[-1]}
        error = next((data for kind, data in messages if kind == "execution_error"), None)
        return job | ({"execution_error": error} if error else {})

    def _common(self, item: list[Any], status: str, outputs: dict[str, Any]) -> dict[str, Any]:
        number, prompt_id, _, extra, _ = item
        shown = _shown(outputs)
        files = [entry for entry in shown if "filename" in entry]
        job: dict[str, Any] = {"id": prompt_id, "status": status, "priority": number, "outputs_count": len(files)}
        if "create_time" in extra:
            job["create_time"] = extra["create_time"]
        if self._server.features.previewable_count:
            job["previewable_outputs_count"] = len(files)
        if shown:
            job["preview_output"] = (files or shown)[0]
        workflow_id = ((extra.get("extra_pnginfo") or {}).get("workflow") or {}).get("id")
        return job | ({"workflow_id": workflow_id} if workflow_id else {})


def _shown(outputs: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {**item, "nodeId": node_id, "mediaType": kind}
        for node_id, ui in outputs.items()
        for kind, items in ui.items()
        if kind in _PREVIEWABLE and isinstance(items, list)
        for item in items
        if isinstance(item, dict)
    ]


def _status(entry: dict[str, Any]) -> str:
    if entry["status"]["status_str"] == "success":
        return "completed"
    last = entry["status"]["messages"][-1][0]
    return "cancelled" if last == "execution_interrupted" else "failed"


def _details(entry: dict[str, Any]) -> dict[str, Any]:
    _, _, graph, extra, _ = entry["prompt"]
    workflow = {"prompt": graph, "extra_data": extra}
    return {"outputs": entry["outputs"], "execution_status": entry["status"], "workflow": workflow}
