"""Prompts of attempts that are long over: a runner that was thought lost may still have them."""

import structlog

from services.execution.dispatch.contact import Contact
from services.execution.store.dispatch import ClaimStore

_log = structlog.get_logger(__name__)


async def end_stale_prompts(contact: Contact, claims: ClaimStore) -> bool:
    """Cancel them on the runner; true when there were any, so that it pays to look again.

    Only prompts that carry our mark and whose attempt is over are touched. Raises Unreachable when the runner does
    not answer.
    """
    marked = await contact.marked_prompts()
    if not marked:
        return False
    over = await claims.ended_attempts(list(marked))
    for prompt_id in over:
        _log.warning("stale_prompt_canceled", prompt_id=str(prompt_id))
        await contact.cancel(marked[prompt_id])
    return bool(over)
