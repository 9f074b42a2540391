"""Settings of execution: environment variables with the prefix COMFYFLEET_."""

from pydantic import Field

from libs.settings import BackendSettings
from services.execution.dispatch.settings import DispatchSettings

DAY = 86_400.0


class ExecutionSettings(BackendSettings, DispatchSettings):
    """Everything that can be set. Times in seconds, sizes in bytes."""

    blob_store_url: str = Field(
        description="where bytes are kept: file:///folder, s3://bucket/prefix, gs://bucket, az://container"
    )
    workflow_max_bytes: int = Field(16 << 20, gt=0, description="largest workflow taken, in bytes")
    workflow_max_nodes: int = Field(20_000, gt=0, description="most nodes of a workflow")
    workflow_max_depth: int = Field(100, gt=3, description="deepest nesting of a workflow's JSON")
    open_jobs_per_account: int = Field(1000, gt=0, description="open jobs that an account may have at once")
    queue_deadline: float = Field(DAY, gt=0, description="seconds a job may wait for a runner, then it expires")
    job_retention: float = Field(7 * DAY, gt=0, description="seconds until an accepted job may be forgotten")
    asset_retention: float = Field(
        30 * DAY, ge=0, description="seconds an upload is kept when its caller does not say; 0: for ever"
    )
    upload_max_bytes: int = Field(512 << 20, gt=0, description="largest upload taken, in bytes")
    preview_cache_bytes: int = Field(64 << 20, gt=0, description="memory for the last previews of running jobs")
    extra_data_jobs: int = Field(10_000, gt=0, description="jobs whose extra_data is kept in memory")
    watch_progress_seconds: float = Field(0.25, gt=0, description="least time between two progress messages")
    watch_queue_seconds: float = Field(1, gt=0, description="how often a waiting job's watcher looks for its turn")
    watch_table_seconds: float = Field(5, gt=0, description="how often a watcher asks the table although NATS is up")
    watch_table_seconds_without_nats: float = Field(1, gt=0, description="the same while NATS is down")
    sweep_seconds: float = Field(10, gt=0, description="pause between two rounds of tidying up")
    orphan_grace: float = Field(3600, ge=0, description="seconds that bytes without a record are left alone")
