"""What an operator can set for the gateway, with defaults."""

from pydantic import Field, SecretStr

from libs.settings import ServiceSettings


class GatewaySettings(ServiceSettings):
    """Environment variables with the prefix COMFYFLEET_."""

    listen: str = Field("127.0.0.1:8080", description="host:port of the HTTP server")
    registry_address: str = Field("127.0.0.1:7001", description="host:port of runner_registry")
    execution_address: str = Field("127.0.0.1:7002", description="host:port of execution")
    identity_key: SecretStr = Field(description="shared secret that signs identities between services")
    url_signing_key: SecretStr = Field(description="secret that signs links to outputs and assets")
    public_url: str = Field("", description="scheme and host for links; empty: those of each request")
    link_seconds: int = Field(300, ge=60, le=3600, description="how long a link to an asset works, in seconds")
    token_cache_seconds: float = Field(
        10,
        ge=0,
        le=10,
        description="how long a good token is remembered; a revoked one works that much longer",
    )
    token_cache_size: int = Field(10_000, ge=1, description="how many tokens are remembered at most")
    max_json_bytes: int = Field(
        17 * 1024 * 1024, ge=1024, description="largest JSON body in bytes; a workflow has to fit in it"
    )
    max_upload_bytes: int = Field(
        512 * 1024 * 1024, ge=1024, description="largest multipart body in bytes, refused before it is read"
    )
    streams_per_account: int = Field(1000, ge=1, description="event streams one account may have open per process")
    heartbeat_seconds: float = Field(15, gt=0, description="silence after which an event stream sends a comment")
