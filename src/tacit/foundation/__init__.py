"""What everything else stands on: errors, counters, the ledger."""
