"""The harness behind `shitu-edge bench`: work, measuring, statistics, environment, verdict, report."""
