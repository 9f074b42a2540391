"""Prompts of attempts that are long over: a runner that was thought lost may still have them."""

import structlog

from services.execution.dispatch.contact import Contact
from services.execution.store.dispatch import ClaimStore

_log = structlog.get_logger(__name__)


async def end_stale_prompts(contact: Contact, claims: ClaimStore) -> None:
    """Cancel them on the runner. Only prompts that carry our mark and whose attempt is over are touched.

    Raises Unreachable when the runner does not answer.
    """
    marked = await contact.marked_prompts()
    if not marked:
        return
    over = await claims.ended_attempts(list(marked))
    for prompt_id, runner_prompt_id in marked.items():
        if prompt_id in over:
            _log.warning("stale_prompt_canceled", prompt_id=str(prompt_id))
            await contact.cancel(runner_prompt_id)
