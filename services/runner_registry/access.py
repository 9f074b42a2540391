"""Which account a call is about, and whether the caller may speak for it."""

from uuid import UUID

from libs.errors import Forbidden, InvalidArgument
from libs.identity import Principal

OPERATOR_SCOPE = "operator"


def account_for(principal: Principal, account_id: str = "") -> UUID:
    """A tenant's own account, whatever it names; an operator has to name one."""
    if principal.is_operator:
        if not account_id:
            message = "operators name the account"
            raise InvalidArgument("INVALID_FIELD", message, fields={"account_id": message})
        return UUID(account_id)
    if not principal.account_id:
        raise Forbidden("NOT_ALLOWED", "this call is for tenants and operators")
    return UUID(principal.account_id)


def require_operator(principal: Principal) -> None:
    """Raises Forbidden for everybody else."""
    if not principal.is_operator:
        raise Forbidden("NOT_ALLOWED", "this call is for operators")


def refuse_deleted(principal: Principal) -> None:
    """An account that is marked for deletion creates and changes nothing."""
    if principal.deleted:
        raise Forbidden("ACCOUNT_DELETED", "account is marked for deletion")


def scope_of(principal: Principal) -> str:
    """Within which request ids are remembered."""
    return OPERATOR_SCOPE if principal.is_operator else principal.account_id


def may_see_account(principal: Principal, account_id: UUID | None) -> bool:
    """Whether something of this account exists for the caller."""
    everything = principal.is_operator or principal.is_service
    return everything or (account_id is not None and str(account_id) == principal.account_id)
