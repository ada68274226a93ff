"""What a person calls: the command line, jobs described in files, and reports."""
