"""Messages outlive the release that wrote them."""

from uuid import uuid4

import pytest
from pydantic import ValidationError

from tests.sample.modules.notes.messages import NoteTaken


def test_an_older_worker_reads_a_newer_message() -> None:
    taken = NoteTaken(note_id=uuid4())
    newer = taken.model_dump(mode="json") | {"added_later": 1}
    assert NoteTaken.model_validate(newer) == taken


def test_a_message_does_not_change() -> None:
    with pytest.raises(ValidationError):
        NoteTaken(note_id=uuid4()).note_id = uuid4()  # type: ignore[misc]
