"""Looks users up by name."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass


@dataclass(frozen=True)
class User:
    id: int
    name: str


def find_user(db: sqlite3.Connection, name: str) -> User | None:
    """Return the user with that name, or None.

    The name is a parameter of the statement, never a part of it, so that no name
    can change what is asked. Raises ValueError for an empty name.
    """
    if not name.strip():
        raise ValueError("a user's name must not be empty")
    row = db.execute("SELECT id, name FROM users WHERE name = ?", (name,)).fetchone()
    return User(*row) if row else None
