"""Prometheus metrics: one registry per app, so that several apps can live in one test process."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)


class Metrics:
    """Makes series named `comfyfleet_<name>`. Labels must have few values: never ids."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        """Something that only grows."""
        return Counter(name, text, labels, namespace="comfyfleet", registry=self.registry)

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        """Something that goes up and down."""
        return Gauge(name, text, labels, namespace="comfyfleet", registry=self.registry)

    def histogram(self, name: str, text: str, *labels: str) -> Histogram:
        """A distribution of seconds."""
        return Histogram(name, text, labels, namespace="comfyfleet", registry=self.registry, buckets=_BUCKETS)
