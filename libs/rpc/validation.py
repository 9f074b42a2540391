"""The rules that stand in the protos, checked on every message that comes in."""

import protovalidate
from google.protobuf.message import Message
from protovalidate import ValidationError

from libs.errors import InvalidArgument


def check(message: Message) -> None:
    """Raise InvalidArgument that names every field which breaks a rule."""
    try:
        protovalidate.validate(message)
    except ValidationError as error:
        fields = {_path(violation.field): violation.message for violation in error.to_proto().violations}
        first = next(iter(fields.items()))
        raise InvalidArgument("INVALID_FIELD", f"{first[0]} {first[1]}", fields=fields) from error


def _path(field: object) -> str:
    return ".".join(_element(element) for element in field.elements)  # type: ignore[attr-defined]


def _element(element: object) -> str:
    name = str(element.field_name)  # type: ignore[attr-defined]
    subscript = element.subscript  # type: ignore[attr-defined]
    return f"{name}[{subscript.value}]" if subscript is not None else name
