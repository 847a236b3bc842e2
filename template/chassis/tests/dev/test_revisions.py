"""What `just migration` refuses; that it makes a revision which fits is seen by whoever runs it."""

import pytest

from chassis.dev.revisions import USAGE, RevisionError, add


@pytest.mark.parametrize("arguments", [[], ["notes"], ["notes", "add", "a", "note"]])
def test_two_arguments_are_needed(arguments: list[str]) -> None:
    with pytest.raises(RevisionError) as raised:
        add(arguments)
    assert str(raised.value) == USAGE


def test_an_owner_that_is_not_there_is_said_with_those_that_are() -> None:
    owners = "there are chassis_jobs, chassis_http, notes"
    with pytest.raises(RevisionError, match=f"no module called missing: make its package first; {owners}"):
        add(["missing", "add a note"])
