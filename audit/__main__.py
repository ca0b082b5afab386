"""`python -m fairwitness.audit` is the command line."""

from fairwitness.audit.cli import main

main()
