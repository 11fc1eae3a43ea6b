"""The `lorgnette` command: finds the sub-command, reads the settings, turns errors into one line and an exit code.

A command is a module with a docstring (its first line is the help), `add_arguments(parser)` and `run(args) -> int`.
`args.config` is the finished `Config` tree, `args.verbose` the number of -v. Results go to stdout, talk to stderr.

Exit codes: 0 done, 2 something a person can put right (one line on stderr says what), 130 interrupted.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import importlib
import importlib.metadata
import importlib.util
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from lorgnette.assistant.config import Config, load_config
from lorgnette.device.errors import LorgnetteError

_HERE = "lorgnette.assistant.command_line"
COMMANDS: dict[str, str] = {
    "ask": f"{_HERE}.ask",
    "chat": f"{_HERE}.chat",
    "run": f"{_HERE}.run",
    "simulate": f"{_HERE}.simulate",
    "serve": f"{_HERE}.serve",
    "scenario": f"{_HERE}.scenario",
    "trace": f"{_HERE}.trace",
    "read": f"{_HERE}.read",
    "demo": f"{_HERE}.demo",
    "doctor": f"{_HERE}.doctor",
    "transcribe": f"{_HERE}.transcribe",
    "say": f"{_HERE}.say",
    "models": f"{_HERE}.models",
    "export": f"{_HERE}.export",
    "bundle": f"{_HERE}.bundle",
    "evaluate": f"{_HERE}.evaluate",
}
_EXAMPLES = """examples:
  lorgnette demo
  lorgnette ask photo.jpg --text "What is on the table?" --speak
  lorgnette simulate
  lorgnette run
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"lorgnette: {message} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()  # so that a closed pipe is met here, not in the interpreter's shutdown
        return code
    except LorgnetteError as error:
        print("lorgnette:", " ".join(str(error).split()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (`| head`) has what it wanted. Python would complain again when it closes stdout: swap it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _dispatch(arguments: list[str]) -> int:
    parser = _build_parser(arguments)
    args = parser.parse_args(arguments)
    if args.command is None:
        parser.print_help(sys.stderr)
        return 2
    args.verbose = args.verbose_before + args.verbose_after
    _start_log(args.verbose)
    args.config = _read_config(args)
    return int(importlib.import_module(COMMANDS[args.command]).run(args))


def _build_parser(arguments: list[str]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="lorgnette",
        description="Ask about what you see, aloud, offline.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"lorgnette {importlib.metadata.version('lorgnette')}")
    _add_options(parser, "before")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, module in COMMANDS.items():
        summary, _, rest = _docstring(module).partition("\n")
        command = commands.add_parser(
            name,
            help=summary,
            description=summary,
            epilog=rest.strip() or None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        _add_options(command, "after")
        # Importing only what is asked for keeps `lorgnette --help` at a tenth of a second.
        if name in arguments:
            importlib.import_module(module).add_arguments(command)
    return parser


def _add_options(parser: argparse.ArgumentParser, place: str) -> None:
    """The options that go before or after the command's name: `place` keeps the two apart for `_read_config`."""
    group = parser.add_argument_group("settings")
    group.add_argument("--config", metavar="FILE", dest=f"config_{place}", help="a TOML file of settings")
    group.add_argument(
        "--set", metavar="A.B=C", dest=f"set_{place}", action="append", default=[], help="one setting (may be repeated)"
    )
    group.add_argument("--offline", dest=f"offline_{place}", action="store_true", help="never use the network")
    group.add_argument("-v", "--verbose", dest=f"verbose_{place}", action="count", default=0, help="say more")


def _read_config(args: argparse.Namespace) -> Config:
    file = args.config_after or getattr(args, "config_before", None)
    config = load_config(Path(file) if file else None, [*args.set_before, *args.set_after])
    if args.offline_before or args.offline_after:
        config = dataclasses.replace(config, offline=True)
    return config


def _docstring(module: str) -> str:
    """A module's docstring without importing it."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return ""
    return ast.get_docstring(ast.parse(Path(spec.origin).read_text("utf-8"))) or ""


def _start_log(verbose: int) -> None:
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("lorgnette").setLevel(level)


if __name__ == "__main__":
    sys.exit(main())
