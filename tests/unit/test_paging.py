import pytest

from libs.errors import InvalidArgument
from libs.paging import decode_page_token, encode_page_token, page_size


@pytest.mark.parametrize("position", [["2026-01-01T00:00:00Z", "id"], {"a": 1}, 7, "ü?/"])
def test_tokens_come_back(position: object) -> None:
    assert decode_page_token(encode_page_token(position)) == position


def test_the_empty_token_is_the_first_page() -> None:
    assert decode_page_token("") is None


@pytest.mark.parametrize("token", ["x", "not base64!", "ü", "aGVsbG8"])
def test_made_up_tokens_are_refused(token: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        decode_page_token(token)
    assert refused.value.reason == "PAGE_TOKEN_INVALID"


def test_page_sizes() -> None:
    assert [page_size(asked) for asked in (0, 1, 10_000)] == [50, 1, 500]
    with pytest.raises(InvalidArgument):
        page_size(-1)
