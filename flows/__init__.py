"""What happens, in the runbook's words: one file a procedure, one flow a file."""
