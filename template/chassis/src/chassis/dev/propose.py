"""Opens a pull request with the template's next release: the workflow `update` runs it every week."""

import json
import shutil
import subprocess
import sys

from chassis.dev import update
from chassis.dev.project import project_folder

AUTHOR = ("-c", "user.name=github-actions[bot]", "-c", "user.email=github-actions[bot]@users.noreply.github.com")
LONGEST_BODY = 60_000
REFUSED = """\
propose: GitHub did not take the branch. A release that changes a workflow needs a token that may do so: store one in
the secret UPDATE_TOKEN, with write access to contents, pull requests and workflows; or run `uv run just update`."""


def main() -> None:
    """Propose the newest release once; whoever closes the pull request is not asked again."""
    if not shutil.which("gh"):
        sys.exit("propose: this needs GitHub's program `gh`; on a machine of yours, run `uv run just update`")
    _run("sign in", "gh", "auth", "setup-git")
    release = _newer_release()
    if not release:
        print("The project has the newest release.")
        return
    branch = f"update-to-{release}"
    request = ("gh", "pr", "list", "--head", branch, "--state", "all", "--json", "number")
    if _run("list the pull requests", *request) != "[]":
        print(f"{branch} has been proposed already.")
        return
    try:
        update.require_clean_tree()
        outcome = update.update([])
    except update.UpdateError as error:
        sys.exit(f"propose: {error}")
    if outcome.finished:
        update.describe_anew()
    title = f"Update to release {release} of the template"
    _run("begin the branch", "git", "switch", "--quiet", "--force-create", branch)
    _run("add the changes", "git", "add", "--all")
    _run("commit", "git", *AUTHOR, "commit", "--quiet", "--message", title)
    if subprocess.run(["git", "push", "--force", "origin", f"HEAD:refs/heads/{branch}"], check=False).returncode:
        sys.exit(REFUSED)
    _open(branch, title, outcome)


def _open(branch: str, title: str, outcome: update.Outcome) -> None:
    """Open the pull request, a draft when a person has to finish it; where there are no drafts, its title says so."""
    create = ["gh", "pr", "create", "--head", branch, "--body-file", "-", "--title"]
    body = outcome.account[:LONGEST_BODY]
    if not outcome.finished:
        draft = [*create, title, "--draft"]
        if not subprocess.run(
            draft, check=False, cwd=project_folder(), input=body, text=True, encoding="utf-8"
        ).returncode:
            return
        title += ", to be finished"
    print(_run("open the pull request", *create, title, text=body))


def _newer_release() -> str:
    """Give the version of a release that is newer than the project's, or nothing."""
    found = json.loads(_run("look for a release", *update.COPIER, "check-update", "--output-format", "json"))
    return str(found["latest_version"]) if found["update_available"] else ""


def _run(purpose: str, *command: str, text: str = "") -> str:
    """Run a command and give what it prints; if it fails, its own words and what they were for are the last said."""
    done = subprocess.run(
        command, cwd=project_folder(), check=False, input=text, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    )
    if done.returncode:
        sys.exit(f"propose: cannot {purpose}, for the reason above")
    return done.stdout.strip()
