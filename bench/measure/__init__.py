"""The work of the rows of the table. Each module has `run(house, works)`: it does those of its works, and notes what it sees."""
