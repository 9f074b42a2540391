"""How patient dispatch is."""

from datetime import timedelta

from pydantic import Field

from libs.settings import Settings


class DispatchSettings(Settings):
    """Times in seconds."""

    registry_address: str = Field("127.0.0.1:7001", description="host:port of runner_registry")
    allow_private_endpoints: bool = Field(True, description="whether runners may have private and loopback addresses")
    lease_seconds: float = Field(
        10, ge=1, description="how long a runner stays with a replica that no longer renews its lease"
    )
    runner_lost_seconds: float = Field(
        30, gt=0, description="how long a job waits for a runner that does not answer before it goes elsewhere"
    )
    max_attempts: int = Field(3, ge=1, le=20, description="how often a job is tried when runners fail")
    submit_settle_seconds: float = Field(
        10, gt=0, description="how long a prompt whose submission got no answer is looked for before it is sent again"
    )
    job_poll_seconds: float = Field(
        1, gt=0, description="how often waiting and cancelled jobs are looked for when no wake-up comes"
    )
    job_poll_seconds_without_bus: float = Field(0.25, gt=0, description="the same while NATS is away")
    history_poll_seconds: float = Field(
        2, gt=0, description="how often a runner is asked for the end of its job while its websocket is quiet"
    )
    cancel_seconds: float = Field(
        60, gt=0, description="how long a runner may take to stop a cancelled prompt before the job ends without it"
    )
    catalogue_seconds: float = Field(600, gt=0, description="how often a runner is asked for its node classes")
    output_copies: int = Field(4, ge=1, description="results of one job that are copied at the same time")
    preview_max_bytes: int = Field(512 << 10, ge=0, description="larger previews are not passed on")

    @property
    def lease_time(self) -> timedelta:
        """How long a lease lasts."""
        return timedelta(seconds=self.lease_seconds)
