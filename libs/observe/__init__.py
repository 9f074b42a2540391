"""Logs, traces and metrics: configured once per process, the same everywhere."""
