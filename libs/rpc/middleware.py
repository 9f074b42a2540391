"""One adapter that puts the same steps around calls of all four kinds.

A middleware is an async context manager around the whole call; it sees no messages. Checking messages is separate,
because streams have many.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import Message


@dataclass(slots=True)
class Call:
    """One call as middleware sees it: `metadata` holds the text entries, the first middleware sets `request_id`."""

    method: str
    metadata: Mapping[str, str]
    context: "grpc.aio.ServicerContext[Any, Any]"
    request_id: str = ""
    account_id: str = ""


Middleware = Callable[[Call], AbstractAsyncContextManager[None]]
Check = Callable[[Message], None]
# grpc types handlers as if every one were of all four kinds and synchronous.
Handler = Any


class MiddlewareInterceptor(grpc.aio.ServerInterceptor):
    """Runs every call inside the middlewares, first one outermost, and checks every message that comes in."""

    def __init__(self, middlewares: Sequence[Middleware], check: Check) -> None:
        self._middlewares = middlewares
        self._check = check

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Wrap the handler; an unknown method stays unknown."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return handler
        return self._wrap(handler, handler_call_details.method, _texts(handler_call_details))

    def _wrap(self, handler: Handler, method: str, metadata: Mapping[str, str]) -> Handler:
        async def single(request: Any, context: Any) -> Any:
            async with self._around(Call(method, metadata, context)):
                inner = handler.unary_unary or handler.stream_unary
                return await inner(self._checked(request), context)

        async def stream(request: Any, context: Any) -> None:
            # Written by hand instead of yielded: a cancelled call then ends inside this frame, so that every
            # context manager and the servicer's generator are closed at once.
            async with self._around(Call(method, metadata, context)):
                inner = handler.unary_stream or handler.stream_stream
                async with aclosing(inner(self._checked(request), context)) as messages:
                    async for message in messages:
                        await context.write(message)

        make = _MAKERS[handler.request_streaming, handler.response_streaming]
        return make(
            stream if handler.response_streaming else single,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    @asynccontextmanager
    async def _around(self, call: Call) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for middleware in self._middlewares:
                await stack.enter_async_context(middleware(call))
            yield

    def _checked(self, request: Any) -> Any:
        if not isinstance(request, Message):
            return self._checked_stream(request)
        self._check(request)
        return request

    async def _checked_stream(self, requests: AsyncIterator[Message]) -> AsyncIterator[Message]:
        async for request in requests:
            self._check(request)
            yield request


_MAKERS: Mapping[tuple[bool, bool], Any] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


def _texts(details: grpc.HandlerCallDetails) -> Mapping[str, str]:
    return {key: value for key, value in details.invocation_metadata or () if isinstance(value, str)}
