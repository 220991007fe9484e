"""Validates objects strictly against the schemas of several versions of Kubernetes.

Arguments: the versions. On standard input: one JSON object a line. On standard output: a line for each that a version
refuses, and at the end `checked N`. Values are not printed beyond what the schema's own words repeat.
"""
import functools
import json
import sys

import jsonschema
import kubernetes_validate.utils as utils
import referencing

# Reading the schemas is what costs; they are the same for every object.
utils.schema_contents = functools.lru_cache(maxsize=None)(utils.schema_contents)


@functools.lru_cache(maxsize=None)
def definitions(folder, version):
    contents = utils.schema_contents("kubernetes-json-schema/%s/_definitions.json" % folder, version)
    return (referencing.Resource.from_contents(contents) @ referencing.Registry()).crawl()


@functools.lru_cache(maxsize=None)
def validator(version, kind, api_version):
    folder = "v%s.0-local-strict" % version
    group, _, name = api_version.rpartition("/")
    short = "%s-%s" % (group.split(".")[0], name) if group else name
    path = "kubernetes-json-schema/%s/%s-%s.json" % (folder, kind.lower(), short)
    schema = utils.schema_contents(path, version)
    registry = referencing.Resource.from_contents(schema) @ definitions(folder, version)
    return jsonschema.validators.Draft202012Validator(schema, registry=registry)


def main():
    checked = 0
    objects = [json.loads(line) for line in sys.stdin if line.strip()]
    for version in sys.argv[1:]:
        for thing in objects:
            checked += 1
            for error in validator(version, thing["kind"], thing["apiVersion"]).iter_errors(thing):
                where = ".".join(str(part) for part in error.absolute_path)
                name = "%s %s" % (thing["kind"], thing["metadata"]["name"])
                print("%s %s: %s: %s" % (version, name, where, error.message[:200]))
    print("checked %d" % checked)


main()
