"""Request bodies: read with a limit, parsed off the event loop when they are large."""

import asyncio
from typing import Any

import orjson
from starlette.requests import Request

from libs.errors import InvalidArgument

_LARGE = 256 * 1024  # bytes; parsing this much takes about a millisecond


class BodyTooLarge(Exception):
    """The body is larger than the endpoint takes: answer 413."""


async def read(request: Request, limit: int) -> bytes:
    """The whole body. Raises BodyTooLarge as soon as more than `limit` bytes are announced or seen."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced[:19]) > limit:
        raise BodyTooLarge
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise BodyTooLarge
    return bytes(body)


async def read_object(request: Request, limit: int) -> dict[str, Any]:
    """The body as a JSON object. Raises BodyTooLarge or InvalidArgument."""
    raw = await read(request, limit)
    try:
        body = await asyncio.to_thread(orjson.loads, raw) if len(raw) > _LARGE else orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidArgument(
            "INVALID_FIELD", "request body is not valid JSON", fields={"body": "not valid JSON"}
        ) from error
    if not isinstance(body, dict):
        message = "request body must be a JSON object"
        raise InvalidArgument("INVALID_FIELD", message, fields={"body": message})
    return body
