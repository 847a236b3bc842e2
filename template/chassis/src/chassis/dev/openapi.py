"""The OpenAPI document, written by the command `openapi` and held equal to the code: `python -m chassis.dev openapi`.

The check says as well what would make the document better, and lets it pass: an API that lives cannot rename its paths.
"""

import json

from chassis.dev.breaking import Json, breaks
from chassis.dev.documents import Document
from chassis.dev.project import project_folder, service
from chassis.dev.rules import findings


def written() -> str:
    """Give the document of the code, as `just openapi` writes it."""
    return json.dumps(service().create_api().openapi(), indent=2, ensure_ascii=False) + "\n"


def advice(document: Json) -> str:
    """List what does not keep the rules, after what was said before."""
    return "".join(f"\n- {each}" for each in findings(document))


DOCUMENT = Document("openapi.json", "openapi", "client", written, breaks)


def check() -> str:
    """Compare with the file and with the last release, and say what does not keep the rules. Raises DocumentError."""
    compared = DOCUMENT.check()
    return compared + advice(json.loads((project_folder() / DOCUMENT.file).read_text(encoding="utf-8")))
