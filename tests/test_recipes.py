"""The recipes by which a project lives on, and the workflow that proposes updates."""

import os
import re
import shlex
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from demo import free_ports
from months import adapt_the_workflow, add_a_module, add_dependencies, append, replace, rewrite_the_readme, work
from projects import answers_of, attempt, check, conflicts_of, run, start, tree
from releases import commit, current_version, git
from terminal import CTRL_C, Terminal
from test_render import traces_of_the_example
from test_update import release

pytestmark = pytest.mark.slow


@pytest.fixture
def project(request: pytest.FixtureRequest, repository: Path, tmp_path: Path) -> Path:
    """A project of the newest release, set up and committed; a test may ask for other answers."""
    project = start(repository, tmp_path / "acme-shop", description="A service.", **getattr(request, "param", {}))
    git(project, "config", "user.name", "Test")
    git(project, "config", "user.email", "test@example.org")
    run(project, "uv", "run", "--quiet", "just", "setup")
    commit(project, "Lock")
    return project


def just(project: Path, *recipe: str, **variables: str) -> tuple[int, str, str]:
    """Run a recipe, and give its exit status, what it printed, and what it said beside that."""
    done = attempt(project, "uv", "run", "--quiet", "just", *recipe, **variables)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("recipe", ["update", "drop-example"])
def test_what_is_not_committed_is_not_put_at_risk(project: Path, recipe: str) -> None:
    append(project / "README.md", "Not saved.\n")
    (project / "notes.txt").write_text("mine\n")
    before = tree(project)
    status, printed, said = just(project, recipe)
    assert (status, printed) == (2, "")
    assert f"{recipe}: commit these first, or put them aside" in said
    assert " M README.md\n?? notes.txt\n" in said
    assert tree(project) == before


def test_the_image_is_built_with_the_revision_of_the_source(project: Path, tmp_path: Path) -> None:
    """By a stand-in for Docker, which prints what it was asked."""
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\necho "$@"\n')
    docker.chmod(0o755)
    head = git(project, "rev-parse", "--short", "HEAD").strip()
    for change, revision in (("", head), ("Not committed.\n", f"{head}-dirty")):
        append(project / "README.md", change)
        status, printed, said = just(project, "image", PATH=f"{tmp_path}:{os.environ['PATH']}")
        assert (status, printed) == (0, f"build --tag acme-shop --build-arg REVISION={revision} .\n"), said


@pytest.mark.parametrize("begun", [True, False])
def test_a_project_without_a_commit_is_told_to_begin(repository: Path, tmp_path: Path, *, begun: bool) -> None:
    project = start(repository, tmp_path / "acme-shop")
    (project / ".git").rename(tmp_path / "gone")
    if begun:
        git(project, "init", "--quiet")
    status, _, said = just(project, "update")
    assert status == 2
    assert "update: nothing is committed yet: type `git init`, `git add --all` and `git commit`" in said


def test_a_project_that_names_no_release_is_told_so(project: Path) -> None:
    text = (project / ".copier-answers.yml").read_text()
    (project / ".copier-answers.yml").write_text(text.replace("_commit: ", "# "))
    commit(project, "Forget")
    status, _, said = just(project, "update")
    assert status == 2
    assert "update: .copier-answers.yml names no template in git" in said


def test_an_update_gives_an_account(repository: Path, project: Path) -> None:
    work(project, [add_dependencies, adapt_the_workflow])
    run(project, "uv", "lock")
    commit(project, "Lock")
    release(repository)
    status, printed, _ = just(project, "update")
    assert status == 1
    assert printed.startswith(f"# From v{current_version()} to v99.0.0\n")
    assert "\n     M .editorconfig\n" in printed
    assert "\n    ?? chassis/src/chassis/ops/_clock.py\n" in printed
    assert "\n## Conflicts\n" in printed
    assert "\n- `.github/workflows/check.yml`\n" in printed
    assert "\n## New in 99.0.0\n\nA clock.\n\nNext: " in printed
    assert f"New in {current_version()}" not in printed
    assert '"anyio' in (project / "chassis" / "pyproject.toml").read_text()
    run(project, "uv", "lock", "--check")

    git(project, "checkout", "--theirs", "--", ".github/workflows/check.yml")
    commit(project, "Update")
    assert just(project, "update")[:2] == (0, "Nothing changed: the project is at v99.0.0.\n")


def test_an_edit_of_a_file_that_a_release_moves_is_kept_as_a_patch(repository: Path, project: Path) -> None:
    replace(project / "chassis/src/chassis/http/_cors.py", "\nMETHODS = (", "\n# ours\nMETHODS = (")
    commit(project, "Mend the chassis")
    release(repository)
    status, printed, _ = just(project, "update")
    assert status == 1
    assert (
        "The release moved or removed files of the chassis that you had edited: chassis/src/chassis/http/_cors.py"
        in printed
    )
    assert "\n+# ours\n" in (project / "chassis-edits.patch").read_text()


def test_a_lock_that_cannot_be_made_is_said(repository: Path, project: Path) -> None:
    replace(repository / "template" / "chassis" / "pyproject.toml", "structlog>=25.4", "structlog>=99")
    release(repository)
    status, printed, said = just(project, "update")
    assert status == 1
    assert "\n## uv.lock is as it was\n" in printed
    assert "structlog" in said


def test_conflicts_beside_the_files_are_conflicts(repository: Path, project: Path) -> None:
    work(project, [adapt_the_workflow])
    release(repository)
    status, printed, _ = just(project, "update", "--conflict", "rej")
    assert status == 1
    assert "\n- `.github/workflows/check.yml.rej`\n" in printed


def test_what_people_have_set_for_git_does_not_matter(repository: Path, project: Path) -> None:
    for name, value in (("status.branch", "true"), ("color.ui", "always"), ("core.quotePath", "true")):
        git(project, "config", name, value)
    replace(repository / "template" / ".editorconfig", "root = true", "# Größe\nroot = true")
    (repository / "template" / "docs" / "Größe.md").write_text("# Größe\n")
    release(repository)
    status, printed, _ = just(project, "update")
    assert status == 0
    assert "\n    ?? docs/Größe.md\n" in printed


def test_what_people_have_set_for_git_costs_no_edit(repository: Path, project: Path, tmp_path: Path) -> None:
    edited = (".vscode/settings.json", ".python-version", "README.md")
    for name in edited:
        append(project / name, "# ours\n")
    adapt_the_workflow(project)
    commit(project, "Edit")
    kept = {name: (project / name).read_text() for name in edited}
    (tmp_path / "hooks").mkdir()
    (tmp_path / "hooks" / "prepare-commit-msg").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "hooks" / "prepare-commit-msg").chmod(0o755)
    (tmp_path / "new" / "info").mkdir(parents=True)
    (tmp_path / "new" / "info" / "exclude").write_text("*.md\n")
    (tmp_path / "ignore").write_text(".vscode/\n.python-version\n")
    (tmp_path / "gitconfig").write_text(
        f"[core]\nexcludesFile = {tmp_path}/ignore\nhooksPath = {tmp_path}/hooks\n"
        f"[init]\ntemplateDir = {tmp_path}/new\n[status]\nshowUntrackedFiles = no\n"
    )
    release(repository)
    status, printed, said = just(project, "update", GIT_CONFIG_GLOBAL=str(tmp_path / "gitconfig"))
    assert status == 1, said
    assert {name: (project / name).read_text() for name in edited} == kept
    assert "\n- `.github/workflows/check.yml`\n" in printed
    assert conflicts_of(project) == [".github/workflows/check.yml"]


def test_an_update_names_the_settings_and_writes_the_documents(repository: Path, project: Path) -> None:
    replace(repository / "template" / ".env.example.jinja", "# API_CORS_HEADERS=", "# API_NOVELTY=")
    replace(
        repository / "template/chassis/src/chassis/http/_tracked_jobs.py", "Get the progress", "Follow the progress"
    )
    replace(repository / "template/chassis/src/chassis/dev/slos.py", '"slo:bad:rate5m"', '"slo:wrong:rate5m"')
    append(project / ".env", "API_CORS_HEADERS=X-Tenant\n")
    release(repository)
    status, printed, said = just(project, "update")
    assert status == 0, said
    assert "\n## Settings\n\nNew in .env.example: API_NOVELTY\n" in printed
    assert "\nGone, and still in your .env: API_CORS_HEADERS\n" in printed
    assert "Follow the progress" in (project / "openapi.json").read_text()
    assert "slo:wrong:rate5m" in (project / "ops/prometheus/slos.yaml").read_text()


def test_a_relative_address_is_explained(project: Path) -> None:
    text = (project / ".copier-answers.yml").read_text()
    (project / ".copier-answers.yml").write_text(re.sub("_src_path: .*", "_src_path: template", text))
    commit(project, "Be relative")
    status, _, said = just(project, "update")
    assert status == 2
    assert "update: `_src_path: template` in .copier-answers.yml is relative" in said


def test_an_update_that_is_refused_changes_nothing(project: Path) -> None:
    status, printed, said = just(project, "update", "--data", "ci=jenkins", "--vcs-ref=:current:")
    assert (status, printed) == (2, "")
    assert said.endswith("update: Copier refused, for the reason above\n")
    assert git(project, "status", "--porcelain") == ""


def test_an_answer_is_changed_by_the_recipe(project: Path) -> None:
    status, printed, _ = just(project, "update", "--vcs-ref=:current:", "--data", "ci=none")
    assert status == 0
    assert printed.startswith(f"# v{current_version()} with other answers\n")
    assert answers_of(project)["ci"] == "none"
    assert not (project / ".github").exists()


@pytest.mark.parametrize("project", [{}, {"events": "nats"}], ids=["none", "nats"], indirect=True)
def test_dropping_the_example_leaves_what_was_never_there(repository: Path, project: Path, tmp_path: Path) -> None:
    run(project, "uv", "run", "just", "migrate")
    run(project, "uv", "run", "just", "seed")
    status, printed, said = just(project, "drop-example")
    assert status == 0, said
    assert "acme-shop migrate --downgrade orders@base" in printed
    assert tables_of(project).isdisjoint({"orders", "order_lines", "notifications"})
    # The developer's own file: it was copied from .env.example, where the line is gone.
    assert traces_of_the_example(project) == [project / ".env"]
    fresh = start(repository, tmp_path / "fresh", **answers_of(project))
    left = tree(project)
    documents = {"openapi.json", "messages.json"} | (
        {"asyncapi.json"} if answers_of(project)["events"] == "nats" else set()
    )
    assert left.keys() - tree(fresh).keys() == {".dev/secrets", ".env", "uv.lock", *documents}
    for document in documents:
        assert "orders" not in (project / document).read_text()
    assert {name: left[name] for name in tree(fresh)} == tree(fresh)


IMPORTS = [
    "from acme_shop.modules.orders.public import OrderConfirmed",
    "from acme_shop.modules import orders",
    "import acme_shop.modules.notifications.domain",
    "from ..orders import public",
]


def test_an_example_that_is_used_is_not_dropped(project: Path) -> None:
    folder = project / "src" / "acme_shop" / "modules" / "invoices"
    folder.mkdir()
    (folder.parent / "__init__.py").write_text('"""Not modules.orders alone."""\n')
    for line in IMPORTS:
        (folder / "__init__.py").write_text(f'"""Modelled on modules.orders."""\n\n{line}\n')
        commit(project, "Use the example")
        status, _, said = just(project, "drop-example")
        assert status == 2, line
        needs = "these need the example's modules, so change or remove them first:\n"
        assert said.endswith(f"{needs}src/acme_shop/modules/invoices/__init__.py\n")
        assert git(project, "status", "--porcelain") == ""


def test_a_migration_that_depends_on_the_examples_keeps_its_tables(project: Path) -> None:
    work(project, [add_a_module])
    [first] = (project / "src/acme_shop/modules/invoices/migrations").glob("*_0001_*.py")
    replace(first, "depends_on = None", 'depends_on = ("orders_0001",)')
    commit(project, "Depend")
    run(project, "uv", "run", "just", "migrate")
    status, _, said = just(project, "drop-example")
    assert status == 2
    assert said.endswith(f"{first.relative_to(project)}\n")
    assert tables_of(project) >= {"invoices", "orders"}


def test_a_template_that_is_away_costs_no_table(project: Path, repository: Path) -> None:
    run(project, "uv", "run", "just", "migrate")
    repository.rename(repository.with_name("away"))
    status, _, said = just(project, "drop-example")
    assert status == 2
    assert "drop-example: Copier refused, for the reason above" in said
    assert "orders" in tables_of(project)
    assert git(project, "status", "--porcelain") == ""


def test_files_of_ones_own_in_the_examples_folders_are_named(project: Path) -> None:
    (project / "src/acme_shop/modules/orders/gateway.py").write_text('"""Mine."""\n')
    commit(project, "Add a file")
    _, printed, _ = just(project, "drop-example")
    assert "Yours, and still there: src/acme_shop/modules/orders/gateway.py\n" in printed


def tables_of(project: Path) -> set[str]:
    return set(run(project, "uv", "run", "just", "db", "-At", "-c", "SELECT tablename FROM pg_tables").split())


def test_tables_are_taken_down_on_this_machine_only(project: Path) -> None:
    status, _, said = just(project, "drop-example", DATABASE_URL="postgresql://shop@db.example.org/shop")
    assert status == 2
    assert "DATABASE_URL names db.example.org: only one on this machine is emptied or filled" in said
    assert git(project, "status", "--porcelain") == ""


def test_a_module_beside_the_example_outlives_it(repository: Path, project: Path, tmp_path: Path) -> None:
    work(project, [add_a_module])
    assert just(project, "drop-example")[0] == 0
    assert (project / "src" / "acme_shop" / "modules" / "invoices" / "service.py").exists()
    check(project, start(repository, tmp_path / "fresh", **answers_of(project)))


PORTS = ("API_PORT", "API_OPERATIONS_PORT", "WORKER_OPERATIONS_PORT")


def test_ctrl_c_ends_development_without_an_error(project: Path) -> None:
    variables = [f"{name}={port}" for name, port in zip(PORTS, free_ports(len(PORTS)), strict=True)]
    variables += [f"{name}={os.environ[name]}" for name in ("HOME", "PATH")]
    with Terminal(["/usr/bin/env", *variables, "uv", "run", "just", "dev"], project, columns=120) as terminal:
        terminal.wait_for("Ctrl-C ends all of it.")
        terminal.press(CTRL_C)
        assert terminal.wait_for_end() == 0
        assert "error" not in terminal.text().lower()


@pytest.fixture
def forge(project: Path, tmp_path: Path) -> dict[str, str]:
    """A forge to push to, and a `gh` that keeps pull requests in a file: GitHub itself cannot be had in a test."""
    git(tmp_path, "init", "--quiet", "--bare", "origin.git")
    git(project, "remote", "add", "origin", str(tmp_path / "origin.git"))
    git(project, "push", "--quiet", "origin", "main")
    programs = tmp_path / "programs"
    programs.mkdir()
    requests = shlex.quote(str(tmp_path / "requests"))
    (programs / "gh").write_text(
        "#!/bin/sh\n"
        f'case "$1 $2" in\n"auth setup-git") ;;\n"pr list") if [ -e {requests} ]; then echo \'[{{"number":1}}]\'; '
        f"else echo '[]'; fi ;;\n"
        f'"pr create") echo "$@" > {requests}; cat >> {requests} ;;\n*) exit 9 ;;\nesac\n'
    )
    (programs / "gh").chmod(0o755)
    return {"PATH": f"{programs}:{os.environ['PATH']}"}


def steps_of_the_workflow(project: Path) -> list[str]:
    workflow = yaml.safe_load((project / ".github" / "workflows" / "update.yml").read_text())
    return [step["run"] for step in workflow["jobs"]["propose"]["steps"] if "run" in step]


def test_the_workflow_proposes_a_release_once(
    repository: Path, project: Path, forge: dict[str, str], tmp_path: Path
) -> None:
    steps = steps_of_the_workflow(project)
    assert steps == ["uv sync --locked", "uv run python -m chassis.dev propose"]
    for step in steps:
        printed = run(project, "bash", "-e", "-c", step, **forge)
    assert printed == "The project has the newest release.\n"
    assert not (tmp_path / "requests").exists()

    release(repository)
    run(project, "bash", "-e", "-c", steps[-1], **forge)
    request = (tmp_path / "requests").read_text()
    assert request.startswith("pr create --head update-to-99.0.0 --body-file - --title Update to release 99.0.0 of the")
    assert "--draft" not in request
    assert "## New in 99.0.0" in request
    pushed = git(tmp_path / "origin.git", "show", "--stat", "--format=%an %s", "update-to-99.0.0")
    assert pushed.startswith("github-actions[bot] Update to release 99.0.0 of the template")
    assert "_clock.py" in pushed
    assert "uv.lock" in pushed

    git(project, "switch", "--quiet", "main")
    assert "proposed already" in run(project, "bash", "-e", "-c", steps[-1], **forge)


def test_a_proposal_with_conflicts_is_a_draft_that_names_them(
    repository: Path, project: Path, forge: dict[str, str], tmp_path: Path
) -> None:
    work(project, [rewrite_the_readme])
    replace(repository / "template" / "README.md.jinja", "# {{ project_name }}", "# The {{ project_name }}")
    release(repository)
    run(project, "bash", "-e", "-c", steps_of_the_workflow(project)[-1], **forge)
    request = (tmp_path / "requests").read_text()
    assert "--draft" in request.splitlines()[0]
    assert "\n- `README.md`\n" in request
    assert conflicts_of(project) == []


def test_where_there_are_no_drafts_the_title_says_it(
    repository: Path, project: Path, forge: dict[str, str], tmp_path: Path
) -> None:
    program = Path(forge["PATH"].partition(":")[0]) / "gh"
    replace(program, '"pr create")', '"pr create") case "$*" in *--draft*) exit 1 ;; esac;')
    work(project, [rewrite_the_readme])
    git(project, "branch", "update-to-99.0.0")
    replace(repository / "template" / "README.md.jinja", "# {{ project_name }}", "# The {{ project_name }}")
    release(repository)
    run(project, "bash", "-e", "-c", steps_of_the_workflow(project)[-1], **forge)
    assert "of the template, to be finished" in (tmp_path / "requests").read_text().splitlines()[0]


def test_without_the_forges_program_it_is_said(project: Path) -> None:
    done = attempt(project, str(project / ".venv" / "bin" / "python"), "-m", "chassis.dev", "propose", PATH="/nowhere")
    assert (done.returncode, done.stderr) == (
        1,
        "propose: this needs GitHub's program `gh`; on a machine of yours, run `uv run just update`\n",
    )


def test_a_branch_that_the_forge_refuses_is_explained(
    repository: Path, project: Path, forge: dict[str, str], tmp_path: Path
) -> None:
    hook = tmp_path / "origin.git" / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    release(repository)
    done = attempt(project, "bash", "-e", "-c", steps_of_the_workflow(project)[-1], **forge)
    assert done.returncode == 1
    assert "the secret UPDATE_TOKEN" in done.stderr
    assert not (tmp_path / "requests").exists()


def test_the_commands_of_the_readme_are_these(repository: Path, project: Path) -> None:
    section = (
        (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## Update a project\n")[2].partition("\n## ")[0]
    )
    commands = re.findall(r"^(uv run .+?)(?:  +#.*)?$", section, re.MULTILINE)
    assert [command.split()[3] for command in commands] == ["update", "update", "drop-example"]
    release(repository)
    for command in commands:
        run(project, *command.split())
        commit(project, command)
    answers = answers_of(project)
    assert (answers["_commit"], answers["ci"], answers["example"]) == ("v99.0.0", "none", False)
