"""Mutual TLS between services, by three files."""

from dataclasses import dataclass
from pathlib import Path

import grpc


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: this process's certificate and key, and the authority that signed all services' certificates."""

    certificate: str
    key: str
    ca: str

    @classmethod
    def of(cls, certificate: str, key: str, ca: str) -> "TlsFiles | None":
        """None when none is set. ValueError when only some are."""
        given = [bool(certificate), bool(key), bool(ca)]
        if not any(given):
            return None
        if not all(given):
            raise ValueError("TLS_CERTIFICATE, TLS_KEY and TLS_CA must be set together")
        return cls(certificate, key, ca)

    def server(self) -> grpc.ServerCredentials:
        """Credentials of a server that admits only clients of the same authority."""
        pair = (Path(self.key).read_bytes(), Path(self.certificate).read_bytes())
        return grpc.ssl_server_credentials([pair], Path(self.ca).read_bytes(), require_client_auth=True)

    def channel(self) -> grpc.ChannelCredentials:
        """Credentials of a client."""
        return grpc.ssl_channel_credentials(
            Path(self.ca).read_bytes(), Path(self.key).read_bytes(), Path(self.certificate).read_bytes()
        )
