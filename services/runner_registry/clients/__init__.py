"""What runner_registry calls."""
