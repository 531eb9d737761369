"""What the carrier remembers beside messages and calls: personas, stopped numbers, the faults in force."""

import json
import sqlite3
from typing import Any, NamedTuple


class KeptRules(NamedTuple):
    """The faults in force, what their draws are made from, and how many requests they have judged."""

    rules: dict[str, Any]
    seed: str
    judged: int


class Memory:
    """Every write is committed before its method returns."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    # --- people ------------------------------------------------------------------------------------------------------

    def persona(self, to: str) -> str | None:
        row = self._db.execute("SELECT persona FROM personas WHERE to_address = ?", (to,)).fetchone()
        return None if row is None else str(row[0])

    def personas(self) -> list[dict[str, str]]:
        rows = self._db.execute("SELECT to_address, persona FROM personas ORDER BY rowid")
        return [{"to": row[0], "persona": row[1]} for row in rows]

    def met_in_turn(self) -> int:
        """How many numbers got their persona by turn."""
        return int(self._db.execute("SELECT count(*) FROM personas WHERE in_turn = 1").fetchone()[0])

    def set_persona(self, to: str, persona: str, *, in_turn: bool) -> None:
        with self._db:
            self._db.execute(
                "INSERT INTO personas (to_address, persona, in_turn) VALUES (?,?,?) ON CONFLICT (to_address)"
                " DO UPDATE SET persona = excluded.persona, acted = 0",
                (to, persona, int(in_turn)),
            )

    def has_acted(self, to: str) -> bool:
        row = self._db.execute("SELECT acted FROM personas WHERE to_address = ?", (to,)).fetchone()
        return bool(row and row[0])

    def set_acted(self, to: str) -> None:
        with self._db:
            self._db.execute("UPDATE personas SET acted = 1 WHERE to_address = ?", (to,))

    def is_stopped(self, address: str) -> bool:
        return self._db.execute("SELECT 1 FROM stopped WHERE address = ?", (address,)).fetchone() is not None

    def set_stopped(self, address: str, stopped: bool) -> None:
        with self._db:
            if stopped:
                self._db.execute("INSERT OR IGNORE INTO stopped VALUES (?)", (address,))
            else:
                self._db.execute("DELETE FROM stopped WHERE address = ?", (address,))

    # --- faults ------------------------------------------------------------------------------------------------------

    def faults(self) -> KeptRules | None:
        row = self._db.execute("SELECT rules, seed, judged FROM fault_rules").fetchone()
        return None if row is None else KeptRules(json.loads(row["rules"]), row["seed"], row["judged"])

    def set_faults(self, rules: dict[str, Any], seed: str) -> None:
        """Replaces the rules; counting begins anew."""
        with self._db:
            self._db.execute("INSERT OR REPLACE INTO fault_rules VALUES (1, ?, ?, 0)", (json.dumps(rules), seed))

    def clear_faults(self) -> None:
        with self._db:
            self._db.execute("DELETE FROM fault_rules")

    def count_judged(self) -> int:
        """The number of the request that is judged now, from 1: a restart goes on counting."""
        with self._db:
            self._db.execute("UPDATE fault_rules SET judged = judged + 1")
            return int(self._db.execute("SELECT judged FROM fault_rules").fetchone()[0])
