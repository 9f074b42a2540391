"""The gateway's REST APIs as a client sees them. Every method raises Refused or Unreachable."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx

from gateway.cli.credentials import Connection
from gateway.cli.errors import Refused, Unreachable, refusal

Body = dict[str, Any]
Event = tuple[str, Body, str]  # name, data, id of the last durable event
_TIMEOUT = httpx.Timeout(30, connect=10)
_SILENCE = httpx.Timeout(45, connect=10)  # seconds; three heartbeats of an event stream missed
_AWAY = {502, 503, 504}
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_DOWNLOAD_TRIES = 5


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a job asks of its runner."""

    tags: Sequence[str] = ()
    runner_id: str = ""

    def body(self) -> Body:
        """As the API takes it; empty when nothing is asked."""
        wanted = {"tags": list(self.tags), "runner_id": self.runner_id}
        return {name: value for name, value in wanted.items() if value}


@dataclass(slots=True)
class Fleet:
    """One gateway, spoken to as one account."""

    connection: Connection
    _http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        # A proxy of the environment is for the world outside, not for a fleet on this machine.
        outside = httpx.URL(self.connection.url).host not in _LOOPBACK
        self._http = httpx.Client(
            base_url=self.connection.url,
            headers={"authorization": f"Bearer {self.connection.token}"},
            timeout=_TIMEOUT,
            trust_env=outside,
        )

    def submit(self, workflow: Body, wants: Requirements) -> Body:
        """POST /jobs. A reply that got lost is asked for again; the key keeps it from running twice."""
        body: Body = {"workflow": workflow}
        if wants.body():
            body["requirements"] = wants.body()
        key = {"idempotency-key": str(uuid4())}
        try:
            return self._json("POST", "/api/v2/jobs", json=body, headers=key)
        except Unreachable:
            return self._submitted_before(body, key)

    def _submitted_before(self, body: Body, key: Mapping[str, str]) -> Body:
        answer = self._send("POST", "/api/v2/jobs", json=body, headers=dict(key))
        error = _content(answer).get("error") or {}
        if error.get("code") == "idempotency_key_reuse" and (job_id := (error.get("details") or {}).get("job_id")):
            return self.job(str(job_id))
        return _content(_checked(answer))

    def job(self, job_id: str) -> Body:
        """GET /jobs/{id}."""
        return self._json("GET", f"/api/v2/jobs/{job_id}")

    def workflow(self, job_id: str) -> Body:
        """The graph that was submitted."""
        return dict(self._json("GET", f"/api/v2/jobs/{job_id}/workflow")["workflow"])

    def jobs(self, status: str, limit: int) -> Sequence[Body]:
        """The newest jobs, at most `limit`."""
        query = {"limit": str(limit)} | ({"status": status} if status else {})
        return list(self._json("GET", "/api/v2/jobs", params=query)["jobs"])

    def cancel(self, job_id: str) -> Body:
        """POST /jobs/{id}/cancel."""
        return self._json("POST", f"/api/v2/jobs/{job_id}/cancel")

    def events(self, job_id: str, after: str) -> Iterator[Event]:
        """The events of a job behind the id `after`, until the stream ends."""
        from httpx_sse import SSEError, connect_sse

        headers = {"last-event-id": after} if after else {}
        path = f"/api/v2/jobs/{job_id}/events"
        with self._translated(), connect_sse(self._http, "GET", path, headers=headers, timeout=_SILENCE) as source:
            if source.response.is_error:
                source.response.read()
                _checked(source.response)
            try:
                for event in source.iter_sse():
                    yield event.event, json.loads(event.data), event.id
            except (SSEError, ValueError) as error:
                raise Unreachable(self.connection.url, f"its events cannot be read: {error}") from None

    def has_bytes(self, digest: str) -> bool:
        """Whether the account has bytes of this `blake3:` hash already."""
        answer = self._send("HEAD", f"/api/v2/assets/by-hash/{digest}")
        return answer.status_code == httpx.codes.OK

    def asset_of(self, digest: str, file_path: str) -> Body:
        """POST /assets/from-hash: a record over bytes that are there."""
        return self._json("POST", "/api/v2/assets/from-hash", json={"hash": digest, "file_path": file_path})

    def upload(self, fields: Mapping[str, str], file: Any) -> Body:
        """POST /assets. The file is read as it is sent."""
        files = {"file": (fields["file_path"], file, fields["content_type"])}
        return self._json("POST", "/api/v2/assets", data=dict(fields), files=files, timeout=httpx.Timeout(120))

    def content(self, asset_id: str, took: Callable[[int], None]) -> Iterator[bytes]:
        """The bytes of an asset; a download that breaks goes on where it stopped."""
        at, failures = 0, 0
        while True:
            try:
                for chunk in self._from(asset_id, at):
                    at, failures = at + len(chunk), 0
                    took(len(chunk))
                    yield chunk
            except Unreachable:
                failures += 1
                if failures == _DOWNLOAD_TRIES:
                    raise
            else:
                return

    def _from(self, asset_id: str, offset: int) -> Iterator[bytes]:
        headers = {"range": f"bytes={offset}-"} if offset else {}
        path = f"/api/v2/assets/{asset_id}/content"
        with self._translated(), self._http.stream("GET", path, headers=headers) as answer:
            if offset and answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                return
            if answer.is_error:
                answer.read()
                _checked(answer)
            yield from answer.iter_bytes()

    def runners(self) -> Iterator[Body]:
        """Every runner of the account, newest first."""
        page, seen, total = 1, 0, 1
        while seen < total:
            answer = self._json("GET", "/v1/runner", params={"page": str(page), "per_page": "100"})
            yield from answer["runners"]
            page, seen, total = page + 1, seen + 100, answer["total"]

    def runner(self, runner_id: str) -> Body:
        """GET /v1/runner/{id}."""
        return self._json("GET", f"/v1/runner/{runner_id}")

    def add_runner(self, body: Body) -> Body:
        """POST /v1/runner."""
        return self._json("POST", "/v1/runner", json=body)

    def change_runner(self, runner_id: str, body: Body) -> Body:
        """PUT /v1/runner/{id}."""
        return self._json("PUT", f"/v1/runner/{runner_id}", json=body)

    def remove_runner(self, runner_id: str) -> None:
        """DELETE /v1/runner/{id}."""
        _checked(self._send("DELETE", f"/v1/runner/{runner_id}"))

    def _json(self, method: str, path: str, **options: Any) -> Body:
        return _content(_checked(self._send(method, path, **options)))

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        with self._translated():
            answer = self._http.request(method, path, **options)
        if answer.status_code in _AWAY:
            raise Unreachable(self.connection.url, _content(answer).get("error", {}).get("message", "it is not ready"))
        return answer

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise Unreachable(self.connection.url, str(error) or type(error).__name__) from None


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.is_error:
        raise refusal(answer.status_code, _content(answer))
    if not answer.is_success:
        raise Refused(answer.status_code, f"HTTP {answer.status_code}", "this is not a fleet's answer")
    return answer


def _content(answer: httpx.Response) -> Body:
    try:
        content = answer.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
