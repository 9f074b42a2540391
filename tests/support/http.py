"""Steps that tests of the HTTP surface share."""

from typing import Any

import httpx
from blake3 import blake3

from libs.testing import eventually


async def upload(client: httpx.AsyncClient, data: bytes, **fields: Any) -> httpx.Response:
    """Upload as a form, the file last as the SDK does."""
    form = {"content_type": "application/octet-stream", "file_path": "a.bin", **fields}
    return await client.post("/api/v2/assets", data=form, files={"file": ("a.bin", data)})


async def submit(client: httpx.AsyncClient, workflow: Any, headers: dict[str, str] | None = None, **more: Any) -> Any:
    """Submit and return the job."""
    answer = await client.post("/api/v2/jobs", json={"workflow": workflow, **more}, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def until(client: httpx.AsyncClient, job_id: str, *statuses: str, within: float = 20) -> Any:
    """Poll until the job has one of the statuses."""

    async def reached() -> Any:
        job = (await client.get(f"/api/v2/jobs/{job_id}")).json()
        return job if job["status"] in statuses else None

    return await eventually(reached, within=within)


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of an error, after checking the envelope."""
    body = answer.json()
    assert set(body) == {"error"}, body
    assert set(body["error"]) <= {"code", "message", "details"}, body
    assert body["error"]["message"]
    return answer.status_code, body["error"]["code"]


def hash_of(data: bytes) -> str:
    """The content hash as the standard writes it."""
    return "blake3:" + blake3(data).hexdigest()
