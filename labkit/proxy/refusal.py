"""What the lab's socket itself refuses, as an engine would say it."""

from __future__ import annotations


class Refusal(Exception):  # noqa: N818  an answer rather than an error
    """A status, and a message for the person who asked."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def no_such(kind: str, reference: str) -> Refusal:
    """In the words of Docker's own."""
    words = {
        "container": f"No such container: {reference}",
        "network": f"network {reference} not found",
        "volume": f"get {reference}: no such volume",
        "image": f"No such image: {reference}",
        "exec": f"No such exec instance: {reference}",
    }
    return Refusal(404, words.get(kind, f"{kind} {reference} not found"))
