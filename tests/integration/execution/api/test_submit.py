"""SubmitJob over real gRPC and PostgreSQL: what is accepted, what is refused, and what a key is worth."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest

from comfyfleet.execution.v1 import execution_service_pb2, job_pb2
from libs.errors import AlreadyExists, Exhausted, InvalidArgument, ServiceError
from services.execution.domain import RunnerView
from tests.support.execution import Replicas, StandingFleet, Tenant, asset_input, graph

REFUSE = execution_service_pb2.DUPLICATE_POLICY_REFUSE


def a_runner(**more: Any) -> RunnerView:
    """A managed runner that every pro account may use."""
    values = {
        "runner_id": uuid4(),
        "account_id": None,
        "runner_type": "pro",
        "tags": frozenset[str](),
        "active": True,
        "online": True,
        "node_classes": frozenset({"EmptyImage", "SaveImage"}),
        **more,
    }
    return RunnerView(**values)


async def test_an_accepted_job_waits_and_keeps_its_workflow(ann: Tenant) -> None:
    text = b'{ "1": {"class_type":"A","inputs":{"x": 1.50}} }'
    job = await ann.submit(text, priority=3, labels={"team": "red"})
    assert job.state == job_pb2.JOB_STATE_QUEUED
    assert (job.queue_position, job.priority, job.labels["team"], job.last_sequence) == (0, 3, "red", 1)
    assert job.waiting_reason.startswith("no_active_runner: ")
    request = execution_service_pb2.GetJobWorkflowRequest(job_id=job.job_id)
    assert (await ann.jobs.GetJobWorkflow(request)).workflow == text


async def test_the_position_counts_own_jobs_ahead(ann: Tenant, bob: Tenant) -> None:
    await bob.submit()
    first, second = await ann.submit(), await ann.submit()
    urgent = await ann.submit(priority=1)
    assert (await ann.get(first.job_id)).queue_position == 1
    assert (await ann.get(second.job_id)).queue_position == 2
    assert (await ann.get(urgent.job_id)).queue_position == 0


@pytest.mark.parametrize(
    ("workflow", "reason"),
    [
        (b"not json", "WORKFLOW_INVALID"),
        (b"[]", "WORKFLOW_INVALID"),
        (b'{"nodes": [], "links": []}', "WORKFLOW_FORMAT_UI"),
        (b'{"1": {"class_type": "A", "inputs": {"x": ["1", 0]}}}', "WORKFLOW_INVALID"),
        (b'{"1": {"class_type": "A", "inputs": {"x": ["9", 0]}}}', "WORKFLOW_INVALID"),
        (b'{"1": {"class_type": "A", "inputs": {}}}' + b" " * (16 << 20), "WORKFLOW_TOO_LARGE"),
        (json.dumps(graph(image=asset_input(str(uuid4())))).encode(), "ASSET_MISSING"),
        (json.dumps(graph(image=asset_input("no id"))).encode(), "ASSET_MISSING"),
    ],
)
async def test_a_bad_graph_is_refused_and_its_key_stays_free(ann: Tenant, workflow: bytes, reason: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await ann.submit(workflow, request_id="key")
    assert refused.value.reason == reason
    again = await ann.submitted(request_id="key", duplicate_policy=REFUSE)
    assert not again.replayed


async def test_a_missing_asset_is_named_with_its_node(ann: Tenant) -> None:
    wanted = str(uuid4())
    with pytest.raises(InvalidArgument) as refused:
        await ann.submit(graph(image=[1, {"deep": asset_input(wanted)}]))
    assert refused.value.metadata["asset_id"] == wanted
    assert refused.value.metadata["node_id"] == "1"


async def test_foreign_and_expired_assets_are_missing(ann: Tenant, bob: Tenant) -> None:
    foreign = (await bob.upload(b"bytes of bob")).asset.asset_id
    with pytest.raises(InvalidArgument, match="no asset"):
        await ann.submit(graph(image=asset_input(foreign)))
    own = (await ann.upload(b"bytes of ann")).asset.asset_id
    assert (await ann.submit(graph(image=asset_input(own)))).state == job_pb2.JOB_STATE_QUEUED


async def test_unknown_node_classes_are_named_when_every_catalogue_is_known(place: Replicas) -> None:
    fleet = StandingFleet([a_runner()])
    ann = await place.tenant(await place.start(fleet))
    with pytest.raises(InvalidArgument) as refused:
        await ann.submit({"7": {"class_type": "Nobody", "inputs": {}}})
    faults = json.loads(refused.value.metadata["node_errors"])
    assert faults == {"7": [{"field": "class_type", "reason": "unknown_node_class"}]}
    fleet.views.append(a_runner(node_classes=None))
    assert (await ann.submit({"7": {"class_type": "Nobody", "inputs": {}}})).job_id


@pytest.mark.parametrize(
    "more",
    [
        {"requirements": job_pb2.Requirements(runner_id="x")},
        {"requirements": job_pb2.Requirements(tags=["a\0b"])},
        {"labels": {"a": "\0"}},
        {"request_id": "\0"},
        {"request_id": "x" * 256},
        {"priority": 101},
        {"extra_data": {"other": "x"}},
    ],
)
async def test_bad_fields_are_refused(ann: Tenant, more: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await ann.submit(**more)
    assert refused.value.reason == "INVALID_FIELD"


async def test_strange_text_in_a_graph_is_refused_not_an_internal_error(ann: Tenant) -> None:
    for text in (r'{"\ud800": {"class_type": "A", "inputs": {}}}', r'{"1": {"class_type": "\u0000", "inputs": {}}}'):
        with pytest.raises(InvalidArgument):
            await ann.submit(text.encode())


async def test_the_same_key_and_body_give_the_first_job_again(ann: Tenant, bob: Tenant) -> None:
    first = await ann.submitted(request_id="key")
    again = await ann.submitted(request_id="key", extra_data={"api_key_comfy_org": "secret"})
    assert (again.job.job_id, again.replayed) == (first.job.job_id, True)
    assert not (await bob.submitted(request_id="key")).replayed


async def test_another_body_or_the_refuse_policy_refuse_a_used_key(ann: Tenant) -> None:
    first = await ann.submit(request_id="key")
    for more in ({"priority": 1}, {"duplicate_policy": REFUSE}, {"workflow": graph(width=9)}):
        with pytest.raises(AlreadyExists) as refused:
            await ann.submit(request_id="key", **more)
        assert refused.value.metadata["job_id"] == first.job_id


async def test_concurrent_duplicates_make_one_job(ann: Tenant) -> None:
    answers = await asyncio.gather(*(ann.submitted(request_id="key") for _ in range(20)))
    assert len({answer.job.job_id for answer in answers}) == 1
    assert sum(not answer.replayed for answer in answers) == 1


async def test_concurrent_duplicates_under_refuse_make_one_job(ann: Tenant) -> None:
    calls = (ann.submitted(request_id="key", duplicate_policy=REFUSE) for _ in range(10))
    answers = await asyncio.gather(*calls, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, AlreadyExists)]
    assert len(refused) == 9


async def test_the_queue_limit_holds_under_concurrency_and_frees_the_key(place: Replicas) -> None:
    ann = await place.tenant(await place.start(open_jobs_per_account=3))
    calls = (ann.submit(request_id=f"key {number}") for number in range(8))
    answers = await asyncio.gather(*calls, return_exceptions=True)
    accepted = [answer for answer in answers if isinstance(answer, job_pb2.Job)]
    refused = [answer for answer in answers if isinstance(answer, Exhausted)]
    assert (len(accepted), len(refused)) == (3, 5)
    assert {error.reason for error in refused} == {"QUEUE_FULL"}
    assert all(error.retry_after for error in refused)
    await ann.cancel(accepted[0].job_id)
    free = next(n for n, answer in enumerate(answers) if isinstance(answer, Exhausted))
    assert not (await ann.submitted(request_id=f"key {free}")).replayed


async def test_a_big_graph_is_taken(ann: Tenant) -> None:
    chain = {str(n): {"class_type": "A", "inputs": {"x": [str(n - 1), 0]} if n else {}} for n in range(10_000)}
    job = await ann.submit(chain)
    assert job.state == job_pb2.JOB_STATE_QUEUED


async def test_a_hostile_graph_gets_an_error_that_fits(ann: Tenant) -> None:
    many = {f"{n:0250}": {"class_type": "A", "inputs": {"x" * 5000: ["none", 0]}} for n in range(1000)}
    with pytest.raises(ServiceError) as refused:
        await ann.submit(many)
    assert refused.value.reason == "WORKFLOW_INVALID"
