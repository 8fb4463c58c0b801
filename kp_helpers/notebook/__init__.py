"""What notebooks need besides the method: figures and tables, checked parameters, and batches of runs."""
