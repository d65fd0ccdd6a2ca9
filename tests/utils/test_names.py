"""Error sentences for unknown names, and names on the Hub."""

import pytest

from hf_textgan.utils.names import is_hub_name, unknown_name


def test_the_nearest_name_is_suggested():
    assert (
        unknown_name("system", "seqgam", ["arae", "seqgan"])
        == "There is no system called 'seqgam'; did you mean 'seqgan'?"
    )
    assert unknown_name("system", "x", ["b", "a"]) == "There is no system called 'x'; choose one of a, b."
    assert unknown_name("preset", "x", []) == "There is no preset called 'x'; choose one of (none)."


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("org/name", True),
        ("my-org/my_model-1.5", True),
        ("name", False),
        ("a/b/c", False),
        ("./folder", False),
        ("../folder", False),
        ("/folder", False),
        ("org/", False),
        ("org/.hidden", False),
        ("org/name with spaces", False),
        ("runs/seqgan", False),
    ],
)
def test_names_on_the_hub(name, expected):
    assert is_hub_name(name) is expected


def test_a_name_in_a_folder_that_is_here_is_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_hub_name("models/seqgan")
    (tmp_path / "models").mkdir()
    assert not is_hub_name("models/seqgan")
