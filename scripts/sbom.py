#!/usr/bin/env python3
"""Prints what the program is made of as CycloneDX 1.5 JSON: every crate that is linked into it, from `cargo metadata`.

sbom.py [TARGET]: for that target of rustc; else for this machine's. The same sources give the same document, octet by octet."""
import hashlib
import json
import os
import subprocess
import sys
import uuid


def metadata(target):
    command = [os.environ.get("CARGO", "cargo"), "metadata", "--locked", "--format-version", "1",
               "--filter-platform", target]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def host():
    out = subprocess.run(["rustc", "-vV"], check=True, stdout=subprocess.PIPE, text=True).stdout
    return next(line.split()[1] for line in out.splitlines() if line.startswith("host:"))


def linked(nodes, packages, root):
    """Ids reached from the root by normal dependencies: nothing of tests, build scripts or macros, which end in no program."""
    seen, todo = set(), [root]
    while todo:
        at = todo.pop()
        if at in seen:
            continue
        seen.add(at)
        for dep in nodes[at]["deps"]:
            macro = any("proc-macro" in made["kind"] for made in packages[dep["pkg"]]["targets"])
            if not macro and any(kind["kind"] is None for kind in dep["dep_kinds"]):
                todo.append(dep["pkg"])
    return seen


def checksums():
    """Registry checksums of Cargo.lock by name and version."""
    found, name, version = {}, None, None
    with open("Cargo.lock", encoding="utf-8") as lock:
        for line in lock:
            key, _, value = line.strip().partition(" = ")
            value = value.strip('"')
            if key == "name":
                name = value
            elif key == "version":
                version = value
            elif key == "checksum":
                found[name, version] = value
    return found


def component(package, sums, kind="library"):
    name, version = package["name"], package["version"]
    purl = f"pkg:cargo/{name}@{version}"
    made = {"type": kind, "bom-ref": purl, "name": name, "version": version, "purl": purl}
    if package["description"]:
        made["description"] = " ".join(package["description"].split())
    if package["license"]:
        made["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    if (name, version) in sums:
        made["hashes"] = [{"alg": "SHA-256", "content": sums[name, version]}]
    return made


def main():
    target = sys.argv[1] if len(sys.argv) > 1 else host()
    data, sums = metadata(target), checksums()
    nodes = {node["id"]: node for node in data["resolve"]["nodes"]}
    packages = {package["id"]: package for package in data["packages"]}
    root = data["resolve"]["root"]
    ids = sorted(linked(nodes, packages, root), key=lambda id: (packages[id]["name"], packages[id]["version"]))
    ref = lambda id: f"pkg:cargo/{packages[id]['name']}@{packages[id]['version']}"
    document = {
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": {"component": component(packages[root], sums, "application"),
                     "properties": [{"name": "cargo:target", "value": target}]},
        "components": [component(packages[id], sums) for id in ids if id != root],
        "dependencies": [{"ref": ref(id), "dependsOn": sorted({ref(dep["pkg"]) for dep in nodes[id]["deps"]
                                                                if dep["pkg"] in set(ids)})} for id in ids],
    }
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).digest()
    document["serialNumber"] = f"urn:uuid:{uuid.UUID(bytes=digest[:16], version=4)}"
    print(json.dumps(document, indent=1, sort_keys=True))


main()
