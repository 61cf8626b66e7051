"""The running process: start, signals, reloads, the watchdog, and the end."""
