"""What an operator can set for runner_registry, with defaults."""

from pydantic import Field, SecretStr

from libs.settings import BackendSettings


class RegistrySettings(BackendSettings):
    """Environment variables with the prefix COMFYFLEET_."""

    encryption_key: SecretStr = Field(
        description="secrets of at least 32 characters that encrypt runner headers at rest; the first encrypts, all "
        "decrypt; separated by commas"
    )
    admin_key: SecretStr = Field(SecretStr(""), description="the operator's credential; empty: no operator calls")
    access_token_seconds: int = Field(300, ge=30, le=3600, description="how long a signed identity works, in seconds")
    allow_private_endpoints: bool = Field(True, description="whether runners may have private and loopback addresses")
    tier_free_runners: int = Field(3, ge=0, description="runners an account of tier free may have; 0: unlimited")
    tier_pro_runners: int = Field(25, ge=0, description="runners an account of tier pro may have; 0: unlimited")
    tier_plus_runners: int = Field(100, ge=0, description="runners an account of tier plus may have; 0: unlimited")
    tier_enterprise_runners: int = Field(0, ge=0, description="runners of tier enterprise; 0: unlimited")
    probe_interval_seconds: float = Field(5, gt=0, description="between two probes of a runner")
    probe_offline_interval_seconds: float = Field(10, gt=0, description="between two probes of an offline runner")
    probe_timeout_seconds: float = Field(5, gt=0, description="after which a probe counts as missed")
    probe_offline_after: int = Field(3, ge=1, description="missed probes in a row that make a runner offline")
    probe_offline_after_busy: int = Field(10, ge=1, description="the same while the runner has prompts to execute")
    probe_concurrency: int = Field(64, ge=1, description="probes under way at once per process")

    @property
    def runner_limits(self) -> dict[str, int]:
        """Runners per tier; 0 means unlimited."""
        return {
            "free": self.tier_free_runners,
            "pro": self.tier_pro_runners,
            "plus": self.tier_plus_runners,
            "enterprise": self.tier_enterprise_runners,
        }
