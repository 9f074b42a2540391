"""Answers in the forms that ComfyUI's web server gives them."""

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response


def json(body: Any, status: int = 200) -> Response:
    """A JSON body."""
    return Response(orjson.dumps(body), status, media_type="application/json; charset=utf-8")


def empty(status: int = 200) -> Response:
    """No body."""
    return Response(status_code=status)


def trouble() -> Response:
    """What an unhandled exception looks like."""
    return Response("500 Internal Server Error\n\nServer got itself in trouble", 500, media_type="text/plain")


async def body_of(request: Request) -> Any:
    """The JSON body. Raises ValueError for anything else."""
    return orjson.loads(await request.body())
