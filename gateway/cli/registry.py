"""Calls to runner_registry over gRPC, for what the HTTP APIs do not offer: health, accounts, managed runners."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from comfyfleet.runner_registry.v1 import runner_registry_service_pb2 as pb
from comfyfleet.runner_registry.v1.runner_registry_service_pb2_grpc import RunnerRegistryServiceStub
from gateway.cli.credentials import RegistryConnection
from gateway.cli.errors import CommandFailed, ExitCode, Refused, Unreachable
from libs.errors import ServiceError, Unavailable
from libs.rpc.client import open_channel

if TYPE_CHECKING:
    from comfyfleet.runner_registry.v1.runner_registry_service_pb2_grpc import RunnerRegistryServiceAsyncStub

T = TypeVar("T")
Call = Callable[["RunnerRegistryServiceAsyncStub"], Awaitable[T]]


def calling(target: RegistryConnection, call: Call[T]) -> T:
    """Make calls as whom the credential stands for. Refused and Unreachable as over HTTP."""
    try:
        return asyncio.run(_call(target, call))
    except Unavailable as error:
        raise Unreachable(target.address, error.message) from None
    except ServiceError as error:
        told = [f"{name}: {text}" for name, text in error.fields.items()]
        raise Refused(0, error.reason, error.message, told) from None


async def _call(target: RegistryConnection, call: Call[T]) -> T:
    async with open_channel(target.address) as channel:
        request = pb.AuthenticateRequest(credential=target.key)
        access = (await RunnerRegistryServiceStub(channel).Authenticate(request)).access_token
    async with open_channel(target.address, sign=lambda: access) as channel:
        return await call(RunnerRegistryServiceStub(channel))


def word_of(words: dict[str, T], word: str, option: str) -> T:
    """The enum value of a word. CommandFailed (usage) with the known words."""
    if word not in words:
        raise CommandFailed(f"{option} {word!r} is not one of: {', '.join(words)}", ExitCode.USAGE)
    return words[word]
