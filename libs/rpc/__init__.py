"""gRPC the same way everywhere: one server factory, one way to open a channel, one table of errors."""
