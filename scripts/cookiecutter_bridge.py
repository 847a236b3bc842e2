"""Writes `cookiecutter.json` from `copier.yml`, for the same questions in Cookiecutter; `--check` only compares."""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml
from render import TEMPLATE

# Cookiecutter renders every default, and treats answers of the command line as defaults. With unusual delimiters,
# braces in an answer stay text, as in Copier.
MARK = "{cookiecutter"
DELIMITERS = {
    "block_start_string": MARK + "%",
    "variable_start_string": MARK + "{",
    "comment_start_string": MARK + "#",
}
# Aborts an update whose recorded answers are invalid; irrelevant here, as Cookiecutter does not update.
GUARD = '{% from "includes/checks.jinja" import kept with context %}{{ kept() }}'
COMMENT = re.compile(r"\{#.*?#\}\n*", re.DOTALL)
CARRIED = {"type", "help", "default", "choices", "validator", "ask", "placeholder"}
# The defaults for a new project and for a project that is older than the question.
BEGIN = re.compile(
    r'\{% from "includes/checks.jinja" import begins_with with context %\}\{\{ begins_with\("(\w+)", "\w+"\) \}\}'
)
MACRO = re.compile(r'\{% from "(?P<file>[\w./]+)" import (?P<name>\w+) %\}\{\{ (?P=name)\((?P<question>\w+)\) \}\}')


class BridgeError(Exception):
    """Cookiecutter cannot ask a question as Copier does."""


def bridge(template: Path) -> str:
    """Return the text of `cookiecutter.json` for a template."""
    questions = load(template)
    asked = {name: question for name, question in questions.items() if question.get("ask", True)}
    context: dict[str, Any] = {name: offered(template, name, question) for name, question in asked.items()}
    # Private names are not asked. Without an answer, Copier computes the default.
    context |= {f"_{name}": None for name in questions if name not in asked}
    context["__folder"] = folder(template)
    context["__prompts__"] = {name: prompt(question) for name, question in asked.items()}
    context["_jinja2_env_vars"] = DELIMITERS
    return json.dumps(context, indent=2, ensure_ascii=False) + "\n"


def load(template: Path) -> dict[str, dict[str, Any]]:
    settings: dict[str, Any] = yaml.safe_load((template / "copier.yml").read_text(encoding="utf-8"))
    questions = {name: question for name, question in settings.items() if not name.startswith("_")}
    for name, question in questions.items():
        carried = CARRIED | {"when"} if question.get("when") == GUARD else CARRIED
        if unknown := question.keys() - carried:
            raise BridgeError(f"{name}: Cookiecutter does not support {', '.join(sorted(unknown))}")
        if question["type"] not in {"bool", "str"}:
            raise BridgeError(f"{name}: Cookiecutter does not support the type {question['type']}")
        if "{{" in question["help"] or "{%" in question["help"]:
            raise BridgeError(f"{name}: Cookiecutter does not render prompts")
    return questions


def offered(template: Path, name: str, question: dict[str, Any]) -> object:
    """Return the default of a question, or all its choices with the default first."""
    if "choices" not in question:
        return default(template, name, question["default"])
    values = list(labels(question).values())
    begun = BEGIN.fullmatch(question["default"])
    first = begun[1] if begun else question["default"]
    return sorted(values, key=lambda value: value != first)


def default(template: Path, name: str, text: object) -> object:
    """Return a default; a computed one contains the source of its macro, as Cookiecutter cannot include files."""
    if not isinstance(text, str) or not ("{{" in text or "{%" in text):
        return text
    if not (call := MACRO.fullmatch(text)):
        raise BridgeError(f"{name}: a computed default must be one call of an imported macro")
    source = COMMENT.sub("", (template / call["file"]).read_text(encoding="utf-8"))
    return marked(f"{source.strip()}{{{{ {call['name']}(cookiecutter.{call['question']}) }}}}")


def folder(template: Path) -> str:
    """Return a folder name that equals a valid slug and is safe for an invalid one, which Copier rejects later."""
    source = (template / "includes" / "names.jinja").read_text(encoding="utf-8")
    macro = re.search(r"\{%- macro words_of\(.*?\{%- endmacro -%\}", source, re.DOTALL)
    if not macro:
        raise BridgeError("includes/names.jinja has no macro words_of")
    return marked(f"{macro[0]}{{{{ words_of(cookiecutter.project_slug) }}}}")


def marked(jinja: str) -> str:
    return re.sub(r"\{([{%#])", rf"{MARK}\1", jinja)


def prompt(question: dict[str, Any]) -> str | dict[str, str]:
    if "choices" not in question:
        return str(question["help"])
    return {"__prompt__": question["help"]} | {value: label for label, value in labels(question).items()}


def labels(question: dict[str, Any]) -> dict[str, str]:
    choices = question["choices"]
    return choices if isinstance(choices, dict) else {choice: choice for choice in choices}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the file is outdated")
    parser.add_argument("--template", type=Path, default=TEMPLATE, help="the folder with copier.yml")
    options = parser.parse_args()
    written = options.template / "cookiecutter.json"
    try:
        text = bridge(options.template)
    except BridgeError as error:
        sys.exit(f"copier.yml: {error}")
    if not options.check:
        written.write_text(text, encoding="utf-8")
    elif not written.is_file() or written.read_text(encoding="utf-8") != text:
        sys.exit("cookiecutter.json does not match copier.yml: run `uv run just bridge`")


if __name__ == "__main__":
    main()
