"""`python -m voxlate` is the command `voxlate`."""

from voxlate.cli import main

if __name__ == "__main__":
    main()
