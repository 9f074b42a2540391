"""Signs of life: how the supervisor knows that a process serves."""

from collections.abc import Awaitable, Callable

Ready = Callable[[], Awaitable[bool]]


def http(url: str) -> Ready:
    """A GET that is answered with 200."""

    async def check() -> bool:
        import httpx

        try:
            async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
                return (await client.get(url)).status_code == 200
        except httpx.HTTPError:
            return False

    return check


def grpc_health(address: str) -> Ready:
    """grpc.health.v1 says SERVING."""

    async def check() -> bool:
        import grpc.aio
        from grpc_health.v1 import health_pb2, health_pb2_grpc

        async with grpc.aio.insecure_channel(address) as channel:
            try:
                answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=2)
            except grpc.aio.AioRpcError:
                return False
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    return check
