"""The conventions that the chassis holds a service to; each test says what it wants when it fails."""

from chassis.testing.conventions import (
    test_a_domain_imports_the_standard_library_and_errors_only,
    test_every_function_in_handlers_is_listed,
    test_every_route_has_a_policy,
    test_every_statement_prepares_on_the_migrated_schema,
    test_every_table_has_an_owner_and_no_foreign_key_crosses_owners,
    test_modules_have_the_same_file_names,
    test_no_name_is_meaningless,
    test_the_settings_are_in_the_example,
)

__all__ = [
    "test_a_domain_imports_the_standard_library_and_errors_only",
    "test_every_function_in_handlers_is_listed",
    "test_every_route_has_a_policy",
    "test_every_statement_prepares_on_the_migrated_schema",
    "test_every_table_has_an_owner_and_no_foreign_key_crosses_owners",
    "test_modules_have_the_same_file_names",
    "test_no_name_is_meaningless",
    "test_the_settings_are_in_the_example",
]
