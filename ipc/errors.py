"""The exceptions of the API, as one tree, and the error codes they have on the wire.

    MLError
    ├── MLTypeError (also TypeError)        the caller's arguments
    ├── InvalidStateError                   built twice, destroyed, lost
    ├── NotSupportedError                   the backend or device cannot
    ├── OperationError                      a compilation or a computation failed
    ├── DataError                           data in a wrong form
    ├── UnknownError                        an allocation or a transfer failed
    ├── SecurityError                       permission refused
    └── QuotaExceededError                  a limit of the session

The names are those of the specification's exceptions; `MLTypeError` stands for its TypeError.
"""

from __future__ import annotations


class MLError(Exception):
    """Base of everything that this API raises for a caller's mistake or a failed operation.

    Attributes:
        rule: stable id of the broken rule (`gemm.inner`), or None where no rule of an operator was broken.
    """

    def __init__(self, message: str, *, rule: str | None = None) -> None:
        super().__init__(message)
        self.rule = rule

    @property
    def name(self) -> str:
        """The specification's name of the exception."""
        return type(self).__name__


class MLTypeError(MLError, TypeError):
    """The caller's arguments break a rule; the specification's TypeError."""

    @property
    def name(self) -> str:
        return "TypeError"


class InvalidStateError(MLError):
    """Built twice, destroyed, or lost."""


class NotSupportedError(MLError):
    """The backend or device cannot do this."""


class OperationError(MLError):
    """A compilation or a computation failed."""


class DataError(MLError):
    """The data are in a wrong form."""


class UnknownError(MLError):
    """An allocation or a transfer failed."""


class SecurityError(MLError):
    """Permission was refused."""


class QuotaExceededError(MLError):
    """A limit of the session is exhausted."""


def escape_label(text: str) -> str:
    """Untrusted text made safe to show: control and bidirectional characters escaped. Source: WebNN, security."""
    return "".join(
        character if character.isprintable() and not _is_bidirectional(character) else f"\\u{ord(character):04x}"
        for character in text
    )


def _is_bidirectional(character: str) -> bool:
    return "\u202a" <= character <= "\u202e" or "\u2066" <= character <= "\u2069"
