"""A prediction: a question, what may be said, what was said, and what turned out to be so."""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass

from labkit.errors import BadValueError

Value = bool | int | str
ID = re.compile(r"\d\d\.[a-z]")  # chapter and letter: exercises have numbers


@dataclass(frozen=True)
class Prediction:
    """One prediction as the ledger holds it."""

    id: str  # "02.c"
    question: str
    choices: tuple[Value, ...]
    said: Value | None  # None: no choice was made before the answer was shown
    truth: Value | None  # what the kernel said when it was first shown; None: not yet

    @property
    def is_sealed(self) -> bool:
        """Whether the answer has been shown, so that nothing can be changed any more."""
        return self.truth is not None

    @property
    def came_true(self) -> bool | None:
        """Whether it did; None without a choice, or an answer that was among the choices."""
        if self.said is None or self.truth is None or not is_among(self.truth, self.choices):
            return None
        return is_same(self.said, self.truth)


def is_same(one: Value, other: Value) -> bool:
    """Whether two values are one; True is not 1."""
    return isinstance(one, bool) is isinstance(other, bool) and one == other


def is_among(value: Value, choices: Sequence[Value]) -> bool:
    """Whether a value is one of the choices."""
    return any(is_same(value, choice) for choice in choices)


def shown(value: Value) -> str:
    """A value as a person says it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def plain(value: object) -> Value:
    """A whole number, a text, True or False, of whatever class. Raises BadValueError."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if type(value).__name__ in ("bool", "bool_"):  # numpy's has an index too, and is no number
        return bool(value)
    try:
        return operator.index(value)  # type: ignore[arg-type]  # it says itself whether it has one
    except TypeError:
        raise BadValueError(
            "A prediction is about a whole number, a text, True or False.",
            value=value,
            seen=repr(value)[:200],
            do="give a value of one of these kinds, as len(found)",
        ) from None


def checked(id: str, choices: Sequence[object]) -> tuple[Value, ...]:
    """The choices as plain values. Raises BadValueError for those that are no choice."""
    if not isinstance(id, str) or not ID.fullmatch(id):
        raise BadValueError(
            "That is no prediction's name.",
            value=id,
            seen=repr(id),
            do='name it by its chapter and a letter, as "02.c"',
        )
    values = tuple(plain(choice) for choice in choices)
    texts = {shown(value) for value in values}
    if len(values) < 2 or len(texts) < len(values):
        raise BadValueError(
            f"The prediction {id} gives no choice.",
            value=values,
            seen=", ".join(map(repr, values)) or "no choices",
            do="give two or more that differ",
        )
    return values
