"""What a job found, cost and revealed: as data, in the terminal, and as a page."""
