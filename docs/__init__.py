"""The manual, and the script that generates its command reference."""
