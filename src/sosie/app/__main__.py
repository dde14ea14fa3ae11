"""`python -m sosie.app` is the command line where the `sosie` script is not on the path."""

from sosie.app.cli import main

main()
