"""The running process: start, signals, reloads, logs, the watchdog, and the end."""
