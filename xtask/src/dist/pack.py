"""Packs a program for those who have no Rust: a folder as a tarball and as a wheel, the same bytes each time.

Usage: pack.py SETTINGS

SETTINGS is JSON: `version`, `tag` (the platforms of the wheel), `folder` (bin/ and share/), `tarball` and `wheel` (the files).
The wheel is what the binary distribution format of PyPA says (PEP 427, PEP 639), as small as it can be: programs in
`.data/scripts`, the manual in `.data/data`. A tool that builds wheels of Rust would compile the program once more.
"""

import base64
import gzip
import hashlib
import io
import json
import pathlib
import re
import sys
import tarfile
import zipfile

NAME = "msk-local"
SUMMARY = "Kafka and the event source mapping of Amazon MSK on a laptop, for Lambda functions in any language"
REPOSITORY = "https://github.com/msk-ha-cluster/msk-ha-cluster"
DOCUMENTS = "share/doc/msk-local"
PRE_RELEASES = {"alpha": "a", "beta": "b", "rc": "rc"}


def files(folder):
    """Every file, in one order on every machine: its name in the folder, its bytes, whether it is a program."""
    for path in sorted(pathlib.Path(folder).rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            yield name, path.read_bytes(), name.startswith("bin/")


def write_tarball(settings):
    root = pathlib.Path(settings["tarball"]).name.removesuffix(".tar.gz")
    with open(settings["tarball"], "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as zipped:
        with tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for name, data, is_program in files(settings["folder"]):
                entry = tarfile.TarInfo(f"{root}/{name}")
                entry.size, entry.mode = len(data), 0o755 if is_program else 0o644
                entry.uname = entry.gname = "root"
                tar.addfile(entry, io.BytesIO(data))


def python_version(version):
    """The version as PyPI writes it: 1.2.0-rc.1 is 1.2.0rc1."""
    found = re.fullmatch(r"(\d+\.\d+\.\d+)(?:-(alpha|beta|rc)\.(\d+))?", version)
    if not found:
        sys.exit(f"PyPI cannot have the version {version}: write it as 1.2.3 or 1.2.3-rc.1 in the root Cargo.toml")
    number, stage, count = found.groups()
    return number + (PRE_RELEASES[stage] + count if stage else "")


def metadata(version, licences, readme):
    head = [
        "Metadata-Version: 2.4",
        f"Name: {NAME}",
        f"Version: {version}",
        f"Summary: {SUMMARY}",
        "License-Expression: MIT OR Apache-2.0",
        *(f"License-File: {name}" for name in licences),
        f"Project-URL: Repository, {REPOSITORY}",
        f"Project-URL: Guide, {REPOSITORY}/blob/main/docs/LOCAL_DEVELOPMENT.md",
        "Classifier: Environment :: Console",
        "Classifier: Operating System :: POSIX :: Linux",
        "Requires-Python: >=3.7",
        "Description-Content-Type: text/markdown",
    ]
    return ("\n".join(head) + "\n\n" + readme).encode()


def wheel_files(settings):
    """The files of the wheel: name, bytes, whether it is a program. What describes the wheel stands at the end."""
    version = python_version(settings["version"])
    stem = f"msk_local-{version}"
    licences, readme = {}, ""
    for name, data, is_program in files(settings["folder"]):
        base = name.rsplit("/", 1)[-1]
        if is_program:
            yield f"{stem}.data/scripts/{base}", data, True
        elif name.startswith("share/man/"):
            yield f"{stem}.data/data/{name}", data, False
        elif name == f"{DOCUMENTS}/README.md":
            readme = data.decode()
        elif name.startswith(f"{DOCUMENTS}/"):
            licences[base] = data
    for name, data in licences.items():
        yield f"{stem}.dist-info/licenses/{name}", data, False
    tags = [f"Tag: py3-none-{platform}" for platform in settings["tag"].split(".")]
    wheel = ["Wheel-Version: 1.0", "Generator: cargo xtask dist", "Root-Is-Purelib: false", *tags, ""]
    yield f"{stem}.dist-info/METADATA", metadata(version, licences, readme), False
    yield f"{stem}.dist-info/WHEEL", "\n".join(wheel).encode(), False


def write_wheel(settings):
    record = []
    with zipfile.ZipFile(settings["wheel"], "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:

        def add(name, data, is_program):
            # The oldest moment that a zip can name.
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, (0o100755 if is_program else 0o100644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)

        for name, data, is_program in wheel_files(settings):
            add(name, data, is_program)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record.append(f"{name},sha256={digest},{len(data)}")
        name = name.rsplit("/", 1)[0] + "/RECORD"
        add(name, "\n".join([*record, f"{name},,", ""]).encode(), False)


def write_sum(file):
    """Beside the file what `sha256sum --check` reads."""
    path = pathlib.Path(file)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name(path.name + ".sha256").write_text(f"{digest}  {path.name}\n")


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    # Before anything is written: the name of the wheel has the version, too.
    given["wheel"] = given["wheel"].replace("{version}", python_version(given["version"]))
    write_tarball(given)
    write_wheel(given)
    write_sum(given["tarball"])
    write_sum(given["wheel"])
    print(given["wheel"])
