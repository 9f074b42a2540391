"""The commands about jobs, runners, accounts and settings, against a whole fleet."""

import json
from typing import Any

import pytest

from gateway.settings import GatewaySettings
from libs.settings import describe
from tests.integration.cli.conftest import Command, World
from tests.support.graphs import picture

COMMANDS = [
    *("run", "jobs", "job", "cancel", "up", "down", "status", "runners", "config", "simulate-runner"),
    *(f"runner {word}" for word in ("add", "show", "enable", "disable", "remove")),
    *(f"account {word}" for word in ("create", "list")),
    *(f"token {word}" for word in ("create", "list", "revoke", "rotate")),
    *(f"managed-runner {word}" for word in ("add", "list")),
]


async def test_jobs_are_listed_shown_and_their_workflow_printed(world: World, command: Command) -> None:
    made = (await command("run", command.write("w.json", picture(color=5)), "--json")).json
    listed = (await command("jobs", "--status", "succeeded", "--limit", "100", "--json")).json["jobs"]
    assert made["id"] in [job["id"] for job in listed]
    assert made["id"] in (await command("jobs")).out
    shown = await command("job", made["id"], "--out", "again")
    assert "succeeded" in shown.out
    assert len(list((command.folder / "again").iterdir())) == 1
    assert (await command("job", made["id"], "--workflow")).json == picture(color=5)
    assert (await command("cancel", made["id"])).out.strip() == "succeeded"


async def test_unknown_jobs_and_states_are_refused(world: World, command: Command) -> None:
    unknown = await command("job", "2f6e4c1a-0000-4000-8000-000000000000")
    assert (unknown.code, "not_found" in unknown.err) == (1, True)
    assert (await command("jobs", "--status", "odd")).code == 1


async def test_a_runner_is_added_changed_and_removed(world: World, command: Command) -> None:
    endpoint = "http://127.0.0.1:9"
    arguments = ("--name", "studio", "--endpoint", endpoint, "--tag", "gpu", "--header", "X-Key: hidden", "--json")
    added = (await command("runner", "add", *arguments)).json
    assert (added["name"], added["endpoint"], added["tags"]) == ("studio", endpoint, ["gpu"])
    runner_id = added["id"]
    assert "disabled" in (await command("runner", "disable", runner_id)).out
    shown = await command("runner", "show", runner_id)
    assert "disabled" in shown.out
    assert "hidden" not in shown.out
    assert "active" in (await command("runner", "enable", runner_id)).out
    assert runner_id in (await command("runners")).out
    assert (await command("runner", "remove", runner_id)).code == 0
    listed = (await command("runners", "--json")).json["runners"]
    assert runner_id not in [runner["id"] for runner in listed]
    assert (await command("runner", "show", runner_id)).code == 1


async def test_health_is_shown_for_the_fleet_of_home(world: World, command: Command) -> None:
    home = command.folder / ".comfyfleet"
    home.mkdir()
    state = {"processes": [_external("runner_registry", world.stack.registry.address)]}
    (home / "state.json").write_text(json.dumps(state))
    (home / "credentials.env").write_text(f"COMFYFLEET_URL={world.stack.url}\nCOMFYFLEET_TOKEN={world.account.token}\n")
    listed = (await command("runners", "--json", COMFYFLEET_URL="", COMFYFLEET_TOKEN="")).json["runners"]
    health = next(runner["health"] for runner in listed if runner["id"] == world.runner_id)
    assert health["state"] == "online"


async def test_an_operator_makes_accounts_tokens_and_managed_runners(world: World, command: Command) -> None:
    registry = ("--registry", world.stack.registry.address)
    made = (await command("account", "create", "--name", "Bea", "--tier", "pro", "--json", *registry)).json
    assert set(made) == {"account_id", "token", "token1", "token2"}
    accounts = (await command("account", "list", "--json", *registry)).json["accounts"]
    assert {"account_id": made["account_id"], "name": "Bea", "tier": "pro"}.items() <= accounts[0].items()
    assert (await command("runners", "--json", COMFYFLEET_TOKEN=made["token1"])).json == {"runners": []}
    arguments = ("--name", "shared", "--endpoint", "http://127.0.0.1:9", "--runner-type", "pro", "--tag", "a100")
    managed = (await command("managed-runner", "add", *arguments, "--json", *registry)).json
    assert (managed["name"], managed["type"], managed["tags"]) == ("shared", "pro", ["a100"])
    assert managed["id"] in (await command("managed-runner", "list", *registry)).out


async def test_tokens_are_made_rotated_and_revoked(world: World, command: Command) -> None:
    options = ("--registry", world.stack.registry.address, "--account", world.account.account_id)
    made = (await command("token", "create", "--name", "laptop", "--days", "1", "--json", *options)).json
    assert made["expires_at"]
    assert (await command("jobs", COMFYFLEET_TOKEN=made["token"])).code == 0
    rotated = (await command("token", "rotate", "--slot", "2", "--json", *options)).json
    assert (await command("jobs", COMFYFLEET_TOKEN=rotated["token"])).code == 0
    assert (await command("token", "revoke", made["token_id"], *options[:2])).code == 0
    listed = (await command("token", "list", "--json", *options)).json["tokens"]
    assert made["token_id"] not in [token["token_id"] for token in listed]


async def test_operating_needs_the_operators_key(world: World, command: Command) -> None:
    registry = ("--registry", world.stack.registry.address)
    wrong = await command("account", "list", *registry, COMFYFLEET_ADMIN_KEY="wrong-key")
    assert (wrong.code, "wrong-key" in wrong.err) == (1, False)
    assert (await command("account", "list", *registry, COMFYFLEET_ADMIN_KEY="")).code == 2
    assert (await command("account", "create", "--name", "x", "--tier", "gold", *registry)).code == 2


async def test_every_setting_is_in_the_help(command: Command) -> None:
    told = await command("config", "--help")
    listed = (await command("config", "--json")).json["settings"]
    names = [row["variable"] for row in listed]
    assert len(names) == len(set(names))
    assert all(name in told.out for name in names)
    assert {row.variable for row in describe([GatewaySettings])} <= set(names)


@pytest.mark.parametrize("words", COMMANDS)
async def test_the_help_of_every_command_has_an_example(command: Command, words: str) -> None:
    told = await command(*words.split(), "--help")
    assert told.code == 0
    assert "Example: " in told.out
    assert f"comfyfleet {words.split(maxsplit=1)[0]}" in told.out


def _external(name: str, address: str) -> dict[str, Any]:
    return {"name": name, "pid": None, "address": address, "state": "external"}
