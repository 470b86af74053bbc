"""The command `serve`: what its flags start."""

import argparse
from pathlib import Path


def serve(flags: argparse.Namespace) -> None:
    """Serves until it is stopped.

    Raises:
        NotInstalled: If the extra is not there.
    """
    from jaxprompt.config.settings import Model
    from jaxprompt.serve.names import read_folder, read_named
    from jaxprompt.startup import NotInstalled

    prompts, folder = read_named(flags.prompts), read_folder(flags.bank)
    try:
        from jaxprompt.serve.http.served import Limits
        from jaxprompt.serve.server import Serving
        from jaxprompt.serve.server import serve as run
    except ModuleNotFoundError as error:
        raise NotInstalled(
            f"serve needs {error.name}: pip install 'jaxprompt[serve]'"
        ) from error
    settings = Model(
        name=flags.model,
        revision=flags.revision,
        vocabulary=flags.vocabulary,
        dtype=flags.dtype,
        quantise=flags.quantise,
    )
    run(
        settings,
        prompts,
        folder,
        Serving(
            host=flags.host,
            port=flags.port,
            slots=flags.slots,
            slot_tokens=flags.slot_tokens,
            queue=flags.queue,
            limits=Limits(tokens=flags.max_tokens, seconds=flags.deadline),
            key_file=None if flags.key_file is None else Path(flags.key_file),
            admin_key_file=(
                None if flags.admin_key_file is None else Path(flags.admin_key_file)
            ),
            another_backbone=flags.another_backbone,
            batch_invariant=flags.batch_invariant,
        ),
    )
