"""A document is held equal to the code, and a change that breaks who relies on it has to be declared."""

import json
import subprocess
from pathlib import Path

import pytest

from chassis.dev import documents
from chassis.dev.breaking import Json

ROUTE = "POST /v1/things"


def breaks(before: Json, after: Json) -> list[str]:
    return sorted(f"{name}: removed" for name in before.keys() - after.keys())


class Code:
    """A repository with the document and a changelog, committed; the code is what `says` holds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.says: Json = {ROUTE: {}, "GET /v1/things": {}}
        self.document = documents.Document("api.json", "api", "client", lambda: json.dumps(self.says), breaks)

    def git(self, *arguments: str) -> None:
        identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
        command = ["git", *identity, *arguments]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True)

    def release(self, version: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "Release")
        self.git("tag", version)

    def note(self, line: str) -> None:
        with (self.folder / documents.CHANGELOG).open("a") as changelog:
            changelog.write(f"- {line}\n")

    def change(self, says: Json) -> None:
        self.says = says
        (self.folder / self.document.file).write_text(json.dumps(says))

    def check(self) -> str:
        return self.document.check()


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Code:
    monkeypatch.setattr(documents, "project_folder", lambda: tmp_path)
    code = Code(tmp_path)
    code.git("init", "--quiet")
    code.note("Begun")
    code.change(code.says)
    return code


def test_before_the_first_release_only_the_code_is_compared_with(code: Code) -> None:
    assert "there is no release yet" in code.check()
    (code.folder / "api.json").write_text("{}")
    with pytest.raises(
        documents.DocumentError, match=r"api\.json is not up to date with the code: type `uv run just api`"
    ):
        code.check()
    (code.folder / "api.json").unlink()
    with pytest.raises(documents.DocumentError, match=r"api\.json is missing: type `uv run just api`"):
        code.check()


def test_a_break_fails_until_it_is_declared_for_this_release(code: Code) -> None:
    code.note("Breaking: something else")
    code.release("v1.0.0")
    assert "no undeclared breaking change since v1.0.0" in code.check()
    code.change({ROUTE: {}})
    with pytest.raises(documents.DocumentError) as raised:
        code.check()
    assert str(raised.value).endswith("\n- Breaking: GET /v1/things: removed")
    code.note("Breaking: GET /v1/things: removed")
    assert "no undeclared breaking change since v1.0.0" in code.check()
    code.change({ROUTE: {}, "GET /v1/things": {}})
    code.release("v1.1.0")
    code.change({ROUTE: {}})
    with pytest.raises(documents.DocumentError, match=r"breaks clients of v1\.1\.0"):
        code.check()


def test_a_document_is_written_anew_or_where_there_is_none(code: Code) -> None:
    file = code.folder / "api.json"
    file.write_text("mine")
    code.document.write(anew=False)
    assert file.read_text() == "mine"
    code.document.write()
    assert json.loads(file.read_text()) == code.says
