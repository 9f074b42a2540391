"""`/api/v2/jobs`: the documented shapes, and bad input by name."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.integration.gateway.conftest import Fleet
from tests.support.graphs import failing, picture, sampled
from tests.support.http import refusal, submit, until

REQUIRED = {
    "id", "status", "created_at", "started_at", "completed_at", "expires_at", "queue_position", "progress", "outputs",
    "error", "urls",
}  # fmt: skip
OUTPUT = {"node_id", "name", "type", "content_type", "size_bytes", "id", "hash", "url", "url_expires_at"}


async def test_a_job_has_the_documented_shape_from_start_to_end(ada: httpx.AsyncClient) -> None:
    job = await submit(ada, picture(101), metadata={"who": "ada"})
    assert set(job) >= REQUIRED
    assert job["status"] == "queued"
    done = await until(ada, job["id"], "succeeded")
    (output,) = done["outputs"]
    assert set(output) >= OUTPUT
    assert (output["node_id"], output["type"], output["content_type"]) == ("9", "image", "image/png")
    assert done["metrics"]["execution_ms"] >= 0
    assert done["metadata"] == {"who": "ada"}
    async with httpx.AsyncClient(trust_env=False) as nobody:
        content = await nobody.get(output["url"])
    assert (content.status_code, len(content.content)) == (200, output["size_bytes"])
    listed = (await ada.get("/api/v2/jobs", params={"limit": 1})).json()
    assert listed["jobs"][0]["id"] == job["id"]


async def test_a_failed_job_says_which_node_and_why(ada: httpx.AsyncClient) -> None:
    job = await submit(ada, failing())
    error = (await until(ada, job["id"], "failed"))["error"]
    assert (error["node_id"], error["class_type"]) == ("2", "SimFail")
    assert "deliberate" in error["message"]
    assert error["traceback"]
    assert error["failure_class"] == "node_error"


BAD_BODIES: list[tuple[bytes, int, str, str]] = [
    (b"{", 422, "invalid_request", "body"),
    (b"", 422, "invalid_request", "body"),
    (b"[]", 422, "invalid_request", "body"),
    (b"\xff\xfe", 422, "invalid_request", "body"),
    (b'{"workflow": NaN}', 422, "invalid_request", "body"),
    (b"{}", 422, "invalid_workflow", "workflow"),
    (b'{"workflow": []}', 422, "invalid_workflow", "workflow"),
    (b'{"workflow": {"nodes": [], "links": []}}', 422, "workflow_format_ui", ""),
    (b'{"workflow": {}}', 422, "invalid_workflow", ""),
    (b'{"workflow": {"1": 5}}', 422, "invalid_workflow", ""),
    (b'{"workflow": {"1": {"inputs": {}}}}', 422, "invalid_workflow", ""),
    (b'{"workflow": {"1": {"class_type": "EmptyImage", "inputs": {"a": ["7", 0]}}}}', 422, "invalid_workflow", ""),
    (b'{"workflow": {"1": {"class_type": "Nowhere", "inputs": {}}}}', 422, "invalid_workflow", ""),
    (b'{"workflow": {"1": {}}, "webhook_url": "http://a"}', 422, "invalid_request", "webhook_url"),
    (b'{"workflow": {"1": {}}, "inputs": {}}', 422, "invalid_request", "inputs"),
    (b'{"workflow": {"1": {}}, "extra_data": {"x": "y"}}', 422, "invalid_request", "extra_data"),
    (b'{"workflow": {"1": {}}, "extra_data": {"api_key_comfy_org": 1}}', 422, "invalid_request",
     "extra_data.api_key_comfy_org"),
    (b'{"workflow": {"1": {}}, "metadata": {"a": 1}}', 422, "metadata_invalid", "metadata"),
    (b'{"workflow": {"1": {}}, "requirements": {"tags": "a"}}', 422, "invalid_request", "requirements.tags"),
    (b'{"workflow": {"1": {}}, "priority": 1000}', 422, "invalid_request", "priority"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status", "code", "field"), BAD_BODIES)
async def test_bad_bodies_are_refused_by_name(
    ada: httpx.AsyncClient, body: bytes, status: int, code: str, field: str
) -> None:
    answer = await ada.post("/api/v2/jobs", content=body)
    assert refusal(answer) == (status, code)
    if field:
        assert field in answer.json()["error"]["details"]["fields"]


async def test_a_cycle_is_refused_and_named(ada: httpx.AsyncClient) -> None:
    graph = picture()
    graph["1"]["inputs"]["width"] = ["2", 0]
    graph["2"] = {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}}
    answer = await ada.post("/api/v2/jobs", json={"workflow": graph})
    assert refusal(answer) == (422, "invalid_workflow")
    assert set(answer.json()["error"]["details"]["node_errors"]) & {"1", "2"}


async def test_ten_thousand_nodes_are_taken(ada: httpx.AsyncClient) -> None:
    graph = picture(102)
    for number in range(10, 10_008):
        source = "1" if number == 10 else str(number - 1)
        graph[str(number)] = {"class_type": "ImageInvert", "inputs": {"image": [source, 0]}}
    job = await submit(ada, graph)
    workflow = (await ada.get(f"/api/v2/jobs/{job['id']}/workflow")).json()
    assert (workflow["format"], len(workflow["workflow"])) == ("api", len(graph))
    await ada.post(f"/api/v2/jobs/{job['id']}/cancel")
    await until(ada, job["id"], "succeeded", "canceled")


async def test_twenty_megabytes_are_refused_and_the_process_stays_up(ada: httpx.AsyncClient) -> None:
    graph = picture()
    graph["1"]["inputs"]["note"] = "x" * (20 << 20)
    answer = await ada.post("/api/v2/jobs", json={"workflow": graph})
    assert refusal(answer) == (413, "payload_too_large")
    assert (await ada.get("/livez")).status_code == 200


@pytest.mark.parametrize(
    "info",
    [
        {"id": "00000000-0000-4000-8000-000000000000"},
        {"id": "nonsense"},
        {"id": 5},
        {},
    ],
)
async def test_a_missing_asset_is_named(ada: httpx.AsyncClient, info: dict[str, Any]) -> None:
    graph = {"1": {"class_type": "LoadImage", "inputs": {"image": {"__type": "core/ASSET", "info": info}}}}
    answer = await ada.post("/api/v2/jobs", json={"workflow": graph})
    assert refusal(answer) == (422, "missing_asset")


async def test_an_idempotency_key_works_once(ada: httpx.AsyncClient) -> None:
    key = {"idempotency-key": str(uuid4())}
    first = await submit(ada, picture(103), headers=key)
    again = await ada.post("/api/v2/jobs", json={"workflow": picture(103)}, headers=key)
    assert refusal(again) == (422, "idempotency_key_reuse")
    assert again.json()["error"]["details"]["job_id"] == first["id"]
    await until(ada, first["id"], "succeeded")


async def test_a_refused_submission_releases_its_key(ada: httpx.AsyncClient) -> None:
    key = {"idempotency-key": str(uuid4())}
    assert (await ada.post("/api/v2/jobs", json={"workflow": {}}, headers=key)).status_code == 422
    job = await submit(ada, picture(104), headers=key)
    await until(ada, job["id"], "succeeded")


async def test_a_full_queue_says_when_to_come_back(ada: httpx.AsyncClient) -> None:
    jobs = [await submit(ada, sampled(60, color=number)) for number in range(5)]
    answer = await ada.post("/api/v2/jobs", json={"workflow": picture()})
    assert refusal(answer) == (429, "queue_full")
    assert int(answer.headers["retry-after"]) >= 1
    waiting = (await ada.get(f"/api/v2/jobs/{jobs[-1]['id']}")).json()
    assert waiting["waiting_reason"]
    await asyncio.gather(*[ada.post(f"/api/v2/jobs/{job['id']}/cancel") for job in jobs])
    for job in jobs:
        assert (await until(ada, job["id"], "canceled"))["completed_at"]


@pytest.mark.parametrize("path", ["", "/workflow", "/events"])
@pytest.mark.parametrize("job_id", ["nonsense", "00000000-0000-4000-8000-000000000000", "%00", "..%2f"])
async def test_unknown_jobs_read_as_not_found(ada: httpx.AsyncClient, job_id: str, path: str) -> None:
    assert refusal(await ada.get(f"/api/v2/jobs/{job_id}{path}")) == (404, "not_found")


async def test_foreign_jobs_read_as_not_found(ada: httpx.AsyncClient, eve: httpx.AsyncClient) -> None:
    job = await submit(ada, picture(105))
    done = await until(ada, job["id"], "succeeded")
    asset = done["outputs"][0]["id"]
    calls = [
        ("GET", f"/api/v2/jobs/{job['id']}"),
        ("GET", f"/api/v2/jobs/{job['id']}/workflow"),
        ("GET", f"/api/v2/jobs/{job['id']}/events"),
        ("POST", f"/api/v2/jobs/{job['id']}/cancel"),
        ("GET", f"/api/v2/assets/{asset}"),
        ("GET", f"/api/v2/assets/{asset}/content"),
        ("DELETE", f"/api/v2/assets/{asset}"),
    ]
    for method, path in calls:
        assert refusal(await eve.request(method, path)) == (404, "not_found"), path
    assert not (await eve.get("/api/v2/jobs")).json()["jobs"]
    reference = {"__type": "core/ASSET", "info": {"id": asset}}
    graph = {"1": {"class_type": "LoadImage", "inputs": {"image": reference}}}
    assert refusal(await eve.post("/api/v2/jobs", json={"workflow": graph})) == (422, "missing_asset")


@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": "Bearer nonsense"}, {"authorization": "Basic abc"}],
)
async def test_without_a_token_nothing_is_told(fleet: Fleet, headers: dict[str, str]) -> None:
    async with httpx.AsyncClient(base_url=fleet.stack.url, trust_env=False) as nobody:
        answer = await nobody.get("/api/v2/jobs", headers=headers)
        assert refusal(answer) == (401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"
        assert (await nobody.get("/api/v2/health")).json() == {"status": "ok"}


async def test_slot_tokens_open_the_same_account(fleet: Fleet) -> None:
    for token in (fleet.ada.token_one, fleet.ada.token_two):
        async with fleet.stack.client(token) as client:
            assert (await client.get("/api/v2/jobs")).status_code == 200


@pytest.mark.parametrize(
    ("query", "field"),
    [("limit=0", "limit"), ("limit=x", "limit"), ("status=odd", "status"), ("cursor=x", "page_token")],
)
async def test_bad_listings_are_refused_by_name(ada: httpx.AsyncClient, query: str, field: str) -> None:
    answer = await ada.get(f"/api/v2/jobs?{query}")
    assert answer.status_code == 422
    assert field in answer.json()["error"]["details"]["fields"]


async def test_pages_of_jobs_hold_each_job_once(eve: httpx.AsyncClient) -> None:
    submitted = [(await submit(eve, picture(), metadata={"n": str(n)}))["id"] for n in range(3)]
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await eve.get("/api/v2/jobs", params={"limit": 2, "cursor": cursor})).json()
        seen += [job["id"] for job in page["jobs"]]
        cursor = page["next_cursor"]
    assert seen == submitted[::-1]
    filtered = (await eve.get("/api/v2/jobs", params={"metadata[n]": "1"})).json()["jobs"]
    assert [job["id"] for job in filtered] == [submitted[1]]
    for job_id in submitted:  # Eve has no runner: these wait, and say why
        job = (await eve.get(f"/api/v2/jobs/{job_id}")).json()
        assert job["waiting_reason"].startswith("no_active_runner")
        await eve.post(f"/api/v2/jobs/{job_id}/cancel")


async def test_unknown_paths_and_methods_speak_the_dialect(ada: httpx.AsyncClient) -> None:
    assert refusal(await ada.get("/api/v2/nothing")) == (404, "not_found")
    answer = await ada.delete("/api/v2/jobs")
    assert refusal(answer) == (405, "method_not_allowed")
    assert answer.headers["x-request-id"]
    odd = await ada.get("/v1/nothing")
    assert (odd.status_code, odd.json()) == (404, {"status": 404, "message": "requested entity not found"})


async def test_the_workflow_comes_back_as_it_was(ada: httpx.AsyncClient) -> None:
    graph = picture(106)
    graph["1"]["_meta"] = {"title": "Größe 🎨"}
    job = await submit(ada, graph, extra_data={"api_key_comfy_org": "s3cret"})
    answer = await ada.get(f"/api/v2/jobs/{job['id']}/workflow")
    assert answer.json() == {"format": "api", "workflow": graph}
    assert "s3cret" not in answer.text + json.dumps(await until(ada, job["id"], "succeeded"))
