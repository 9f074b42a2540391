"""The one way out to addresses that users gave us: policy on every connection, limits on every answer."""

from libs.outbound.address import Address, AddressPolicy, Guard, Resolver, checked_url
from libs.outbound.client import Answer, Download, Outbound
from libs.outbound.errors import AddressNotAllowed, BadAnswer, TooLarge, Unreachable
from libs.outbound.limits import Limits

__all__ = [
    "Address",
    "AddressNotAllowed",
    "AddressPolicy",
    "Answer",
    "BadAnswer",
    "Download",
    "Guard",
    "Limits",
    "Outbound",
    "Resolver",
    "TooLarge",
    "Unreachable",
    "checked_url",
]
