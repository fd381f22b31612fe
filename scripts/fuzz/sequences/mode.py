"""Mode `api`: any order of calls from several renderers, against a real host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from random import Random
from typing import Any, ClassVar

from ipc.errors import MLError
from scripts.fuzz.mode import CoverageKey, Mode, ModeOptions, Problem, Verdict
from scripts.fuzz.sequences.case import WORDS, SequenceCase, random_case, smaller_cases
from scripts.fuzz.sequences.player import Mismatch, Player
from scripts.fuzz.target import Target


class ApiMode(Mode[SequenceCase]):
    """Each sequence with renderers of its own."""

    name: ClassVar[str] = "api"
    seconds: ClassVar[float] = 30.0

    def __init__(self, options: ModeOptions) -> None:
        super().__init__(options)
        self._target = Target(options, [options.backend])
        self._outcomes: set[tuple[str, str]] = set()

    def close(self) -> None:
        self._target.close()

    def generate(self, random: Random) -> SequenceCase:
        return random_case(random)

    def run(self, case: SequenceCase) -> Verdict:
        self._outcomes = set()
        player: Player | None = None
        try:
            player = Player(self._target.socket, self.options.backend)
            mismatch = player.play(case)
            self._outcomes = player.outcomes
        except (MLError, TimeoutError) as error:
            mismatch = Mismatch("hang", f"{type(error).__name__}: {error}", ended=True)
        finally:
            if player is not None:
                player.close()
        if mismatch is None:
            return Verdict("accepted")
        if not mismatch.ended:
            return Verdict("refused", mismatch.word, Problem("model", mismatch.word, mismatch.story))
        where, said = self._target.death(mismatch.word)
        self._target.restart()
        return Verdict("none", mismatch.word, Problem("lost", where, f"{mismatch.story}\n\n{said}"))

    def coverage(self, case: SequenceCase, verdict: Verdict) -> Iterable[CoverageKey]:
        del case, verdict
        return (("call", word, outcome) for word, outcome in self._outcomes)

    def universe(self) -> Iterable[CoverageKey]:
        for word in WORDS:
            if word != "write_wrongly":
                yield ("call", word, "success")
            if not word.startswith(("destroy", "disconnect")):
                yield ("call", word, "InvalidStateError")

    def from_json(self, value: Mapping[str, Any]) -> SequenceCase:
        return SequenceCase.from_json(value)

    def smaller(self, case: SequenceCase) -> Iterator[SequenceCase]:
        return smaller_cases(case)

    def rest(self) -> Problem | None:
        return self._target.unrest()
