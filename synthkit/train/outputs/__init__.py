"""What is written from the pack plan, one format a file."""
