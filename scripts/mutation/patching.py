"""A mutant put into modules that are imported already: its functions get the code that they would have had."""

from __future__ import annotations

import gc
import inspect
from collections.abc import Iterator
from types import CodeType, FunctionType


def patch(filename: str, before: bytes, after: bytes) -> bool:
    """Give every function that was made from a file the code that it would have after a change of that file.

    Args:
        filename: as the module was imported from.
        before, after: the file's text; lines must stay where they are.

    Returns:
        Whether all that changed is the code of functions that are there. If not, nothing has been done, and only
        importing the module anew shows the change.
    """
    try:
        changed = list(_changed(compile(before, filename, "exec"), compile(after, filename, "exec")))
    except _RunsOnImportError:
        return False
    replacements = {_identity(code): code for code in changed}
    functions = [it for it in gc.get_objects() if type(it) is FunctionType and it.__code__.co_filename == filename]
    found = [(it, replacements[key]) for it in functions if (key := _identity(it.__code__)) in replacements]
    if not found or any(function.__code__.co_freevars != code.co_freevars for function, code in found):
        return False
    for function, code in found:
        function.__code__ = code
    return True


class _RunsOnImportError(Exception):
    """The change is in what runs once, on import: the body of a module or of a class."""


def _changed(before: CodeType, after: CodeType) -> Iterator[CodeType]:
    """The functions that differ, outer ones first."""
    if after.co_flags & inspect.CO_OPTIMIZED:
        yield after
        known = _parts(before)
        for part in _parts(after):
            if part not in known:
                yield from _changed(part, part)
        return
    if _bare(before) != _bare(after):
        raise _RunsOnImportError
    for old, new in zip(_parts(before), _parts(after), strict=True):
        if old != new:
            yield from _changed(old, new)


def _parts(code: CodeType) -> list[CodeType]:
    return [constant for constant in code.co_consts if isinstance(constant, CodeType)]


def _bare(code: CodeType) -> tuple[object, ...]:
    """What a body does, without the functions in it, and wherever in its lines."""
    constants = [(type(it), None if isinstance(it, CodeType) else it) for it in code.co_consts]
    return code.co_code, code.co_names, constants


def _identity(code: CodeType) -> tuple[str, int]:
    return code.co_qualname, code.co_firstlineno
