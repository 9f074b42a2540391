"""A protoc plugin around the gRPC generator that grpcio-tools carries only inside its own protoc."""

import sys
import tempfile
from pathlib import Path

from google.protobuf import descriptor_pb2
from google.protobuf.compiler import plugin_pb2
from grpc_tools import protoc


def services_of(request: plugin_pb2.CodeGeneratorRequest) -> list[str]:
    """The files worth generating: one without a service would give an empty module."""
    with_service = {file.name for file in request.proto_file if file.service}
    return [name for name in request.file_to_generate if name in with_service]


def generate(request: plugin_pb2.CodeGeneratorRequest, folder: Path) -> plugin_pb2.CodeGeneratorResponse:
    """Run the generator over the descriptors that buf already compiled."""
    response = plugin_pb2.CodeGeneratorResponse(
        supported_features=plugin_pb2.CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL
    )
    descriptors, out = folder / "in.binpb", folder / "out"
    descriptors.write_bytes(descriptor_pb2.FileDescriptorSet(file=request.proto_file).SerializeToString())
    out.mkdir()
    arguments = [f"--descriptor_set_in={descriptors}", f"--grpc_python_out={out}", *services_of(request)]
    if code := protoc.main(["protoc", *arguments]):
        response.error = f"the gRPC generator ended with {code}"
    for path in sorted(out.rglob("*.py")):
        response.file.add(name=path.relative_to(out).as_posix(), content=path.read_text())
    return response


def main() -> None:
    """Read the request that protoc plugins get on standard input, answer on standard output."""
    request = plugin_pb2.CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    with tempfile.TemporaryDirectory() as folder:
        response = generate(request, Path(folder))
    sys.stdout.buffer.write(response.SerializeToString())


if __name__ == "__main__":
    main()
