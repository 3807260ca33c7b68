"""`shitu-edge bench` and `tune`: measuring, statistics, environment, verdict, report."""
