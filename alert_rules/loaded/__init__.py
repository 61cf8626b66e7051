"""What the running servers have loaded, compared with what is built."""
