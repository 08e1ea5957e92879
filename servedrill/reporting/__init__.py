"""What people see: live progress, the final table, the files of a run."""
