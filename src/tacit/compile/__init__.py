"""From a traced function to a program of protocol steps: front ends, passes, execution, cost and ranges."""
