from collections.abc import Sequence
from ipaddress import ip_address

import pytest

from libs.errors import InvalidArgument
from libs.outbound import AddressNotAllowed, AddressPolicy, Guard, Unreachable, checked_url

NEVER = [
    "169.254.169.254",
    "169.254.0.1",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "0.0.0.0",
    "0.1.2.3",
    "::",
    "224.0.0.1",
    "ff02::1",
    "255.255.255.255",
    "240.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0.0.0.0",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "::169.254.169.254",
]
PRIVATE = ["127.0.0.1", "::1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd12::1", "::ffff:127.0.0.1"]
PUBLIC = ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("address", NEVER)
@pytest.mark.parametrize("allow_private", [True, False])
def test_refused_always(address: str, allow_private: bool) -> None:
    assert not AddressPolicy(allow_private).allows(ip_address(address))


@pytest.mark.parametrize("address", PRIVATE)
def test_private_by_setting(address: str) -> None:
    assert AddressPolicy(allow_private=True).allows(ip_address(address))
    assert not AddressPolicy(allow_private=False).allows(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
@pytest.mark.parametrize("allow_private", [True, False])
def test_public_always(address: str, allow_private: bool) -> None:
    assert AddressPolicy(allow_private).allows(ip_address(address))


@pytest.mark.parametrize(
    "url",
    ["", "host:8188", "ftp://host/", "file:///etc/passwd", "http://", "http://user:secret@host/", "http://a b/", "/x"],
)
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        checked_url(url)
    assert "secret" not in repr(refused.value)
    assert refused.value.reason == "INVALID_FIELD"


def _always(*addresses: str) -> Guard:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return Guard(AddressPolicy(), resolve)


async def test_only_the_allowed_addresses_of_a_name_are_used() -> None:
    assert await _always("169.254.169.254", "10.0.0.1").addresses("mixed", 80) == [ip_address("10.0.0.1")]


async def test_a_name_that_leads_to_metadata_is_refused() -> None:
    with pytest.raises(AddressNotAllowed) as refused:
        await _always("169.254.169.254").addresses("innocent.example", 80)
    assert refused.value.reason == "ADDRESS_NOT_ALLOWED"


async def test_a_name_without_addresses_is_unreachable() -> None:
    with pytest.raises(Unreachable) as unreachable:
        await _always().addresses("nowhere.example", 80)
    assert not unreachable.value.maybe_sent


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "localhost"])
async def test_other_spellings_of_loopback_are_still_loopback(host: str) -> None:
    with pytest.raises(AddressNotAllowed):
        await Guard(AddressPolicy(allow_private=False)).addresses(host, 80)
