"""What notebooks need besides the method: how they begin and save, figures and tables, batches of runs."""
