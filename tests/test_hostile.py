"""Hostile answers: each is rejected with a reason, or stays plain text in every file that contains it."""

# ruff: noqa: RUF001  # ambiguous characters are part of the test

import ast
import itertools
import json
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml
from conftest import text_files
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2.exceptions import FilterArgumentError
from projects import answers_of, change_answers, start, tree
from releases import commit, git
from render import copy_template
from test_questions import described
from test_render import RUFF

pytestmark = pytest.mark.slow

QUOTING = [
    *(
        "'",
        '"',
        "`",
        "''",
        '""',
        "'''",
        '"""',
        "'\"`",
        "\\",
        "\\\\",
        '\\"',
        "\\'",
        "\\n",
        "\\u0000",
        "\\x00",
        "\\N{BULLET}",
    ),
    *(
        '"; import os #',
        "'); import os #",
        '""" + open("/etc/passwd").read() + """',
        "%s %d %(x)s {0} {x} {x!r} {}",
        "$x ${x} $$",
    ),
    *("a\\", 'a"', "a'", "\\a", "//", "/* */", "<!--", "-->", "<![CDATA[", "]]>", "&lt;", "<script>alert(1)</script>"),
]
EXPRESSIONS = [
    *(
        "{{ 7*7 }}",
        "{{7*7}}",
        "{% raw %}",
        "{% endraw %}",
        "{# comment #}",
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
        "{{ _copier_conf }}",
    ),
    *(
        "{{ ''.__class__.__mro__ }}",
        "{% include '/etc/passwd' %}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ undefined_name }}",
    ),
    *(
        "${{ secrets.TOKEN }}",
        "${{ github.event.issue.title }}",
        "$(id)",
        "`id`",
        "${IFS}",
        "$((7*7))",
        "!(id)",
        "#{7*7}",
        "<%= 7*7 %>",
    ),
    *(
        "${jndi:ldap://127.0.0.1/a}",
        "T(java.lang.Runtime)",
        "__import__('os').system('id')",
        "f'{7*7}'",
        "{7*7}",
        "%{7*7}",
    ),
]
YAML_AND_TOML = [
    *(
        "true",
        "false",
        "yes",
        "no",
        "on",
        "off",
        "null",
        "~",
        "none",
        "nan",
        ".inf",
        "-.inf",
        "0",
        "1",
        "-1",
        "1e3",
        "0x10",
        "0o7",
    ),
    *(
        "2026-01-01",
        "12:30:45",
        "1_000",
        ".5",
        "=",
        "<<",
        "---",
        "...",
        "- a",
        "? a",
        ": a",
        "a: b",
        "a: b: c",
        "a:",
        "[a]",
        "{a: b}",
    ),
    *(
        "# a",
        "a # b",
        "&a",
        "*a",
        "!a",
        "!!python/object/apply:os.system [id]",
        "|",
        ">",
        "|-",
        "%YAML 1.2",
        "@a",
        "`a`",
        ", a",
        "]",
        "}",
    ),
    *("[section]", "a = 1", "[[a]]", "a.b.c", '"a" = 1', "a\u00a0b", "é: è", "“quoted”", "‘quoted’"),
]
SCRIPTS = [
    *(
        "日本語",
        "العربية",
        "עברית",
        "ไทย",
        "हिन्दी",
        "Ελληνικά",
        "Кириллица",
        "İıŞş",
        "ﬁﬂ",
        "ß",
        "Ｆｕｌｌ",
        "𝕄𝕒𝕥𝕙",
        "ʰ",
        "Å",
        "A\u030a",
        "e\u0301",
    ),
    *("🏳️‍🌈", "👩‍💻", "👍🏽", "🇺🇳", "😀" * 50, "𓀀", "\U0010fffd", "\ue000", "\u200d", "a\u200db", "Z̷͓̆a̸l̵g̶o̴"),
]
CONTROLS = [f"a{chr(code)}b" for code in (*range(32), *range(127, 160))] + [
    *(
        f"a{character}b"
        for character in (
            "\u00ad\u061c\u200b\u200c\u200e\u200f\u2028\u2029\u202a\u202b\u202d\u202e\u2060\u2066\u2067\ufeff"
        )
    ),
    *("\ufffe", "\uffff", "\U000e0001", "a\u202eexe.txt", "\x1b]0;title\x07", "\x1b[2J"),
]
PATHS = [
    *(
        "../evil",
        "../../evil",
        "/evil",
        "/etc/passwd",
        "..",
        ".",
        "~",
        "~root",
        "C:\\evil",
        "\\\\server\\share",
        "file:///etc/passwd",
    ),
    *(
        "con",
        "nul.txt",
        "a/b",
        "a\\b",
        ".git",
        "-rf",
        "--help",
        "-",
        "*",
        "?",
        "a|b",
        "a>b",
        "a;b",
        "a&b",
        "a b",
        " a",
        "a ",
        "\ta",
    ),
]
# What linters, formatters and secret scanners would act on.
LINTED = [
    *("0.0.0.0", "::", "/tmp/evil"),  # noqa: S104, S108  # texts of a title, no address is bound and no file opened
    *("# noqa", "# type: ignore", "# fmt: off", "TODO: x", "password=hunter2"),
    *("a'b\"c", 'a"b"c\'', "'\\'\"", '"\\""', "SELECT * FROM a WHERE b = %s", "https://example.org/" + "x" * 80),
]
TEXTS = list(
    dict.fromkeys(
        [
            *QUOTING,
            *EXPRESSIONS,
            *YAML_AND_TOML,
            *SCRIPTS,
            *CONTROLS,
            *PATHS,
            *LINTED,
            "",
            "x" * 100,
            "x" * 201,
            "x" * 10_000,
        ]
    )
)
FREE = ("project_name", "description", "user_name")
HARMLESS = dict.fromkeys(FREE, "harmless")
COMPUTED = ("project_slug", "package_name", "user_email")


class Refused(Exception):  # noqa: N818  # an outcome, not an error
    """The template rejected an answer; nothing was written."""


@dataclass(frozen=True)
class Control:
    """A file of a project with harmless texts: its bytes, and its structure, which no text may change."""

    content: bytes
    shape: object


type Controls = dict[str, Control]


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template without most files that are copied as they are, where no answer arrives."""
    return without_plain_files(copy_template(tmp_path_factory.mktemp("bare")))


def without_plain_files(template: Path) -> Path:
    for folder in ("src", "tests"):
        shutil.rmtree(template / "template" / "chassis" / folder)
    for path in (template / "template").rglob("*"):
        if path.is_file() and path.suffix != ".jinja" and path.name not in {"__init__.py", "ruff.toml"}:
            path.unlink()
    return template


@pytest.fixture(scope="session")
def controls(bare: Path) -> Controls:
    with tempfile.TemporaryDirectory() as folder:
        project = make(bare, Path(folder), HARMLESS)
        paths = {str(path.relative_to(project)): path for path in text_files(project)}
        return {name: Control(path.read_bytes(), shape_of(path)) for name, path in paths.items()}


def make(template: Path, folder: Path, answers: dict[str, Any]) -> Path:
    target = folder / "project"
    answers = {"project_slug": "shop", "license": "MIT"} | answers
    try:
        copier.run_copy(str(template), target, data=answers, defaults=True, quiet=True)
    except ValueError as error:
        said = str(error)
    else:
        assert [path.name for path in folder.iterdir()] == ["project"], "something was written outside the folder"
        return target
    assert list(folder.iterdir()) == [], "something was written"
    question, _, reason = said.removeprefix("Validation error for question '").partition("': ")
    assert question in answers, said
    assert 0 < len(reason) <= 40, said
    raise Refused(said)


def shape_of(path: Path) -> object:
    """Return the syntax tree without its strings, the tree of keys, or the number of lines of other files."""
    text = path.read_text(encoding="utf-8")
    match path.suffix:
        case ".py":
            return ast.dump(Blank().visit(ast.parse(text)))
        case ".toml":
            return keys(tomllib.loads(text))
        case ".json":
            return keys(json.loads(text))
        case ".yml" | ".yaml":
            return keys(yaml.safe_load(text))
    # Not splitlines, which also splits at other characters.
    return text.count("\n")


class Blank(ast.NodeTransformer):
    """Replaces the strings of a syntax tree by empty ones."""

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:  # named by ast
        return ast.Constant("") if isinstance(node.value, str) else node


def keys(value: object) -> object:
    if isinstance(value, dict):
        return {key: keys(inner) for key, inner in value.items()}
    return [keys(inner) for inner in value] if isinstance(value, list) else type(value).__name__


def check(template: Path, controls: Controls, answers: dict[str, str]) -> bool:
    """Create a project with these texts, check that they stay text, and return whether they were accepted."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            project = make(template, Path(folder), answers)
        except Refused:
            return False
        check_project(project, controls, HARMLESS | answers)
    return True


def check_project(project: Path, controls: Controls, texts: dict[str, str]) -> None:
    """Check that a project has the structure of the control, and each text exactly where it belongs."""
    paths = {str(path.relative_to(project)): path for path in text_files(project)}
    assert paths.keys() == controls.keys()
    for name, path in paths.items():
        assert path.read_bytes() == controls[name].content or shape_of(path) == controls[name].shape, name
    metadata = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    recorded = yaml.safe_load((project / ".copier-answers.yml").read_text(encoding="utf-8"))
    service = project / "src" / "shop" / "service.py"
    assert described(service) == {"title": texts["project_name"], "description": texts["description"]}
    subprocess.run([*RUFF, "format", "--check", "--no-cache", service], cwd=project, check=True)
    subprocess.run([*RUFF, "check", "--no-cache", service], cwd=project, check=True)
    assert metadata["description"] == texts["description"]
    assert metadata["authors"] == [{"name": texts["user_name"]}]
    assert {name: recorded[name] for name in FREE} == texts
    assert (project / "README.md").read_text(encoding="utf-8").split("\n")[0] == f"# {texts['project_name']}"
    assert f"\nCopyright (c) {texts['user_name']}\n" in (project / "LICENSE").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_a_text_is_refused_or_stays_text(bare: Path, controls: Controls, text: str) -> None:
    """It is the answer to all three free-text questions; a text too long for two of them is also tried in one."""
    check(bare, controls, dict.fromkeys(FREE, text))
    if len(text) > 100:
        check(bare, controls, {"project_name": "harmless", "user_name": "harmless", "description": text})


@pytest.mark.parametrize("question", COMPUTED)
def test_no_text_is_accepted_by_a_question_for_a_name(bare: Path, question: str) -> None:
    harmless = {""} if question == "user_email" else {"yes", "no", "on", "off", "null", "nan"}
    for text in TEXTS:
        with tempfile.TemporaryDirectory() as folder:
            if text in harmless:
                project = make(bare, Path(folder), {question: text})
                recorded = yaml.safe_load((project / ".copier-answers.yml").read_text(encoding="utf-8"))
                assert recorded[question] == text
            else:
                with pytest.raises(Refused):
                    make(bare, Path(folder), {question: text})


@settings(deadline=None, derandomize=True, max_examples=30)
@given(texts=st.fixed_dictionaries(dict.fromkeys(FREE, st.text(max_size=120))))
def test_any_unicode_text_is_refused_or_stays_text(bare: Path, controls: Controls, texts: dict[str, str]) -> None:
    check(bare, controls, texts)


@settings(deadline=None, derandomize=True, max_examples=30)
@given(text=st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=100))
def test_any_printable_text_is_accepted(bare: Path, controls: Controls, text: str) -> None:
    assert check(bare, controls, dict.fromkeys(FREE, text))


def in_threes(texts: list[str]) -> list[dict[str, str]]:
    """Assign texts to the three free questions; similar ones together, as a rejected text hides the other two."""
    alike = sorted(texts, key=lambda text: (text.isprintable(), text == text.strip()))
    return [dict(zip(FREE, three, strict=False)) for three in itertools.batched(alike, 3, strict=False)]


# Updates are slow.
SAMPLE = in_threes(TEXTS[::4])


@pytest.fixture(scope="module")
def living(bare: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in git with harmless texts, and its template, a repository too."""
    released = shutil.copytree(bare, tmp_path_factory.mktemp("released") / "template")
    git(released, "init", "--quiet")
    commit(released, "Release", "v1.0.0")
    harmless = HARMLESS | {"project_slug": "shop", "license": "MIT"}
    return start(released, tmp_path_factory.mktemp("living") / "project", **harmless)


@pytest.fixture
def project(living: Path, tmp_path: Path) -> Path:
    return shutil.copytree(living, tmp_path / "project")


@pytest.fixture(scope="module")
def living_controls(living: Path) -> Controls:
    """The controls include the release recorded in the answers file."""
    paths = {str(path.relative_to(living)): path for path in text_files(living)}
    return {name: Control(path.read_bytes(), shape_of(path)) for name, path in paths.items()}


def refused_by(action: Callable[[], None], project: Path) -> bool:
    """Return whether an action is refused; if so, check that it names question and reason and changes nothing."""
    try:
        action()
    except (ValueError, FilterArgumentError) as error:
        said = str(error)
    else:
        return False
    question, _, reason = said.removeprefix("Validation error for question '").partition("': ")
    assert question in FREE, said
    assert 0 < len(reason) <= 40, said
    assert git(project, "status", "--porcelain") == ""
    return True


@pytest.mark.parametrize("texts", SAMPLE, ids=lambda texts: ascii(list(texts.values())))
def test_an_update_refuses_a_text_or_leaves_it_text(
    project: Path, living_controls: Controls, texts: dict[str, str]
) -> None:
    if not refused_by(lambda: change_answers(project, **texts), project):
        check_project(project, living_controls, HARMLESS | texts)
        commit(project, "Change the texts")
        change_answers(project)
        assert git(project, "status", "--porcelain") == ""


@pytest.mark.parametrize("texts", SAMPLE, ids=lambda texts: ascii(list(texts.values())))
def test_an_answers_file_that_was_edited_is_refused_or_its_texts_stay_text(
    project: Path, living_controls: Controls, texts: dict[str, str]
) -> None:
    before = tree(project)
    answers = project / ".copier-answers.yml"
    answers.write_text(yaml.safe_dump(answers_of(project) | texts, allow_unicode=True), encoding="utf-8")
    commit(project, "Edit the answers")
    if refused_by(lambda: change_answers(project), project):
        assert refused_by(lambda: recopy(project), project)
        return
    # Copier takes the difference from what the edited answers give for the user's edits, and keeps it.
    assert {name for name, file in tree(project).items() if file != before[name]} == {".copier-answers.yml"}
    recopy(project)
    check_project(project, living_controls, HARMLESS | texts)


def recopy(project: Path) -> None:
    copier.run_recopy(project, defaults=True, overwrite=True, quiet=True)
