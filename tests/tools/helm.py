"""Helm by lines: each line on standard input is a JSON object that says what to do, each line on standard output what
came of it.

Arguments: kubeconfig, namespace, chart. Input: {"do": NAME, "release": NAME, "values": {...}, ...}; further members are
options of the action. Output: {"error": TEXT} or the release's manifest, hooks, notes, status and revision. `render`
installs, and uninstalls at once.
"""
import asyncio
import json
import sys

import helm_sdkpy as helm

kubeconfig, namespace, chart = sys.argv[1:]
config = helm.Configuration(namespace=namespace, kubeconfig=kubeconfig)


def told(release):
    """A release without the chart's own files, which it repeats."""
    info = release.get("info", {})
    hooks = [hook["manifest"] for hook in release["chart"].get("hooks") or release.get("hooks") or []]
    return {
        "manifest": release.get("manifest", ""),
        "hooks": hooks,
        "notes": info.get("notes", ""),
        "status": info.get("status", ""),
        "description": info.get("description", ""),
        "revision": release.get("version"),
    }


async def act(order):
    do, release = order.pop("do"), order.pop("release", "cocoasyncer")
    values = order.pop("values", {})
    if do == "install":
        return told(await helm.Install(config).run(release, chart, values, **order))
    if do == "upgrade":
        return told(await helm.Upgrade(config).run(release, chart, values, **order))
    if do == "uninstall":
        await helm.Uninstall(config).run(release, wait=False)
        return {}
    if do == "render":
        try:
            return told(await helm.Install(config).run(release, chart, values, wait=False))
        finally:
            try:
                await helm.Uninstall(config).run(release, wait=False)
            except helm.HelmError:
                pass  # what was refused before anything was made leaves no release
    if do == "history":
        return {"history": await helm.History(config).run(release)}
    if do == "status":
        return {"status": await helm.Status(config).run(release)}
    if do == "test":
        return {"test": await helm.ReleaseTest(config).run(release)}
    if do == "lint":
        return {"lint": await helm.Lint(config).run(chart)}
    raise ValueError(do)


for line in sys.stdin:
    try:
        answer = asyncio.run(act(json.loads(line)))
    except Exception as error:  # what Helm refuses is what the tests want to read
        answer = {"error": str(error)}
    print(json.dumps(answer, default=str), flush=True)
