"""`optimum-cli export lorgnette`: our exporter under Optimum's command.

Optimum imports every file of the namespace `optimum.commands.register` when its command starts, whatever was asked for,
and registers what the file lists (optimum/commands/optimum_cli.py). So this one imports nothing heavy before it runs,
and its folder must not have an `__init__.py`.
"""

from __future__ import annotations

from argparse import ArgumentParser

from optimum.commands.base import BaseOptimumCLICommand, CommandInfo
from optimum.commands.export.base import ExportCommand


class LorgnetteExportCommand(BaseOptimumCLICommand):
    """Hands its arguments to `lorgnette export`, whose output, errors and exit code it has."""

    COMMAND = CommandInfo(name="lorgnette", help="Export to ONNX for a device with Lorgnette, compared and measured.")

    @staticmethod
    def parse_args(parser: ArgumentParser) -> None:
        parser.add_argument("-m", "--model", required=True, help="a folder, a GGUF file, or org/name on the hub")
        parser.add_argument("output", metavar="OUT", help="the folder of the bundle")
        parser.add_argument("--profile", help="cpu (default), pi5, cuda, browser, webgpu, exact, or a file")
        parser.add_argument("--decoder", nargs="+", metavar="P", help="its precisions, the first is run")
        parser.add_argument("--vision", nargs="+", metavar="P", help="those of the image encoder")
        parser.add_argument("--revision", help="a branch, tag or commit of a repository")
        parser.add_argument("--lora", metavar="FOLDER", help="a PEFT LoRA adapter to merge first")
        parser.add_argument("--no-pytorch", action="store_true", help="do not compare with the model in PyTorch")
        parser.add_argument("--keep-anyway", action="store_true", help="keep a bundle that misses a bar")
        parser.add_argument("--force", action="store_true", help="build even if the bundle is up to date")

    def run(self) -> None:
        from lorgnette.assistant.command_line.main import main

        arguments = ["export", self.args.model, "--out", self.args.output]
        for name in ("profile", "revision", "lora"):
            if getattr(self.args, name):
                arguments += [f"--{name}", getattr(self.args, name)]
        for name in ("decoder", "vision"):
            if getattr(self.args, name):
                arguments += [f"--{name}", *getattr(self.args, name)]
        arguments += [
            f"--{name}" for name in ("no-pytorch", "keep-anyway", "force") if getattr(self.args, name.replace("-", "_"))
        ]
        code = main(arguments)
        if code:
            raise SystemExit(code)


REGISTER_COMMANDS = [(LorgnetteExportCommand, ExportCommand)]
