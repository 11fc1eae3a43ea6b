"""Share a model bundle: push it to a repository on the hub, pull it from one.

examples:
  lorgnette bundle push bundle/ org/name --dry-run
  lorgnette bundle push bundle/ org/name --private
  lorgnette bundle pull org/name --out bundle/
  lorgnette bundle pull org/name@v1 --out bundle/

push uploads what the bundle's manifest lists, and a model card made of its manifest and its report (or the README.md
that lies in the folder). It needs a token that may write, in HF_TOKEN. pull fetches what the manifest lists, goes on
where an earlier pull stopped, and puts the bundle in place when every file has the hash that the manifest says.
HF_ENDPOINT names another hub.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from lorgnette.assistant.weights.progress import RichProgress
from lorgnette.device.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    push = verbs.add_parser("push", help="upload a bundle and its model card")
    push.add_argument("folder", metavar="BUNDLE", type=Path, help="the folder of the bundle")
    push.add_argument("repository", metavar="ORG/NAME", help="the repository; made if it is not there")
    push.add_argument("--revision", metavar="BRANCH", help="a branch other than main; made if it is not there")
    push.add_argument("--private", action="store_true", help="only you may see the repository")
    push.add_argument("--dry-run", action="store_true", help="say what would be uploaded, and use no network")
    pull = verbs.add_parser("pull", help="fetch a bundle and check it")
    pull.add_argument("repository", metavar="ORG/NAME[@REVISION]", help="the repository, at a branch, tag or commit")
    pull.add_argument("--out", type=Path, metavar="FOLDER", required=True, help="where the bundle goes")
    for verb in (push, pull):
        verb.add_argument("--json", action="store_true", help="print a record for a program")
        # Settings may stand behind the verb, too; where they do not, those before it count.
        verb.add_argument(
            "--offline", dest="offline_after", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )


def run(args: argparse.Namespace) -> int:
    return _push(args) if args.verb == "push" else _pull(args)


def _push(args: argparse.Namespace) -> int:
    from lorgnette.export.publication.push import prepare, push_bundle

    repo, revision = _repository(args.repository)
    if revision is not None:
        raise InputError(f"{args.repository} names a revision", "give the branch with --revision")
    if not args.dry_run:
        _check_online(args)
    publication = prepare(args.folder, repo)
    record: dict[str, object] = {
        "repository": repo,
        "files": [{"name": name, "bytes": publication.size(name)} for name in publication.files],
    }
    if publication.paths:
        print(f"manifest.json and report.json name {', '.join(publication.paths)}", file=sys.stderr)
    if args.dry_run:
        if args.json:
            print(json.dumps(record | {"card": publication.card}, indent=1, ensure_ascii=False))
            return 0
        for name in publication.files:
            print(f"{publication.size(name) / 1e6:8.1f} MB  {name}")
        print(f"\n{publication.card}", end="")
        return 0
    if not sys.stderr.isatty():
        from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]

        disable_progress_bars()
    pushed = push_bundle(publication, args.revision, RichProgress(), private=args.private)
    if pushed.others:
        names = ", ".join(pushed.others[:3]) + (", ..." if len(pushed.others) > 3 else "")
        print(f"left in {repo}, not of this bundle: {names}", file=sys.stderr)
    if args.json:
        print(json.dumps(record | {"commit": pushed.commit, "url": pushed.url}, indent=1))
    else:
        print(pushed.url)
    return 0


def _pull(args: argparse.Namespace) -> int:
    from lorgnette.export.publication.pull import pull_bundle

    repo, revision = _repository(args.repository)
    _check_online(args)
    bundle, commit = pull_bundle(repo, revision, args.out, RichProgress())
    if args.json:
        files = [{"name": file.name, "bytes": file.size} for file in bundle.files]
        print(
            json.dumps({"repository": repo, "commit": commit, "folder": str(bundle.folder), "files": files}, indent=1)
        )
    else:
        print(f"{bundle.name} from {repo} at {commit[:12]} is in {bundle.folder}")
    return 0


def _repository(text: str) -> tuple[str, str | None]:
    from lorgnette.export.checkpoint.repository import named_repository

    named = named_repository(text)
    if named is None:
        raise InputError(f"{text} is no repository's name", "write org/name")
    return named


def _check_online(args: argparse.Namespace) -> None:
    if args.config.offline:
        raise InputError(f"bundle {args.verb} needs the network", "leave --offline out")
