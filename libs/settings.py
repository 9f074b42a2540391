"""Settings: environment variables with one prefix, validated once, at the entry point."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "COMFYFLEET_"


class Settings(BaseSettings):
    """Base of every settings class. A field `queue_limit` is the variable COMFYFLEET_QUEUE_LIMIT."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", populate_by_name=True)

    @classmethod
    def from_environment(cls) -> Self:
        """Read the environment. SystemExit that names every variable which is missing or wrong, without its value."""
        nothing: dict[str, Any] = {}
        try:
            return cls(**nothing)
        except ValidationError as error:
            wrong = [f"  {PREFIX}{_variable(item['loc'])}: {item['msg']}" for item in error.errors()]
            raise SystemExit("settings are not complete:\n" + "\n".join(wrong)) from None


class ServiceSettings(Settings):
    """What every process of the fleet takes."""

    log_level: str = Field("info", description="debug, info, warning or error")
    log_json: bool = Field(True, description="one JSON object per line; false for a terminal")
    metrics_listen: str = Field("", description="host:port for /metrics, /livez and /readyz; empty: none")
    otlp_endpoint: str = Field(
        "", description="where traces go by OTLP/gRPC, e.g. http://localhost:4317; empty: nowhere"
    )
    drain_seconds: float = Field(10, ge=0, description="how long a stopping process lets calls and streams end")
    tls_certificate: str = Field(
        "", description="PEM file with this process's certificate; enables mTLS between services"
    )
    tls_key: str = Field("", description="PEM file with this process's private key")
    tls_ca: str = Field("", description="PEM file with the authority that signed the services' certificates")


class BackendSettings(ServiceSettings):
    """What every gRPC service takes on top."""

    listen: str = Field("127.0.0.1:0", description="host:port of the gRPC server; port 0 takes a free one")
    database_url: SecretStr = Field(
        validation_alias=AliasChoices("COMFYFLEET_DATABASE_URL", "DATABASE_URL", "database_url"),
        description="PostgreSQL; also read from DATABASE_URL",
    )
    nats_url: SecretStr = Field(
        SecretStr(""),
        validation_alias=AliasChoices("COMFYFLEET_NATS_URL", "NATS_URL", "nats_url"),
        description="NATS; also read from NATS_URL; empty: none, everything works but slower",
    )
    identity_key: SecretStr = Field(description="secret of at least 32 bytes that signs identities between services")
    database_connections: int = Field(10, ge=2, description="connections to PostgreSQL per process")
    max_message_bytes: int = Field(20 << 20, ge=4 << 20, description="largest gRPC message taken, in bytes")


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One line of `comfyfleet config --help`."""

    variable: str
    type: str
    default: str
    description: str


def describe(classes: Iterable[type[Settings]]) -> Iterator[SettingRow]:
    """Every variable of the classes, each once, in the order of the classes."""
    seen: set[str] = set()
    for settings_class in classes:
        for name, field in settings_class.model_fields.items():
            variable = PREFIX + name.upper()
            if variable not in seen:
                seen.add(variable)
                yield SettingRow(variable, _type(field.annotation), _default(field), field.description or "")


def _variable(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location)).removeprefix(PREFIX).upper()


def _type(annotation: Any) -> str:
    return "secret" if annotation is SecretStr else getattr(annotation, "__name__", str(annotation))


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    return "" if isinstance(field.default, SecretStr) else str(field.default)
