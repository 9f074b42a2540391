"""What differs between ComfyUI versions on the wire, as data. Each field names what a version can do."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Features:
    """One version."""

    version: str
    comfyui_version: str | None
    """What /system_stats says; None when the server does not say."""
    api_prefix: bool = True
    """Every route also under /api."""
    chosen_prompt_id: bool = True
    """The client's prompt_id is taken."""
    prompt_id_must_be_uuid: bool = True
    create_time: bool = True
    """extra_data.create_time is added."""
    feature_flags: bool = True
    progress_state: bool = True
    success_message: bool = True
    """execution_success, timestamps and meta."""
    executed_when_cached: bool = True
    interrupt_by_id: bool = True
    jobs: bool = True
    job_cancel: bool = True
    previewable_count: bool = True
    missing_node_type: bool = True
    dependency_cycle: bool = True
    partial_execution: bool = True
    """partial_execution_targets is understood."""
    stumbles_over_lists: bool = True
    """A list where the graph should be is a 500, not a refusal."""
    object_errors: bool = True
    """Refusals always hold objects; the oldest servers answer with a plain text or an empty list."""
    hides_secrets: bool = True
    os: str = "linux"


VERSIONS: Mapping[str, Features] = {
    features.version: features
    for features in (
        Features("0.33.0", "0.33.0"),
        Features("0.29.0", "0.29.0", previewable_count=False),
        Features(
            "0.3.64",
            "0.3.64",
            prompt_id_must_be_uuid=False,
            create_time=False,
            jobs=False,
            job_cancel=False,
            previewable_count=False,
            missing_node_type=False,
            dependency_cycle=False,
            stumbles_over_lists=False,
            os="posix",
        ),
        Features(
            "2024-03",
            None,
            api_prefix=False,
            chosen_prompt_id=False,
            prompt_id_must_be_uuid=False,
            create_time=False,
            feature_flags=False,
            progress_state=False,
            success_message=False,
            executed_when_cached=False,
            interrupt_by_id=False,
            jobs=False,
            job_cancel=False,
            previewable_count=False,
            missing_node_type=False,
            dependency_cycle=False,
            partial_execution=False,
            stumbles_over_lists=False,
            object_errors=False,
            hides_secrets=False,
            os="posix",
        ),
    )
}
DEFAULT = "0.33.0"
