"""Every setting of every process that `comfyfleet up` starts."""

from collections.abc import Sequence

from gateway.settings import GatewaySettings
from libs.settings import SettingRow, describe
from services.execution.settings import ExecutionSettings
from services.runner_registry.settings import RegistrySettings


def settings() -> Sequence[SettingRow]:
    """One row a variable, sorted by name."""
    rows = describe([GatewaySettings, RegistrySettings, ExecutionSettings])
    return sorted(rows, key=lambda row: row.variable)
