"""The direction of imports, as docs/architecture.md promises it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SERVICES = sorted(path.name for path in (ROOT / "services").iterdir() if (path / "app.py").exists())


def imports_of(path: Path) -> Iterator[str]:
    """Full names of the modules that a file imports, late imports included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def files(*folders: str) -> list[Path]:
    """Python files below the folders, without generated code."""
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return [path for path in found if "gen" not in path.relative_to(ROOT).parts]


def offenders(paths: list[Path], *forbidden: str) -> list[str]:
    """Files that import what they must not."""
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in paths
        for name in imports_of(path)
        if any(name == word or name.startswith(f"{word}.") for word in forbidden)
    ]


def test_libs_know_nobody_above_them() -> None:
    assert not offenders(files("libs"), "services", "gateway", "deploy", "tests")


@pytest.mark.parametrize("service", SERVICES)
def test_services_know_neither_each_other_nor_what_is_above(service: str) -> None:
    others = [f"services.{name}" for name in SERVICES if name != service]
    assert not offenders(files(f"services/{service}"), *others, "gateway", "deploy", "tests")


@pytest.mark.parametrize("service", SERVICES)
def test_rules_are_pure(service: str) -> None:
    """`domain` imports the standard library and libs.errors alone."""
    path = ROOT / "services" / service / "domain.py"
    names = {name.partition(".")[0] for name in imports_of(path)}
    assert not names & {"asyncpg", "comfyfleet", "google", "grpc", "httpx", "pydantic", "services", "structlog"}
    assert not [name for name in imports_of(path) if name.startswith("libs.") and not name.startswith("libs.errors")]


def test_the_gateways_surface_knows_no_service() -> None:
    surface = [path for path in files("gateway") if "cli" not in path.relative_to(ROOT).parts]
    assert not offenders(surface, "services", "deploy", "tests")


def test_only_services_speak_sql() -> None:
    assert not offenders(files("gateway"), "asyncpg", "libs.sql")


def test_the_environment_is_read_at_the_edge_alone() -> None:
    """Settings and entry points read it; the supervisor passes it on."""
    allowed = ("deploy/local/", "gateway/cli/", "libs/runtime.py")
    found = [
        str(path.relative_to(ROOT))
        for path in files("libs", "services", "gateway", "deploy")
        if "os.environ" in path.read_text() or "os.getenv" in path.read_text()
    ]
    assert not [name for name in found if not name.startswith(allowed) and not name.endswith("__main__.py")]
