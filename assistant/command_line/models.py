"""List, fetch, check and remove the model weights.

examples:
  lorgnette models list
  lorgnette models pull                     (everything the embedded model needs)
  lorgnette models pull whisper-base --source hub
  lorgnette models verify --json
  lorgnette models remove whisper-base
  lorgnette models licenses
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from lorgnette.assistant.weights.store import SOURCE_KINDS, WeightStatus, WeightStore


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("list", "pull", "verify", "remove", "licenses"))
    parser.add_argument("names", nargs="*", metavar="NAME", help="weights by name (default: all; remove wants names)")
    parser.add_argument("--source", choices=SOURCE_KINDS, help="fetch from this kind of source only")
    parser.add_argument("--all", action="store_true", help="remove all weights")
    parser.add_argument("--json", action="store_true", help="print records for a program")


def run(args: argparse.Namespace) -> int:
    store = WeightStore.from_config(args.config)
    names = args.names or list(store.catalogue)
    if args.action == "remove" and not args.names and not args.all:
        print("lorgnette: remove what? (give names, or --all)", file=sys.stderr)
        return 2
    records, code = [], 0
    if args.action == "pull":
        store.pull(names, args.source)
    for name in names:
        record = _record(store.status(name))
        if args.action == "verify":
            record["damaged"] = store.verify(name)
            record["state"] = "damaged" if record["damaged"] and record["state"] != "missing" else record["state"]
            code = 2 if record["damaged"] else code
        elif args.action == "remove":
            record["removed"] = store.remove(name)
            record["state"] = store.status(name).state
        records.append(record)
    if args.json:
        json.dump(records, sys.stdout, indent=2)
        print()
    elif args.action == "licenses":
        _print_licences(records)
    else:
        _print_table(records)
    if code:
        bad = [record["name"] for record in records if record["damaged"]]
        print(f"lorgnette: not whole: {', '.join(bad)} (lorgnette models pull {' '.join(bad)})", file=sys.stderr)
    return code


def _record(status: WeightStatus) -> dict[str, Any]:
    weight = status.weight
    return {
        "name": weight.name,
        "title": weight.title,
        "use": weight.use,
        "bytes": weight.size,
        "state": status.state,
        "path": str(status.path),
        "origin": status.origin,
        "sources": [source.origin for source in weight.sources],
        "licence": weight.licence.id,
        "licence_url": weight.licence.url,
        "attribution": weight.licence.attribution,
    }


def _print_table(records: list[dict[str, Any]]) -> None:
    width = max((len(record["name"]) for record in records), default=0)
    for record in records:
        size = f"{record['bytes'] / 1e6:.1f} MB"
        print(f"{record['name']:{width}}  {size:>9}  {record['state']:9}  {record['use']}: {record['title']}")


def _print_licences(records: list[dict[str, Any]]) -> None:
    for record in records:
        print(f"{record['name']}: {record['licence']}, {record['licence_url']}\n  {record['attribution']}")
