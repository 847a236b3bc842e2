"""The questions: which answers are accepted, which are rejected, and that accepted text is written unchanged."""

import ast
import json
import keyword
import re
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT, Render, text_files

QUESTIONS = {
    name: question
    for name, question in yaml.safe_load((ROOT / "copier.yml").read_text(encoding="utf-8")).items()
    if not name.startswith("_")
}
HOSTILE_TEXTS = [
    'Bob\'s "best" back\\slash \\n \\',
    "${{ secrets.TOKEN }} {{ 7*7 }} {% raw %} {# no #} $(id) `id`",
    "# no comment: - [x] key: value, {a: b} & *anchor !tag %TAG @at | > ?",
    "Ünïcödé 日本語 עברית 🏳️‍🌈 👩‍💻 ﷽",
    "'''\"\"\" <!-- --> <b> &amp; ]]> \\u0041 \\x41",
    "true",
    "null",
    "~",
    "1e3",
    "=cmd|' /C calc'!A0",
    "x" * 200,
    "😀" * 200,
]
REFUSED_TEXTS = [
    "",
    " ",
    " a",
    "a ",
    "a\nb",
    "a\n",
    "a\rb",
    "a\tb",
    "a\0b",
    "a\x1b[31m",
    "a\x7f",
    "a\u202eb",
    "a\u2028b",
    "\ufeffa",
]
REFUSED_SLUGS = [
    *("../evil", "/evil", "evil/x", "evil\\x", ".", "..", "~", "a b", "A", "a--b", "-a", "a-", "1a", "a_b", "a.b", ""),
    *(
        "class",
        "match",
        "json",
        "test",
        "tests",
        "src",
        "dev",
        "docs",
        "chassis",
        "con",
        "com1",
        "fastapi",
        "rust-just",
        "acme\n",
    ),
    *("\uff41cme", "\u0430\u0441me", "acmé", "a\u200bb", "a" * 64, "{{ 7*7 }}", "$(id)", "a;b"),
]


def refusal(render: Render, tmp_path: Path, question: str, value: object) -> str:
    """Give an invalid answer, check that nothing was written, and return the error message."""
    with pytest.raises(ValueError, match=f"question '{question}'") as raised:
        render(**{question: value})
    assert list(tmp_path.iterdir()) == []
    return str(raised.value).partition(": ")[2]


@pytest.mark.parametrize("slug", REFUSED_SLUGS)
def test_a_slug_that_would_break_something_is_refused(render: Render, tmp_path: Path, slug: str) -> None:
    assert 0 < len(refusal(render, tmp_path, "project_slug", slug)) <= 40


@pytest.mark.parametrize(
    "name", ["class", "json", "uvicorn", "chassis", "a-b", "A", "_a", "a__b", "../a", "a.b", "a" * 64, "a\n", "\uff41"]
)
def test_a_package_name_that_would_break_something_is_refused(render: Render, tmp_path: Path, name: str) -> None:
    assert 0 < len(refusal(render, tmp_path, "package_name", name)) <= 40


@pytest.mark.parametrize(
    ("question", "value", "reason"),
    [
        ("project_slug", "9-lives", "Begin with a letter"),
        ("project_slug", "lives-", "End with a letter or a digit"),
        ("project_slug", "nine--lives", "Use a-z, 0-9 and single hyphens"),
        ("package_name", "9_lives", "Begin with a letter"),
        ("package_name", "lives_", "End with a letter or a digit"),
        ("package_name", "Lives", "Use a-z, 0-9, single underscores"),
    ],
)
def test_a_refusal_says_what_is_wrong_with_this_value(
    render: Render, tmp_path: Path, question: str, value: str, reason: str
) -> None:
    assert refusal(render, tmp_path, question, value) == reason


@pytest.mark.parametrize("question", ["project_name", "description", "user_name"])
@pytest.mark.parametrize("text", REFUSED_TEXTS)
def test_text_that_is_not_one_printable_line_is_refused(
    render: Render, tmp_path: Path, question: str, text: str
) -> None:
    assert 0 < len(refusal(render, tmp_path, question, text)) <= 40


@pytest.mark.parametrize(
    "address", ["a", "a@b", "a b@c.de", "a@b.de\n", "<a@b.de>", "a@b.de,c@d.de", "é@b.de", "a@" + "b" * 254 + ".de"]
)
def test_an_address_that_is_none_is_refused(render: Render, tmp_path: Path, address: str) -> None:
    assert 0 < len(refusal(render, tmp_path, "user_email", address)) <= 40


@pytest.mark.parametrize(
    ("question", "value"),
    [("python_version", "3.11"), ("auth", "basic"), ("events", "kafka"), ("ci", "jenkins"), ("license", "GPL")],
)
def test_a_choice_that_is_not_offered_is_refused(render: Render, tmp_path: Path, question: str, value: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the words are Copier's
        render(**{question: value})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_text_arrives_as_it_was_typed_in_every_file_that_carries_it(render: Render, text: str) -> None:
    name = text[:100].strip()
    project = render(project_name=name, description=text, user_name=name, project_slug="shop", license="MIT")
    metadata = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert metadata["description"] == text
    assert metadata["authors"] == [{"name": name}]
    assert described(project / "src/shop/service.py") == {"title": name, "description": text}
    answers: dict[str, Any] = yaml.safe_load((project / ".copier-answers.yml").read_text(encoding="utf-8"))
    assert (answers["project_name"], answers["description"], answers["user_name"]) == (name, text, name)
    readme = (project / "README.md").read_text(encoding="utf-8").splitlines()
    assert readme[:3] == [f"# {name}", "", text]
    assert f"Copyright (c) {name}" in (project / "LICENSE").read_text(encoding="utf-8").splitlines()
    carriers = {path.name for path in text_files(project) if name in path.read_text(encoding="utf-8")}
    if len(name) > len("null"):
        assert carriers <= {"pyproject.toml", "service.py", ".copier-answers.yml", "README.md", "LICENSE"}


def described(service: Path) -> dict[str, object]:
    """Return the title and the description that `service.py` passes to `Service`."""
    [call] = [node for node in ast.walk(ast.parse(service.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    return {name: ast.literal_eval(keywords[name]) for name in ("title", "description")}


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Acme Shop", "acme-shop"),
        ("  A  --  B  ".strip(), "a-b"),
        ("3D Printing & Co.", "d-printing-co"),
        ("日本", "backend"),
        ("x" * 100, "x" * 63),
        ("a" * 62 + " b", "a" * 62),
        ("İstanbul", "i-stanbul"),
        ("Calendar", "calendar-backend"),
        ("Rust Just", "rust-just-backend"),
    ],
)
def test_a_slug_is_made_from_the_name(render: Render, tmp_path: Path, name: str, slug: str) -> None:
    render(project_name=name)
    metadata = tomllib.loads((tmp_path / "acme-shop" / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert metadata["name"] == slug


def test_every_question_has_a_default_and_a_help_that_fits_a_narrow_terminal() -> None:
    for name, question in QUESTIONS.items():
        assert "default" in question, name
        assert len(question["help"]) <= 37, name  # of 40 columns, Copier takes three
        assert question["help"].endswith("?") == (question["type"] == "bool"), name
        assert question["type"] in {"str", "bool"}, name
        assert "choices" in question or "validator" in question or question["type"] == "bool", name


def test_the_stated_number_of_questions_is_right() -> None:
    asked = [name for name, question in QUESTIONS.items() if question.get("ask", True)]
    assert len(asked) == 8
    assert "Eight questions" in (ROOT / "copier.yml").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "Eight questions" in readme
    assert re.findall(r"^\| `(\w+)` \|", readme, re.MULTILINE) == asked


def test_the_reserved_names_cover_python(template: Path) -> None:
    text = (template / "includes" / "names.jinja").read_text(encoding="utf-8")
    names = {name for group in re.findall(r"= '\n(.*?)'", text, re.DOTALL) for name in group.split()}
    taken = {name.lower() for name in sys.stdlib_module_names if not name.startswith("_")}
    taken |= {word.lower() for word in [*keyword.kwlist, *keyword.softkwlist] if word != "_"}
    assert taken <= names


def test_no_answer_is_a_secret(default_project: Path) -> None:
    answers = yaml.safe_load((default_project / ".copier-answers.yml").read_text(encoding="utf-8"))
    assert set(answers) == {"_src_path", *QUESTIONS}
    assert not any(question.get("secret") for question in QUESTIONS.values())
    assert json.dumps(answers).isascii()


SECRET = re.compile(
    r"""(?imx) (?:password|passwd|secret|token|key)\w*
    (?: ['"]? \s* [:=] \s* ['"](?!chassis['"])[\w+/-]{6,}['"] | [:=][ ]?[\w+/-]{6,}$ )
    | ://[^/\s:@]+:(?!password@)[^/\s:@{]+@ | -----BEGIN """
)


def test_no_secret_comes_with_a_project(default_project: Path) -> None:
    """Values in tests are not secrets: only tests read them."""
    for path in text_files(default_project):
        if "tests" not in path.parts:
            assert not SECRET.search(path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize(
    "text", ['SECRET_KEY="changethis"', "password: hunter22", "postgresql://app:hunter2@db/app", "-----BEGIN RSA"]
)
def test_a_secret_would_be_found(text: str) -> None:
    assert SECRET.search(text)


def installed_names(site_packages: str) -> set[str]:
    """Return the import names and the distribution names of the packages in an environment."""
    found = list(distributions(path=[site_packages]))
    files = [file for distribution in found for file in distribution.files or () if file.suffix in {".py", ".so"}]
    names = {file.parts[0].partition(".")[0] for file in files}
    tops = {name.lower() for name in names if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name)}
    return tops | {re.sub(r"[-_.]+", "_", distribution.name).lower() for distribution in found}
