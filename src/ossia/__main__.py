"""``python -m ossia`` is the command line."""

from ossia.cli.main import main

if __name__ == "__main__":
    main()
