"""The bare baselines: a Starlette app over one grpc.aio call, and a plain file server."""

import sys
import tempfile
from pathlib import Path

from libs.runtime import disable_grpc_fork_support

disable_grpc_fork_support()

import grpc.aio  # noqa: E402
import uvicorn  # noqa: E402
from grpc_health.v1 import health_pb2, health_pb2_grpc  # noqa: E402
from grpc_health.v1.health import aio  # noqa: E402
from starlette.applications import Starlette  # noqa: E402
from starlette.requests import Request  # noqa: E402
from starlette.responses import FileResponse, JSONResponse, Response  # noqa: E402
from starlette.routing import Route  # noqa: E402


def site(address: str, folder: Path) -> Starlette:
    """`/hello` is one gRPC call; `/files/{name}` takes and gives a file."""
    stubs: list[health_pb2_grpc.HealthStub] = []

    async def hello(_: Request) -> Response:
        if not stubs:
            stubs.append(health_pb2_grpc.HealthStub(grpc.aio.insecure_channel(address)))
        answer = await stubs[0].Check(health_pb2.HealthCheckRequest())
        return JSONResponse({"status": answer.status})

    async def put(request: Request) -> Response:
        with (folder / request.path_params["name"]).open("wb") as file:
            async for chunk in request.stream():
                file.write(chunk)
        return Response(status_code=201)

    async def get(request: Request) -> Response:
        return FileResponse(folder / request.path_params["name"])

    return Starlette(
        routes=[
            Route("/hello", hello),
            Route("/files/{name}", put, methods=["PUT"]),
            Route("/files/{name}", get, methods=["GET"]),
        ]
    )


async def serve_grpc(port: int) -> None:
    """The peer of `/hello`."""
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(aio.HealthServicer(), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


def main() -> None:
    """`baseline.py grpc PORT` or `baseline.py http PORT GRPC_PORT`."""
    import uvloop

    if sys.argv[1] == "grpc":
        uvloop.run(serve_grpc(int(sys.argv[2])))
        return
    with tempfile.TemporaryDirectory() as folder:
        app = site(f"127.0.0.1:{sys.argv[3]}", Path(folder))
        uvicorn.run(app, port=int(sys.argv[2]), log_level="error", access_log=False)


if __name__ == "__main__":
    main()
