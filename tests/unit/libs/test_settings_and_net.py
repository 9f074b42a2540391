"""Settings from the environment, and addresses."""

import os
from collections.abc import Iterator

import pytest
from pydantic import Field, SecretStr

from libs.net import HostPort
from libs.rpc.tls import TlsFiles
from libs.settings import BackendSettings, Settings, describe


class Sample(Settings):
    """Two fields."""

    queue_limit: int = Field(5, gt=0, description="most jobs")
    sample_key: SecretStr = Field(description="a secret")


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    before = dict(os.environ)
    changes: dict[str, str] = {}
    yield changes
    os.environ.clear()
    os.environ.update(before)


def test_a_wrong_variable_is_named_and_its_value_is_not(environment: dict[str, str]) -> None:
    os.environ.update({"COMFYFLEET_QUEUE_LIMIT": "s3cret-value"})
    with pytest.raises(SystemExit) as caught:
        Sample.from_environment()
    text = str(caught.value)
    assert "COMFYFLEET_QUEUE_LIMIT" in text
    assert "COMFYFLEET_SAMPLE_KEY" in text
    assert "s3cret-value" not in text


def test_variables_become_fields_and_secrets_stay_hidden(environment: dict[str, str]) -> None:
    os.environ.update({"COMFYFLEET_QUEUE_LIMIT": "9", "COMFYFLEET_SAMPLE_KEY": "hush"})
    settings = Sample.from_environment()
    assert (settings.queue_limit, settings.sample_key.get_secret_value()) == (9, "hush")
    assert "hush" not in repr(settings)


def test_plain_names_of_the_backends_are_read_too(environment: dict[str, str]) -> None:
    os.environ.update({"DATABASE_URL": "postgresql://x", "COMFYFLEET_IDENTITY_KEY": "k" * 32})
    os.environ.pop("COMFYFLEET_DATABASE_URL", None)
    assert BackendSettings.from_environment().database_url.get_secret_value() == "postgresql://x"


def test_every_setting_is_described_once() -> None:
    rows = list(describe([Sample, Sample, BackendSettings]))
    names = [row.variable for row in rows]
    assert len(names) == len(set(names))
    assert all(row.description for row in rows)
    assert next(row for row in rows if row.variable == "COMFYFLEET_SAMPLE_KEY").default == "required"


@pytest.mark.parametrize(
    ("text", "host", "port", "loopback"),
    [
        ("127.0.0.1:80", "127.0.0.1", 80, True),
        ("[::1]:0", "::1", 0, True),
        ("localhost:1", "localhost", 1, True),
        ("0.0.0.0:1", "0.0.0.0", 1, False),
        ("10.1.2.3:1", "10.1.2.3", 1, False),
        ("fleet.example:443", "fleet.example", 443, False),
    ],
)
def test_addresses_are_read_and_written(text: str, host: str, port: int, *, loopback: bool) -> None:
    address = HostPort.parse(text)
    assert (address.host, address.port, address.is_loopback, str(address)) == (host, port, loopback, text)


@pytest.mark.parametrize("text", ["", "host", ":80", "host:", "host:99999", "host:x"])
def test_other_texts_are_no_addresses(text: str) -> None:
    with pytest.raises(ValueError, match="not a host:port"):
        HostPort.parse(text)


def test_tls_files_come_together_or_not_at_all() -> None:
    assert TlsFiles.of("", "", "") is None
    assert TlsFiles.of("a", "b", "c") == TlsFiles("a", "b", "c")
    with pytest.raises(ValueError, match="together"):
        TlsFiles.of("a", "", "c")
