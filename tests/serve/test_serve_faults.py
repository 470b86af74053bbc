"""What clients, files and disks do to a server costs nothing; the table is a tool's."""

import pytest
from serve_faults import FAULTS, attempt, disturbed, follow_folder
from serve_setting import command, free_port, full_disk, running
from served_models import write_model


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """A server whose log lies on a full disk."""
    folder = tmp_path_factory.mktemp("faults")
    write_model(folder)
    port, bank = free_port(), folder / "bank"
    flags = ["--slots=3", "--slot_tokens=256", f"--port={port}"]
    words = command(str(folder / "model"), bank, *flags)
    with full_disk(folder) as log, running(words, port=port, log=log) as server:
        yield disturbed(server, bank)


@pytest.mark.parametrize("fault", FAULTS)
def test_clients_that_vanish_or_send_nonsense_and_damaged_files_cost_nothing(
    fault, one
):
    tried = attempt(FAULTS[fault], one, 24)
    assert tried.right > 0
    assert not tried.cost, tried


def test_the_folder_is_followed_where_no_log_can_be_written(one):
    tried = attempt(follow_folder, one, 1)
    assert not tried.cost, tried
