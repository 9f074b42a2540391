"""Rules of the runner API's fields, with its verbatim messages."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routes.runner_v1 import fields
from libs.errors import InvalidArgument


@pytest.mark.parametrize(
    ("rule", "value", "message"),
    [
        (fields.name_of, None, "name cannot be empty"),
        (fields.name_of, "  ", "name cannot be empty"),
        (fields.name_of, 5, "name must be a string"),
        (fields.name_of, "x" * 101, "name must be at most 100 characters"),
        (fields.name_of, "a\x00b", "name contains control characters"),
        (fields.endpoint_of, None, "invalid endpoint URL format"),
        (fields.endpoint_of, "ftp://a", "invalid endpoint URL format"),
        (fields.endpoint_of, "http://", "invalid endpoint URL format"),
        (fields.endpoint_of, "http://u:p@a", "invalid endpoint URL format"),
        (fields.endpoint_of, "http://a?x", "invalid endpoint URL format"),
        (fields.endpoint_of, "http://a#x", "invalid endpoint URL format"),
        (fields.endpoint_of, "http://a:0", "invalid endpoint URL format"),
        (fields.endpoint_of, "http://a:65536", "invalid endpoint URL format"),
        (fields.endpoint_of, "http://[::1", "invalid endpoint URL format"),
        (fields.endpoint_of, "http://" + "a" * 2048, "invalid endpoint URL format"),
        (fields.tags_of, "a", "tags must be an array of strings"),
        (fields.tags_of, [1], "tags must be an array of strings"),
        (fields.tags_of, ["a,b"], "tags must not contain commas"),
        (fields.tags_of, ["x" * 101], "tag must be at most 100 characters"),
        (fields.tags_of, [str(n) for n in range(11)], "tags must contain at most 10 items"),
        (fields.headers_of, [], "headers must be an object with string values"),
        (fields.headers_of, {"a": 1}, "headers must be an object with string values"),
        (fields.state_of, "off", "invalid status: must be one of active, disabled"),
        (fields.page_of, "0", "page must be an integer of at least 1"),
        (fields.page_of, "-1", "page must be an integer of at least 1"),
        (fields.page_of, "1.0", "page must be an integer of at least 1"),
        (fields.page_of, "1" + "0" * 12, "page must be an integer of at least 1"),
        (fields.page_of, "²", "page must be an integer of at least 1"),
        (fields.per_page_of, "101", "per_page must be an integer between 1 and 100"),
    ],
)
def test_refusals_are_verbatim(rule: Any, value: Any, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        rule(value)
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("rule", "value", "wanted"),
    [
        (fields.name_of, "  Studio ", "Studio"),
        (fields.endpoint_of, " HTTPS://Host:8188/base/ ", "HTTPS://Host:8188/base/"),
        (fields.endpoint_of, "http://[::1]:8188", "http://[::1]:8188"),
        (fields.tags_of, [" a ", "", "a", "b"], ["a", "b"]),
        (fields.page_of, None, 1),
        (fields.page_of, "0007", 7),
        (fields.per_page_of, "", 10),
    ],
)
def test_values_are_cleaned(rule: Any, value: Any, wanted: Any) -> None:
    assert rule(value) == wanted


@given(st.text(max_size=120))
def test_any_name_is_cleaned_or_refused(text: str) -> None:
    try:
        name = fields.name_of(text)
    except InvalidArgument as error:
        assert set(error.fields) == {"name"}
    else:
        assert 1 <= len(name) <= 100
        assert fields.name_of(name) == name
