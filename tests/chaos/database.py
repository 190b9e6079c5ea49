"""Questions to the database of a chaos run, which may be away at any moment."""

from __future__ import annotations

from typing import Any

import psycopg

Row = dict[str, Any]


class Away(Exception):
    """The database did not answer; the connection is opened anew by the next question."""


class Database:
    """One connection, for one thread. Every question either answers within its limit or raises Away."""

    def __init__(self, url: str, limit_s: float = 10.0) -> None:
        self.url = url
        self.limit_ms = int(limit_s * 1000)
        self._connection: psycopg.Connection[Any] | None = None

    def rows(self, query: str, *parameters: Any) -> list[Row]:
        try:
            cursor = self._open().execute(query.encode(), parameters)
            assert cursor.description is not None, query
            names = [column.name for column in cursor.description]
            return [dict(zip(names, row)) for row in cursor.fetchall()]
        except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.AdminShutdown) as error:
            self.close()
            raise Away(str(error).strip()) from None

    def value(self, query: str, *parameters: Any) -> Any:
        rows = self.rows(query, *parameters)
        return next(iter(rows[0].values())) if rows else None

    def _open(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self.url,
                autocommit=True,
                connect_timeout=5,
                application_name="chaos",
                options=f"-c statement_timeout={self.limit_ms}",
            )
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
