"""What a head is asked: a file for each kind of answer."""
