"""What Airflow kept of a story, read from its database: who ran the DAGs, and what went through XCom."""

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

MOMENT = "%Y-%m-%d %H:%M:%S.%f"  # as Airflow keeps it
XCOM_LIMIT = 2048  # bytes
SHORTEST_NAME = 4  # letters: shorter ones are found in any text
PHONE = 10  # digits, without the country and the zero
PEOPLE = """
    SELECT email, phone_number, first_name, last_name FROM customers
    UNION SELECT email, phone_number, first_name, last_name FROM addresses"""
XCOMS = "SELECT dag_id, task_id, key, value FROM xcom"
RENDERED = "SELECT dag_id, task_id, 'rendered fields', rendered_fields FROM rendered_task_instance_fields"
RUN = """
    SELECT r.dag_id, COUNT(*) FROM dag_run r
    WHERE r.state = 'success' AND r.queued_at >= ? AND NOT EXISTS (
        SELECT 1 FROM task_instance t LEFT JOIN job j ON j.id = t.queued_by_job_id
        WHERE t.dag_id = r.dag_id AND t.run_id = r.run_id AND t.state = 'success'
          AND t.queued_dttm IS NOT NULL AND j.job_type IS NOT 'SchedulerJob')
    GROUP BY r.dag_id"""


def differences(airflow: Path, omnitron: Path, dags: Iterable[str], since: datetime) -> list[str]:
    """Every DAG was run by the scheduler since then, no XCom is large, and none holds a person's data."""
    by_scheduler = {dag for dag, _ in _rows(airflow, RUN, since.astimezone(UTC).strftime(MOMENT))}
    return [
        *(f"{dag} was not run to a green end by the scheduler" for dag in dags if dag not in by_scheduler),
        *_large(airflow),
        *_personal(airflow, omnitron),
    ]


def largest_xcom(airflow: Path) -> int:
    """In bytes."""
    return max((len(_text(value).encode()) for *_, value in _rows(airflow, XCOMS)), default=0)


def _large(airflow: Path) -> Iterator[str]:
    for dag, task, key, value in _rows(airflow, XCOMS):
        if (size := len(_text(value).encode())) > XCOM_LIMIT:
            yield f"{dag}, {task}: the XCom {key} has {size} bytes"


def _personal(airflow: Path, omnitron: Path) -> Iterator[str]:
    """Neither the person nor the value is said: the place is enough to look."""
    mails, phones, names = _people(omnitron)
    for dag, task, key, value in (*_rows(airflow, XCOMS), *_rows(airflow, RENDERED)):
        text = _text(value).casefold()
        digits = set(re.findall(r"\d+", text))
        found = {
            "an e-mail address": any(mail in text for mail in mails),
            "a phone number": bool(phones & {one[-PHONE:] for one in digits}),
            "a name": bool(names & set(re.findall(r"[^\W\d_]+", text))),
        }
        yield from (f"{dag}, {task}: {key} holds {what} of a customer" for what, is_there in found.items() if is_there)


def _people(omnitron: Path) -> tuple[set[str], set[str], set[str]]:
    rows = _rows(omnitron, PEOPLE)
    mails = {mail.casefold() for mail, *_ in rows if mail}
    phones = {re.sub(r"\D", "", phone or "")[-PHONE:] for _, phone, *_ in rows}
    names = {word for _, _, *both in rows for name in both if name for word in name.casefold().split()}
    return (
        mails,
        {phone for phone in phones if len(phone) == PHONE},
        {name for name in names if len(name) >= SHORTEST_NAME},
    )


def _text(value: Any) -> str:
    """As people would read it: Airflow keeps JSON, which hides letters behind escapes."""
    if value is None:
        return ""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    try:
        return json.dumps(json.loads(text), ensure_ascii=False)
    except ValueError:
        return text


def _rows(database: Path, query: str, *params: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(query, params).fetchall()
