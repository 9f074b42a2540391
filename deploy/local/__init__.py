"""The whole fleet on one machine: launchers and the supervisor behind `comfyfleet up`."""
