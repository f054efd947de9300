"""The side-by-side benchmark: Overread beside Orthanc, DCMTK's storescp, nginx and the raw limits of the machine.

Run by scripts/bench. BENCHMARKS.md says how to read what it prints.

`studies` makes the data, `servers` starts who is measured, `upper_layer`, `stow` and `web` are the clients, `measure` holds
the work of each row and appends what it saw to a file, `goals` says what has to be reached, `verdict` decides, `table` prints.
"""
