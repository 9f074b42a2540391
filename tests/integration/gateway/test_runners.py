"""`/v1/runner`: register, list, read, change, remove; exact shapes and messages."""

from typing import Any

import httpx
import pytest

from tests.integration.gateway.conftest import Fleet

FIELDS = {"id", "user_id", "name", "status", "endpoint", "tags", "headers", "created_at", "updated_at"}
BODY = {"name": "Studio 4090", "endpoint": "http://10.0.0.21:8188", "headers": {"X-Key": "s3cret"}, "tags": ["a", "b"]}


async def test_a_runner_lives_its_documented_life(eve: httpx.AsyncClient, fleet: Fleet) -> None:
    created = await eve.post("/v1/runner", json=BODY)
    assert created.status_code == 201
    runner = created.json()
    assert set(runner) == FIELDS
    assert {name: runner[name] for name in BODY} == BODY
    assert (runner["status"], runner["user_id"]) == ("active", fleet.eve.account_id)
    assert created.headers["location"] == f"/v1/runner/{runner['id']}"
    assert created.headers["cache-control"] == "no-store"
    assert (await eve.get(f"/v1/runner/{runner['id']}/")).json() == runner
    changed = await eve.put(f"/v1/runner/{runner['id']}", json={**runner, "status": "disabled", "tags": []})
    assert (changed.json()["status"], changed.json()["tags"], changed.json()["name"]) == ("disabled", [], BODY["name"])
    unchanged = await eve.put(f"/v1/runner/{runner['id']}")
    assert unchanged.json() == changed.json()
    listed = (await eve.get("/v1/runner", params={"status": "disabled"})).json()
    assert (listed["total"], listed["runners"]) == (1, [changed.json()])
    assert (await eve.get("/v1/runner", params={"page": 5})).json() == {"runners": [], "total": 1}
    assert (await eve.delete(f"/v1/runner/{runner['id']}")).status_code == 204
    assert (await eve.delete(f"/v1/runner/{runner['id']}")).status_code == 404


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": " "}, "name cannot be empty"),
        ({"name": "x" * 101}, "name must be at most 100 characters"),
        ({"endpoint": "ftp://a"}, "invalid endpoint URL format"),
        ({"endpoint": "http://169.254.169.254/"}, "invalid endpoint URL format"),
        ({"endpoint": "http://0.0.0.0"}, "invalid endpoint URL format"),
        ({"tags": ["a,b"]}, "tags must not contain commas"),
        ({"headers": {"X": 1}}, "headers must be an object with string values"),
        ({"headers": {"Host": "x"}}, "header not allowed: Host"),
        ({"headers": {"X Y": "x"}}, "invalid header name"),
        ({"headers": {"X-Key": "a\r\nb"}}, "invalid value for header X-Key"),
    ],
)
async def test_bad_runners_get_the_documented_message(eve: httpx.AsyncClient, change: Any, message: str) -> None:
    answer = await eve.post("/v1/runner", json={**BODY, **change})
    assert (answer.status_code, answer.json()) == (400, {"status": 400, "message": message})


async def test_bodies_must_be_small_json_objects(eve: httpx.AsyncClient) -> None:
    for content, status, message in [
        (b"{", 400, "request body is not valid JSON"),
        (b"[]", 400, "request body must be a JSON object"),
        (b'"' + b"x" * (1 << 20) + b'"', 413, "request body exceeds the limit of 1 MB"),
    ]:
        answer = await eve.post("/v1/runner", content=content)
        assert (answer.status_code, answer.json()) == (status, {"status": status, "message": message})


async def test_runners_of_others_do_not_exist(fleet: Fleet, ada: httpx.AsyncClient, eve: httpx.AsyncClient) -> None:
    mine = (await ada.get("/v1/runner")).json()["runners"][0]["id"]
    for call in (
        eve.get(f"/v1/runner/{mine}"),
        eve.put(f"/v1/runner/{mine}", json={"name": "x"}),
        eve.delete(f"/v1/runner/{mine}"),
        eve.get("/v1/runner/nonsense"),
    ):
        answer = await call
        assert (answer.status_code, answer.json()["message"]) == (404, "requested entity not found")


async def test_refusals_of_identity_are_verbatim(fleet: Fleet) -> None:
    async with httpx.AsyncClient(base_url=fleet.stack.url, trust_env=False) as nobody:
        answer = await nobody.get("/v1/runner")
        assert (answer.status_code, answer.json()) == (401, {"status": 401, "message": "Invalid token"})
