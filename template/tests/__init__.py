"""Tests mirror the source; `sample` is a module that lives here, to prove the kernel whatever modules there are."""
