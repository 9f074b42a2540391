"""SQL statements that live in .sql files, by name."""

import re
from importlib import resources

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


class Queries:
    """The statements of one file: `queries.claim_job` is the text under `-- name: claim_job`."""

    def __init__(self, statements: dict[str, str]) -> None:
        self._statements = statements

    def __getattr__(self, name: str) -> str:
        try:
            return self._statements[name]
        except KeyError:
            raise AttributeError(f"no statement is named {name}") from None


def load_queries(package: str, filename: str) -> Queries:
    """Read a .sql file that lies in a package. Raises ValueError when a name stands there twice."""
    return parse(resources.files(package).joinpath(filename).read_text())


def parse(text: str) -> Queries:
    """Cut the text at its `-- name:` lines; what stands before the first belongs to none."""
    _, *pieces = _NAME.split(text)
    names, bodies = pieces[::2], pieces[1::2]
    if len(set(names)) != len(names):
        raise ValueError("a statement's name stands twice")
    return Queries({name: body.strip() for name, body in zip(names, bodies, strict=True)})
