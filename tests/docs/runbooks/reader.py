"""Somebody who does what a runbook says, and looks whether it is so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.docs.runbooks.page import Command, Page, difference, planted
from tests.docs.runbooks.scenarios import Scenario
from tests.docs.runbooks.terminal import Running, Terminal


@dataclass
class Reader:
    """A person at a terminal.

    Attributes:
        scenario: what the page leaves to this person, and what goes on elsewhere.
        slower_than: waits, after each command, for what it began; a person is slower than that.
        filled: the words in CAPITALS that were filled in.
    """

    terminal: Terminal
    scenario: Scenario
    slower_than: Callable[[str], None]
    filled: set[str] = field(default_factory=set)
    _left: list[tuple[Command, Running]] = field(default_factory=list)

    def follow(self, page: Page) -> None:
        """Do every step, in order.

        Raises:
            AssertionError: something else was printed than the page has, or the page would not
                notice that a word of it is wrong.
        """
        for number, step in enumerate(page.steps, 1):
            if number in self.scenario.meanwhile:
                self.scenario.meanwhile[number]()
            for command in step.commands:
                self._do(number, command)
        self._finish()

    def _do(self, number: int, command: Command) -> None:
        typed = self.scenario.typed.get(number, "")
        running = self.terminal.start(self._fill_in(command.text), typed)
        if number in self.scenario.left_running:
            running.wait_for(self.scenario.left_running[number])
            self._left.append((command, running))
        else:
            self._look(command, running)
            self._finish()

    def _finish(self) -> None:
        while self._left:
            self._look(*self._left.pop())

    def _fill_in(self, text: str) -> str:
        for word, meant in self.scenario.fill.items():
            if word in text:
                self.filled.add(word)
                text = text.replace(word, meant)
        return text

    def _look(self, command: Command, running: Running) -> None:
        printed, code = running.finish()
        wrong = difference(command.prints, printed)
        told = f"$ {command.text}\n{printed}"
        assert wrong is None, f"The page has: {wrong}\nThis is so:\n{told}"
        assert code == command.code, f"The exit code is {code}, not {command.code}:\n{told}"
        unnoticed = [text for text in planted(command.prints) if difference(text, printed) is None]
        assert unnoticed == [], told
        self.slower_than(printed)
