#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Makes, reads and validates VHD chains: the oracle that the driver is tested against.

Written from the specification, sharing no code with drivers/vhdblk/format.
"""

import argparse
import json
import sys

from vhdchain import Builder, mixed_spec, parse_size, save_manifest
from vhdread import Bad, NoParent, merged_owners, open_chain
from vhdvalidate import validate


def show(value):
    """JSON on standard output."""
    json.dump(value, sys.stdout, indent=1)
    print()


def build(args, spec):
    """Write a chain, its manifest and perhaps its raw image."""
    builder = Builder(args.dir, args.seed, spec)
    manifest = builder.write()
    save_manifest(args.dir, manifest)
    if args.raw:
        builder.write_raw(args.raw)
    show(manifest)
    return 0


def cmd_chain(args):
    """Chain from a JSON specification."""
    text = args.spec
    if not text.lstrip().startswith("{"):
        with open(text, encoding="utf-8") as file:
            text = file.read()
    return build(args, json.loads(text))


def cmd_mixed(args):
    """Random chain of mixed layers."""
    return build(args, mixed_spec(args.seed, args.depth, args.base, args.block,
                                  args.size_relation, args.size, not args.own))


def cmd_flatten(args):
    """Raw output or hash of the whole disk."""
    chain = open_chain(args.file, args.parents, args.size)
    if args.output:
        chain.write_raw(args.output)
    else:
        print(chain.sha256(progress=chain.size > 64 << 30))
    return 0


def cmd_read(args):
    """Bytes of a part of the disk, or their hash lines."""
    chain = open_chain(args.file, args.parents, args.size)
    for _, count, data in chain.pieces(args.offset, args.offset + args.length):
        sys.stdout.buffer.write(bytes(count) if data is None else data)
    return 0


def cmd_map(args):
    """Runs and their owners; or compare with the map that another program printed."""
    runs = open_chain(args.file, args.parents, args.size).map()
    if not args.compare:
        show(runs)
        return 0
    with open(args.compare, encoding="utf-8") as file:
        other = json.load(file)
    mine, theirs = merged_owners(runs["runs"]), merged_owners(other["runs"])
    if (runs["size"], mine) == (other["size"], theirs):
        return 0
    for one, two in zip(mine + [None], theirs + [None]):
        if one != two:
            print(f"map differs: expected {one}, got {two}", file=sys.stderr)
            break
    else:
        print(f"size differs: expected {runs['size']}, got {other['size']}", file=sys.stderr)
    return 1


def cmd_validate(args):
    """Every structural rule."""
    result = validate(args.file, strict=args.strict, crashed=args.crashed)
    show(result)
    return {"clean": 0, "leaks": 3, "corrupt": 2, "unsupported": 7}[result["result"]]


def add_reader(commands, name, handler):
    """A command that reads one chain."""
    parser = commands.add_parser(name, help=handler.__doc__)
    parser.set_defaults(handler=handler)
    parser.add_argument("file")
    parser.add_argument("--parents", nargs="+", default=[], metavar="FILE",
                        help="more places to look for parents; the only way to name a raw one")
    parser.add_argument("--size", choices=("auto", "chs", "current"), default="auto")
    return parser


def add_maker(commands, name, handler):
    """A command that makes a chain."""
    parser = commands.add_parser(name, help=handler.__doc__)
    parser.set_defaults(handler=handler)
    parser.add_argument("dir")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--raw", metavar="OUT", help="also write the flattened disk there")
    return parser


def parse_args(argv):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    chain = add_maker(commands, "chain", cmd_chain)
    chain.add_argument("--spec", required=True, help="JSON, or a file that holds it")
    mixed = add_maker(commands, "mixed", cmd_mixed)
    mixed.add_argument("--depth", type=int, default=3)
    mixed.add_argument("--base", choices=("fixed", "dynamic", "raw"), default="dynamic")
    mixed.add_argument("--block", type=parse_size, default=2 << 20)
    mixed.add_argument("--size-relation", choices=("equal", "larger", "smaller"), default="equal")
    mixed.add_argument("--size", type=parse_size, default=16 << 20)
    mixed.add_argument("--own", action="store_true", help="no foreign writers")
    add_reader(commands, "flatten", cmd_flatten).add_argument("-o", "--output")
    add_reader(commands, "map", cmd_map).add_argument("--compare", metavar="JSON")
    read = add_reader(commands, "read", cmd_read)
    read.add_argument("offset", type=parse_size)
    read.add_argument("length", type=parse_size)
    check = commands.add_parser("validate", help=cmd_validate.__doc__)
    check.set_defaults(handler=cmd_validate)
    check.add_argument("file")
    check.add_argument("--strict", action="store_true", help="as this project's programs write")
    check.add_argument("--crashed", action="store_true",
                       help="with --strict: data under clear bits may remain after a power cut")
    return parser.parse_args(argv)


def main(argv=None):
    """Exit code 0, 1 usage or system, 2 corrupt, 3 leaks, 4 no parent."""
    args = parse_args(argv)
    try:
        return args.handler(args)
    except Bad as bad:
        print(f"mkvhd: {bad.fault}", file=sys.stderr)
        return 2
    except NoParent as missing:
        print(f"mkvhd: {missing}", file=sys.stderr)
        return 4
    except (OSError, ValueError) as error:
        print(f"mkvhd: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
