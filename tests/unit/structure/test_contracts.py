"""Generated code, locks and reasons agree with what they come from."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from comfyfleet.errors.v1.error_reason_pb2 import ErrorReason
from libs.rpc.status import CODE_OF_KIND

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent


def tree(folder: Path) -> dict[str, str]:
    """Every file below a folder, by relative path."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.suffix in {".py", ".pyi"}]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in paths}


def test_generated_code_is_fresh(tmp_path: Path) -> None:
    template = (ROOT / "buf.gen.yaml").read_text().replace("libs/gen", str(tmp_path / "gen"))
    (tmp_path / "buf.gen.yaml").write_text(template)
    done = subprocess.run(
        [str(BIN / "buf"), "generate", "--template", str(tmp_path / "buf.gen.yaml")],
        cwd=ROOT,
        env={"PATH": f"{BIN}:/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert tree(tmp_path / "gen") == tree(ROOT / "libs" / "gen"), "run `make gen`"


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_locks_hold_names_versions_and_hashes_alone(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    pinned = re.findall(r"^([a-z0-9._-]+(?:\[[a-z,]+\])?)==\S+", text, re.MULTILINE)
    entries = re.findall(r"^\S", text, re.MULTILINE)
    assert len(pinned) == len(entries)
    assert text.count("--hash=sha256:") >= len(pinned)


def test_every_reason_that_the_code_raises_stands_in_the_contract() -> None:
    known = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()}  # noqa: SIM118 - not a dict
    kinds = "|".join(kind.__name__ for kind in CODE_OF_KIND)
    raised = {
        match
        for folder in ("libs", "services")
        for path in (ROOT / folder).rglob("*.py")
        for match in re.findall(rf'(?:{kinds})\(\s*"([A-Z_]+)"', path.read_text())
    }
    assert raised
    assert raised <= known
