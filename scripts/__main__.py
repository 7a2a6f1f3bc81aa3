"""Entry for `python -I scripts`: isolated mode, yet able to import the package beside it."""

from mlactions.__main__ import main

if __name__ == "__main__":
    main()
