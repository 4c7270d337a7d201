"""Gives series whose header lacks IssuerOfPatientID to the patient whom other series of the same PatientID name."""

from __future__ import annotations

import sqlite3

_PAGE = 1000  # numbers of patients at a time, so that memory does not grow with the archive; chosen by hand


def settle_patients(connection: sqlite3.Connection) -> None:
    """Sets the patient of each series anew from all series of the index; call it in a transaction.

    A number without issuer is that of the only issuer that the index has with this number, if the person agrees: with
    the same birth date or, where one is not stated, under the same name. With another birth date it is another person.
    In all other cases, and with several issuers, it is unclear who it is: the series keep a patient of their own and
    are marked. Two issuers are always two patients.

    The result does not depend on the order in which series came.
    """
    connection.execute("UPDATE series SET patient = stated, unclear = 0 WHERE patient != stated OR unclear")
    sql = """SELECT number, count(DISTINCT CASE WHEN NOT bare THEN stated END), max(CASE WHEN NOT bare THEN stated END)
             FROM series WHERE number > ? GROUP BY number HAVING min(bare) = 0 AND max(bare) = 1 ORDER BY 1 LIMIT ?"""
    last = ""  # also the number of series without PatientID, which are no one's
    while page := connection.execute(sql, (last, _PAGE)).fetchall():
        for number, issuers, owner in page:
            is_same = issuers == 1 and _is_same_person(connection, number)
            if is_same:
                connection.execute("UPDATE series SET patient = ? WHERE number = ? AND bare", (owner, number))
            elif is_same is None or issuers > 1:
                connection.execute("UPDATE series SET unclear = 1 WHERE number = ? AND bare", (number,))
        last = page[-1][0]


def _is_same_person(connection: sqlite3.Connection, number: str) -> bool | None:
    """Returns whether the series with and without issuer show one person; None where headers do not tell."""
    births, owner_births = (_values(connection, number, "birth", bare) for bare in (1, 0))
    if births and owner_births:
        return len(births | owner_births) == 1
    names = [_values(connection, number, "patient", bare) for bare in (1, 0)]
    return True if len(names[0] | names[1]) == 1 else None


def _values(connection: sqlite3.Connection, number: str, kind: str, bare: int) -> set[str]:
    sql = """SELECT DISTINCT value FROM identities JOIN series ON series = id
             WHERE number = ? AND bare = ? AND kind = ?"""
    return {value for (value,) in connection.execute(sql, (number, bare, kind))}
