"""Sessions: party processes, the commands they take, and the devices a user places computations on."""
