"""Records the dialogue in the README: types the name of the project and accepts the other defaults."""

import re
import sys
import tempfile
from pathlib import Path

import yaml
from render import TEMPLATE, copy_template
from terminal import CLEAR, ENTER, Terminal

README = TEMPLATE / "README.md"
COPIER = Path(sys.executable).with_name("copier")
BLOCK = re.compile(r"(?<=^```text\n)\$ uvx copier copy .*?(?=^```$)", re.MULTILINE | re.DOTALL)
# The order of the files depends on the file system.
FILES = re.compile(r"^Copying from template version .*?(?=^$)", re.MULTILINE | re.DOTALL)
NAME, FOLDER = "Corner Bakery", "corner-bakery"


def questions(template: Path) -> list[str]:
    """Return the prompts in order."""
    described = yaml.safe_load((template / "copier.yml").read_text(encoding="utf-8"))
    asked = {name: question for name, question in described.items() if not name.startswith("_")}
    return [question["help"] for question in asked.values() if question.get("ask", True)]


def record(template: Path, folder: Path) -> str:
    """Create a project in the folder and return the final screen."""
    first, *others = questions(template)
    # The screen is high enough that nothing scrolls off.
    with Terminal([str(COPIER), "copy", str(template), FOLDER], folder, rows=1000) as terminal:
        terminal.wait_for(first)
        terminal.press(CLEAR, NAME, ENTER)
        for question in others:
            terminal.wait_for(question)
            terminal.press(ENTER)
        if terminal.wait_for_end():
            raise AssertionError(terminal.text())
        screen = FILES.sub("    ... a line for each file and folder ...\n", terminal.text())
    return f"$ uvx copier copy REPOSITORY {FOLDER}\n{screen}\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        recording = record(copy_template(Path(folder) / "template"), Path(folder))
    readme = README.read_text(encoding="utf-8")
    README.write_text(BLOCK.sub(lambda _: recording, readme), encoding="utf-8")


if __name__ == "__main__":
    main()
