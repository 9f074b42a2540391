"""Names and files of results."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from gateway.cli.errors import CommandFailed
from gateway.cli.outputs import candidates, safe_name, save


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("cat.png", "cat.png"),
        ("a/b/cat.png", "cat.png"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\cat.png", "cat.png"),
        ("C:cat.png", "cat.png"),
        (".bashrc", "bashrc"),
        ("..", "output"),
        ("", "output"),
        ("cat\n\x1b[31m.png", "cat[31m.png"),
    ],
)
def test_names_cannot_leave_the_folder(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_names_are_counted_up() -> None:
    assert list(islice(candidates("a.tar.gz"), 3)) == ["a.tar.gz", "a.tar-1.gz", "a.tar-2.gz"]
    assert list(islice(candidates("cat"), 2)) == ["cat", "cat-1"]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "out"
    saved = [save(folder, "cat.png", [str(number).encode()]) for number in range(3)]
    assert [path.name for path in saved] == ["cat.png", "cat-1.png", "cat-2.png"]
    assert [path.read_bytes() for path in saved] == [b"0", b"1", b"2"]
    assert sorted(folder.iterdir()) == sorted(saved)


def test_half_a_file_is_never_there(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise CommandFailed("gone")

    with pytest.raises(CommandFailed, match="gone"):
        save(tmp_path, "cat.png", broken())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CommandFailed, match="cannot write to"):
        save(tmp_path / "file", "cat.png", [b""])
