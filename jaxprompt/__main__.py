"""`python -m jaxprompt` is `jaxprompt`."""

import sys

from jaxprompt.cli import main

sys.exit(main())
