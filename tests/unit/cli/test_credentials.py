"""Who a command speaks to."""

from pathlib import Path

import pytest

from deploy.local.home import Home
from gateway.cli.credentials import connection, local_registry, operator, owner
from gateway.cli.errors import CommandFailed, ExitCode
from gateway.cli.headers import parse


@pytest.fixture
def home(tmp_path: Path) -> Path:
    known = {"COMFYFLEET_URL": "http://home/", "COMFYFLEET_TOKEN": "t", "COMFYFLEET_ACCOUNT": "a"}
    Home(tmp_path).write_credentials(known)
    return tmp_path


def test_what_is_given_counts_and_home_completes_it(home: Path) -> None:
    assert connection(home, "", "").url == "http://home"
    assert connection(home, "http://other", "").token == "t"
    assert connection(home, "http://other", "mine").url == "http://other"
    assert owner(home, "") == "a"
    assert owner(home, "b") == "b"


def test_secrets_are_not_in_reprs(home: Path) -> None:
    assert "secret" not in repr(connection(home, "", "secret"))
    assert "secret" not in repr(operator(home, "localhost:1", "secret"))


def test_nothing_known_is_wrong_usage_with_advice(tmp_path: Path) -> None:
    for missing in (
        lambda: connection(tmp_path, "", ""),
        lambda: operator(tmp_path, "", ""),
        lambda: owner(tmp_path, ""),
    ):
        with pytest.raises(CommandFailed) as failed:
            missing()
        assert failed.value.code is ExitCode.USAGE
        assert any("comfyfleet up" in line for line in failed.value.details)


def test_a_fleet_that_does_not_run_is_not_asked_for_health(home: Path) -> None:
    assert local_registry(home, "", "") is None


def test_headers_are_parsed_and_a_bad_one_is_not_repeated() -> None:
    assert parse(["Authorization: Bearer a:b", "X-Empty:"]) == {"Authorization": "Bearer a:b", "X-Empty": ""}
    with pytest.raises(CommandFailed, match="number 2") as failed:
        parse(["A: b", "secret"])
    assert "secret" not in failed.value.message
