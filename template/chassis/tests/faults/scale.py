"""How long the suite goes on: FAULTS_SCALE is `full`, as `just faults` sets it, or else short."""

import os


def pick[T](*, short: T, full: T) -> T:
    return full if os.environ.get("FAULTS_SCALE") == "full" else short
