from __future__ import annotations

import pytest

from ipc.text import scalar_string


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", ""), ("größe 🦊", "größe 🦊"), ("\ud800", "\ufffd"), ("a\udc00b\ud83e", "a\ufffdb\ufffd")],
)
def test_lone_surrogates_are_replaced_and_all_else_kept(text: str, expected: str) -> None:
    assert scalar_string(text) == expected


def test_a_surrogate_pair_is_one_character() -> None:
    assert scalar_string("\ud83e\udd8a") == "🦊"
