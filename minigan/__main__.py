"""`python -m minigan ...` is `minigan ...`."""

from minigan.cli import main

if __name__ == "__main__":
    main(prog_name="minigan")
