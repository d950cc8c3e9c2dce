"""This machine: where other programs' files lie on it, the file that says so, what it has to render with."""
