"""Jobs: from a file that says who has what, through the phases of the work, to a report."""
