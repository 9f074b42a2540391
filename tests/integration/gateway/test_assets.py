"""`/api/v2/assets`: upload, hash, ranges, links, deletion."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.integration.gateway.conftest import Fleet
from tests.support.graphs import loading, sampled
from tests.support.http import hash_of, refusal, submit, until, upload


async def test_an_upload_is_stored_once_per_account(ada: httpx.AsyncClient, eve: httpx.AsyncClient) -> None:
    data = b"the same bytes"
    first = await upload(ada, data, expected_hash=hash_of(data), tags="input", expires_in="3600")
    again = await upload(ada, data)
    foreign = await upload(eve, data)
    assert [answer.status_code for answer in (first, again, foreign)] == [201, 200, 201]
    body = first.json()
    assert (body["hash"], body["size_bytes"], body["file_path"]) == (hash_of(data), len(data), "a.bin")
    assert (body["created_new"], again.json()["created_new"]) == (True, False)
    assert body["expires_at"] is not None


async def test_a_form_may_carry_the_file_first(ada: httpx.AsyncClient) -> None:
    boundary = "b"
    parts = [
        '--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nhello\r\n',
        '--b\r\nContent-Disposition: form-data; name="content_type"\r\n\r\ntext/plain\r\n',
        '--b\r\nContent-Disposition: form-data; name="file_path"\r\n\r\nx.txt\r\n--b--\r\n',
    ]
    headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
    answer = await ada.post("/api/v2/assets", content="".join(parts).encode(), headers=headers)
    assert (answer.status_code, answer.json()["content_type"]) == (201, "text/plain")


@pytest.mark.parametrize(
    ("fields", "status", "code", "field"),
    [
        ({"expected_hash": hash_of(b"other")}, 409, "hash_mismatch", ""),
        ({"expected_hash": "md5:1"}, 422, "invalid_request", "expected_hash"),
        ({"content_type": ""}, 422, "invalid_request", "content_type"),
        ({"file_path": ""}, 422, "invalid_request", "file_path"),
        ({"expires_in": "5"}, 422, "invalid_request", "expires_in"),
        ({"expires_in": "abc"}, 422, "invalid_request", "expires_in"),
    ],
)
async def test_bad_uploads_are_refused_by_name(
    ada: httpx.AsyncClient, fields: dict[str, str], status: int, code: str, field: str
) -> None:
    answer = await upload(ada, b"some bytes", **fields)
    assert refusal(answer) == (status, code)
    if field:
        assert field in answer.json()["error"]["details"]["fields"]


async def test_a_form_without_a_file_is_refused(ada: httpx.AsyncClient) -> None:
    form = {"content_type": (None, b"a/b"), "file_path": (None, b"x")}
    answer = await ada.post("/api/v2/assets", files=form)
    assert refusal(answer) == (422, "invalid_request")
    assert "file" in answer.json()["error"]["details"]["fields"]
    assert refusal(await ada.post("/api/v2/assets", json={})) == (422, "invalid_request")


@pytest.mark.parametrize("size", [(3 << 20) + 1, 5 << 20])
async def test_too_large_an_upload_is_refused(ada: httpx.AsyncClient, size: int) -> None:
    answer = await upload(ada, b"x" * size)
    assert refusal(answer) == (413, "payload_too_large")


async def test_an_upload_that_breaks_off_leaves_nothing(fleet: Fleet, ada: httpx.AsyncClient) -> None:
    data = b"y" * 300_000

    async def half() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n' + data
        raise ConnectionError("the client is gone")

    async with fleet.stack.client(fleet.ada.token) as client:
        with pytest.raises(ConnectionError):
            await client.post(
                "/api/v2/assets", content=half(), headers={"content-type": "multipart/form-data; boundary=b"}
            )
    assert (await ada.head(f"/api/v2/assets/by-hash/{hash_of(data)}")).status_code == 404
    assert (await upload(ada, b"still well")).status_code == 201


async def test_a_hash_is_a_key_to_ones_own_bytes_alone(ada: httpx.AsyncClient, eve: httpx.AsyncClient) -> None:
    data = b"only mine"
    await upload(ada, data)
    digest = hash_of(data)
    assert (await ada.head(f"/api/v2/assets/by-hash/{digest}")).status_code == 200
    assert (await eve.head(f"/api/v2/assets/by-hash/{digest}")).status_code == 404
    minted = await ada.post("/api/v2/assets/from-hash", json={"hash": digest, "file_path": "b.bin"})
    assert (minted.status_code, minted.json()["hash"]) == (201, digest)
    assert refusal(await eve.post("/api/v2/assets/from-hash", json={"hash": digest})) == (404, "blob_not_found")
    bad = await ada.post("/api/v2/assets/from-hash", json={"hash": "nonsense"})
    assert refusal(bad) == (422, "invalid_request")
    assert (await ada.head("/api/v2/assets/by-hash/nonsense")).status_code == 404


async def test_content_is_served_whole_and_in_ranges(ada: httpx.AsyncClient) -> None:
    data = bytes(range(256)) * 1000
    asset = (await upload(ada, data, content_type="image/png")).json()
    path = f"/api/v2/assets/{asset['id']}/content"
    whole = await ada.get(path)
    assert (whole.status_code, whole.content) == (200, data)
    assert whole.headers["content-type"] == "image/png"
    for header, wanted in [
        ("bytes=0-9", data[:10]),
        ("bytes=255990-", data[255990:]),
        ("bytes=-5", data[-5:]),
        ("bytes=10-1000000", data[10:]),
    ]:
        part = await ada.get(path, headers={"range": header})
        assert (part.status_code, part.content) == (206, wanted)
        assert part.headers["content-range"].endswith(f"/{len(data)}")
    beyond = await ada.get(path, headers={"range": "bytes=256000-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(data)}")
    assert (await ada.get(path, headers={"if-none-match": whole.headers["etag"]})).status_code == 304
    assert (await ada.head(path)).headers["content-length"] == str(len(data))


async def test_a_link_opens_one_asset_and_no_other(fleet: Fleet, ada: httpx.AsyncClient) -> None:
    one, two = (await upload(ada, b"one")).json(), (await upload(ada, b"two")).json()
    async with httpx.AsyncClient(trust_env=False) as nobody:
        assert (await nobody.get(one["url"])).content == b"one"
        swapped = one["url"].replace(one["id"], two["id"])
        assert refusal(await nobody.get(swapped)) == (404, "not_found")
        assert refusal(await nobody.get(one["url"] + "x")) == (404, "not_found")
        bare = one["url"].partition("?")[0]
        assert refusal(await nobody.get(bare)) == (401, "unauthorized")


async def test_an_empty_file_is_a_file(ada: httpx.AsyncClient) -> None:
    asset = (await upload(ada, b"")).json()
    assert asset["size_bytes"] == 0
    content = await ada.get(f"/api/v2/assets/{asset['id']}/content")
    assert (content.status_code, content.content) == (200, b"")


async def test_an_asset_is_deleted_once_and_its_twin_lives(ada: httpx.AsyncClient) -> None:
    one, two = (await upload(ada, b"twins")).json(), (await upload(ada, b"twins")).json()
    assert (await ada.delete(f"/api/v2/assets/{one['id']}")).status_code == 204
    assert refusal(await ada.delete(f"/api/v2/assets/{one['id']}")) == (404, "not_found")
    assert (await ada.get(f"/api/v2/assets/{two['id']}/content")).content == b"twins"


async def test_an_asset_in_use_cannot_be_deleted(fleet: Fleet, ada: httpx.AsyncClient) -> None:
    blocker = await submit(ada, sampled(60))
    await until(ada, blocker["id"], "running")
    asset = (await upload(ada, b"needed")).json()
    job = await submit(ada, loading({"__type": "core/ASSET", "info": {"id": asset["id"]}}))
    assert refusal(await ada.delete(f"/api/v2/assets/{asset['id']}")) == (409, "asset_in_use")
    for job_id in (job["id"], blocker["id"]):
        await ada.post(f"/api/v2/jobs/{job_id}/cancel")
        await until(ada, job_id, "canceled")
    assert (await ada.delete(f"/api/v2/assets/{asset['id']}")).status_code == 204


async def test_many_uploads_at_once_agree_on_one_blob(ada: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*[upload(ada, b"all at once") for _ in range(8)])
    assert {answer.json()["hash"] for answer in answers} == {hash_of(b"all at once")}
    assert len({answer.json()["id"] for answer in answers}) == 8
