"""A drill: phases, traffic, faults and expectations around a stack, written into one history."""
