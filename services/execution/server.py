"""ExecutionService over gRPC: convert, call the use case, convert."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from comfyfleet.execution.v1 import execution_service_pb2 as pb
from comfyfleet.execution.v1.execution_service_pb2_grpc import ExecutionServiceServicer
from libs.paging import page_size
from libs.rpc.context import current_principal
from services.execution import convert
from services.execution.usecases_jobs import CancelJob, ReadJobs
from services.execution.usecases_submit import SubmitJob
from services.execution.watch import WatchJobs


class ExecutionServer(ExecutionServiceServicer):
    """Submit, look at, watch and cancel jobs."""

    def __init__(self, submitting: SubmitJob, reading: ReadJobs, cancelling: CancelJob, watching: WatchJobs) -> None:
        self._submitting = submitting
        self._reading = reading
        self._cancelling = cancelling
        self._watching = watching

    async def SubmitJob(self, request: pb.SubmitJobRequest, context: Any) -> pb.SubmitJobResponse:
        """Accept a workflow."""
        wish = convert.submission(request, current_principal())
        job_id, replayed = await self._submitting.submit(wish)
        view = await self._reading.get(wish.account_id, job_id)
        return pb.SubmitJobResponse(job=convert.job_view(view), replayed=replayed)

    async def GetJob(self, request: pb.GetJobRequest, context: Any) -> pb.GetJobResponse:
        """One job."""
        account_id = convert.account_of(current_principal())
        view = await self._reading.get(account_id, convert.uuid(request.job_id))
        return pb.GetJobResponse(job=convert.job_view(view))

    async def GetJobWorkflow(self, request: pb.GetJobWorkflowRequest, context: Any) -> pb.GetJobWorkflowResponse:
        """The graph that a job runs."""
        account_id = convert.account_of(current_principal())
        workflow = await self._reading.workflow(account_id, convert.uuid(request.job_id))
        return pb.GetJobWorkflowResponse(workflow=workflow)

    async def ListJobs(self, request: pb.ListJobsRequest, context: Any) -> pb.ListJobsResponse:
        """The account's jobs, newest first."""
        account_id = convert.account_of(current_principal())
        start = convert.page_start(request.page_token)
        size = page_size(request.page_size, most=convert.MAX_PAGE_SIZE)
        page, more = await self._reading.page(account_id, convert.list_filter(request), start, size)
        token = convert.page_token(page[-1][0].create_time, page[-1][0].job_id) if more else ""
        jobs = (convert.job(job, queue) for job, queue in page)
        return pb.ListJobsResponse(jobs=jobs, next_page_token=token)

    async def CancelJob(self, request: pb.CancelJobRequest, context: Any) -> pb.CancelJobResponse:
        """Ask for an end."""
        account_id = convert.account_of(current_principal())
        job_id = convert.uuid(request.job_id)
        await self._cancelling.cancel(account_id, job_id)
        view = await self._reading.get(account_id, job_id)
        return pb.CancelJobResponse(job=convert.job_view(view))

    async def WatchJob(self, request: pb.WatchJobRequest, context: Any) -> AsyncIterator[pb.WatchJobResponse]:
        """Follow a job to its end."""
        account_id = convert.account_of(current_principal())
        after = request.after_sequence if request.HasField("after_sequence") else None
        job_id = convert.uuid(request.job_id)
        async with aclosing(self._watching.watch(account_id, job_id, after, request.previews)) as updates:
            async for update in updates:
                yield convert.watch_update(update)
