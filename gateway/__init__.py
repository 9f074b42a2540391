"""The REST gateway: documented HTTP dialects in front of the gRPC services. It owns no state."""
