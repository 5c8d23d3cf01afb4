#!/usr/bin/env python3
"""Keeps the tables of variables and outputs in the guides equal to the Terraform files.

Usage: documents.py INFRA-FOLDER GUIDE [--write]

The tables stand between `<!-- inputs -->` and `<!-- /inputs -->`, `<!-- outputs -->` and `<!-- /outputs -->`.
"""

import pathlib
import re
import sys


def blocks(text, kind):
    """Name and body of each top-level block of a kind, in the file's order, with the banner above it."""
    section = ""
    for match in re.finditer(rf'^# -{{20,}}\n# (?P<banner>[^\n]+)\n# -{{20,}}|^{kind} "(?P<name>[^"]+)" \{{\n(?P<body>.*?)^\}}', text, re.M | re.S):
        if match["banner"]:
            section = match["banner"]
        else:
            yield section, match["name"], match["body"]


def attribute(body, name):
    """The text of a one-line or bracketed attribute."""
    match = re.search(rf"^  {name}\s*=\s*", body, re.M)
    if not match:
        return None
    rest, depth, end = body[match.end():], 0, 0
    in_string = False
    for end, char in enumerate(rest):
        if char == '"' and rest[end - 1] != "\\":
            in_string = not in_string
        elif not in_string and char in "([{":
            depth += 1
        elif not in_string and char in ")]}":
            depth -= 1
        elif char == "\n" and depth == 0:
            break
    return rest[:end].strip()


def sentence(text):
    """A description as Markdown in a table cell."""
    return text.strip('"').replace('\\"', '"').replace("|", "\\|").replace("<", "&lt;")


def type_cell(text):
    """`object({...})` in one line, without its members: they are in the second table."""
    return "`" + re.sub(r"\s+", " ", "object" if text.startswith("object(") else "map of object" if text.startswith("map(object(") else text) + "`"


def members(text):
    """The members of an object type: name, type, default."""
    for line in text.splitlines()[1:]:
        match = re.match(r"^\s+(\w+)\s*=\s*(.+?),?$", line)
        if match:
            indent = len(line) - len(line.lstrip())
            name, kind = match.groups()
            optional = re.match(r"optional\((.*?)(?:, (.+))?\)$", kind)
            if kind.startswith("optional(object({"):
                yield indent, name, "object", "null"
            elif optional:
                yield indent, name, optional.group(1), optional.group(2) or "null"
            else:
                yield indent, name, kind, "required"


def inputs(infra):
    """The tables of variables, one for each section."""
    lines, current = [], None
    for path in ("variables.tf", "variables-cluster.tf", "variables-app.tf", "variables-consumers.tf"):
        for section, name, body in blocks((infra / path).read_text(encoding="utf-8"), "variable"):
            if section != current:
                current = section
                lines += ["", f"#### {section}", "", "| Variable | Type | Default | What it does |", "|---|---|---|---|"]
            kind, default = attribute(body, "type"), attribute(body, "default")
            shown = "required" if default is None else "`" + re.sub(r"\s+", " ", default) + "`"
            lines.append(f"| `{name}` | {type_cell(kind)} | {shown} | {sentence(attribute(body, 'description'))} |")
            if "object({" in kind:
                base = None
                for indent, member, member_kind, member_default in members(kind):
                    base = indent if base is None else base
                    dots = "&nbsp;" * 2 * max(0, indent - base)
                    lines.append(f"| {dots}`.{member}` | `{member_kind}` | {'required' if member_default == 'required' else '`' + member_default + '`'} | |")
    return lines[1:]


def outputs(infra):
    """The table of outputs."""
    rows = [f"| `{name}` | {sentence(attribute(body, 'description'))} |" for _, name, body in blocks((infra / "outputs.tf").read_text(encoding="utf-8"), "output")]
    return ["| Output | What it is |", "|---|---|", *rows]


def filled(text, marker, lines):
    """The guide with the lines between a pair of markers."""
    pattern = re.compile(rf"(<!-- {marker} -->\n).*?(<!-- /{marker} -->)", re.S)
    if not pattern.search(text):
        raise SystemExit(f"the guide has no <!-- {marker} --> ... <!-- /{marker} -->")
    table = "\n".join(lines)
    return pattern.sub(lambda match: f"{match.group(1)}\n{table}\n\n{match.group(2)}", text)


def main():
    infra, guide = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    text = guide.read_text(encoding="utf-8")
    wanted = filled(filled(text, "inputs", inputs(infra)), "outputs", outputs(infra))
    if "--write" in sys.argv:
        guide.write_text(wanted, encoding="utf-8")
    elif wanted != text:
        raise SystemExit(f"the tables in {guide} do not match the Terraform files. Write them anew: run this script again with --write")
    print(f"{guide.name}: tables of inputs and outputs match")


if __name__ == "__main__":
    main()
