"""ComfyUI servers as the probes see them."""

from collections.abc import Mapping

from libs.clock import Clock
from libs.comfy import ComfyClient
from libs.outbound import Outbound


class ComfyPeers:
    """Opens servers through the guarded client."""

    def __init__(self, outbound: Outbound, clock: Clock) -> None:
        self._outbound = outbound
        self._clock = clock

    def __call__(self, endpoint: str, headers: Mapping[str, str]) -> "ComfyPeer":
        """A server that is not contacted yet."""
        return ComfyPeer(ComfyClient(endpoint, headers, self._outbound, self._clock))


class ComfyPeer:
    """One server."""

    def __init__(self, client: ComfyClient) -> None:
        self._client = client

    async def probe(self) -> int:
        """Prompts pending and running there."""
        return await self._client.probe()

    async def version(self) -> str:
        """ComfyUI's version; empty when the server does not say."""
        return (await self._client.version()).text
