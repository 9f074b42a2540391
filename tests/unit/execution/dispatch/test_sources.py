"""What results are kept as."""

from typing import Any

from libs.comfy.history import parse_outputs
from services.execution.dispatch.sources import of_frame, of_outputs
from services.execution.domain import OutputKind


def kept(ui: dict[str, Any]) -> list[tuple[str, OutputKind, str]]:
    return [(source.name, source.kind, source.content_type) for source in of_outputs(parse_outputs("9", ui))]


def file(name: str, kind: str = "output", subfolder: str = "") -> dict[str, str]:
    return {"filename": name, "subfolder": subfolder, "type": kind}


def test_every_list_of_files_is_taken() -> None:
    found = kept({"images": [file("a.png")], "gifs": [file("b.mp4")], "audio": [file("c.flac")], "3d": [file("d.glb")]})
    assert found == [
        ("a.png", OutputKind.IMAGE, "image/png"),
        ("b.mp4", OutputKind.VIDEO, "video/mp4"),
        ("c.flac", OutputKind.AUDIO, "audio/flac"),
        ("d.glb", OutputKind.FILE, "model/gltf-binary"),
    ]


def test_flags_beside_pictures_are_no_results() -> None:
    assert kept({"images": [file("a.webp")], "animated": [True]}) == [("a.webp", OutputKind.IMAGE, "image/webp")]


def test_text_becomes_text_and_other_data_becomes_json() -> None:
    sources = of_outputs(parse_outputs("9", {"text": ["höre", "zu"], "value": [{"a": 1}]}))
    assert [source.data for source in sources] == ["höre".encode(), b"zu", b'[{"a": 1}]']
    assert [source.kind for source in sources] == [OutputKind.TEXT, OutputKind.TEXT, OutputKind.FILE]


def test_a_latent_is_a_latent() -> None:
    assert kept({"latents": [file("x.latent")]})[0][1] is OutputKind.LATENT


def test_the_same_file_twice_is_one_result() -> None:
    assert len(kept({"images": [file("a.png"), file("a.png")]})) == 1


def test_equal_names_in_different_folders_are_two_results() -> None:
    assert len(kept({"images": [file("a.png"), file("a.png", "temp"), file("a.png", subfolder="x")]})) == 3


def test_positions_follow_the_runners_order() -> None:
    sources = of_outputs(parse_outputs("9", {"images": [file("b.png"), file("a.png")], "text": ["t"]}))
    assert [source.position for source in sources] == [0, 1, 2]


def test_pictures_of_the_websocket_have_names_of_their_own() -> None:
    first, second = (of_frame("5", index, b"png", "image/png") for index in range(2))
    assert (first.name, first.kind) == ("websocket_5_00000.png", OutputKind.IMAGE)
    assert first.key != second.key
