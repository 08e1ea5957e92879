"""This machine: its clock, its processes, their memory limits, ports, sockets, GPUs."""
