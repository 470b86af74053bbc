"""One profile for all hostile input: the same examples each time, without a clock."""

from amounts import examples
from hypothesis import HealthCheck, settings

settings.register_profile(
    "hostile",
    max_examples=examples(60),
    # The first example compiles or imports.
    deadline=None,
    derandomize=True,
    database=None,
    # A file of a fixture's folder is written anew by every example.
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
settings.load_profile("hostile")
