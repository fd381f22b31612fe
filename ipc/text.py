"""Text from callers, in a form that can travel."""

from __future__ import annotations


def scalar_string(text: str) -> str:
    """`text` with every lone surrogate replaced by U+FFFD, so that it has a UTF-8 form. Source: Web IDL, USVString."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
