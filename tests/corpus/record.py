#!/usr/bin/env python3
"""Record what real Ansible makes of the corpus.

The corpus is data: running the tests needs no Ansible. This script is only for making or checking
`expected.json`. It wants ansible-core 2.18 with the collections `ansible.utils` and `ansible.netcommon`
and the Python packages netaddr and passlib. Run it with the Python of that installation, with its
`ansible-inventory` first on PATH:

    PATH=<venv>/bin:$PATH python tests/corpus/record.py             # every case
    PATH=<venv>/bin:$PATH python tests/corpus/record.py NAME …      # these cases
    PATH=<venv>/bin:$PATH python tests/corpus/record.py --check …   # write nothing, tell what would change

README.md next to this file describes the files of a case.

How each part is obtained (always with the current folder = the case folder):
  list, graph  ansible-inventory --list / --graph
  values       the template `{{ NAME }}` evaluated as the `debug: var=NAME` task evaluates it, in a play
               without facts; `playbook_dir` is the folder that holds the first inventory
  patterns     InventoryManager.get_hosts(PATTERN), the order kept
  limits       InventoryManager.subset(LIMIT), then all hosts
Relevant settings of Kubespray's ansible.cfg are given through the environment.
No variables are loaded from the folder of the playbook: only the inventory counts.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

CORPUS = os.path.dirname(os.path.abspath(__file__))
SETTINGS = {
    "ANSIBLE_TRANSFORM_INVALID_GROUP_CHARS": "ignore",
    "ANSIBLE_INVENTORY_IGNORE": "~,.orig,.bak,.ini,.cfg,.retry,.pyc,.pyo,.creds,.gpg",
    "ANSIBLE_INVENTORY_IGNORE_REGEX": "artifacts,credentials",
    "ANSIBLE_DEPRECATION_WARNINGS": "false",
    "ANSIBLE_LOCALHOST_WARNING": "false",
    "ANSIBLE_NOCOLOR": "1",
    "LC_ALL": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "TZ": "UTC",
}


def main(arguments):
    if arguments[:1] == ["--worker"]:
        return worker(arguments[1])
    check = "--check" in arguments
    names = [a for a in arguments if a != "--check"]
    names = names or sorted(n for n in os.listdir(CORPUS) if os.path.exists(os.path.join(CORPUS, n, "case.json")))
    differing = 0
    for name in names:
        folder = os.path.join(CORPUS, name)
        recorded = to_text(record(folder))
        path = os.path.join(folder, "expected.json")
        before = open(path, encoding="utf-8").read() if os.path.exists(path) else None
        if recorded == before:
            print(f"same     {name}")
            continue
        differing += 1
        print(f"{'differs' if before else 'new':8} {name}")
        if not check:
            with open(path, "w", encoding="utf-8") as out:
                out.write(recorded)
    return 1 if check and differing else 0


def to_text(recorded):
    """Compact, but one value per line, so that differences read well."""
    def dump(value):
        return json.dumps(value, ensure_ascii=False)
    parts = []
    for key, value in recorded.items():
        if key == "values" and value:
            rows = ",\n".join("    " + dump(row) for row in value)
            parts.append(f'  "{key}": [\n{rows}\n  ]')
        elif isinstance(value, dict) and value:
            rows = ",\n".join(f"    {dump(k)}: {dump(v)}" for k, v in value.items())
            parts.append(f'  "{key}": {{\n{rows}\n  }}')
        else:
            parts.append(f'  "{key}": {dump(value)}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def absolute(extra, folder):
    """Ansible looks for `@file` in the folder of the playbook, which here is an empty one."""
    return "@" + os.path.join(folder, extra[1:]) if extra.startswith("@") else extra


def record(folder):
    case = json.load(open(os.path.join(folder, "case.json"), encoding="utf-8"))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ANSIBLE_")}
    environment.update(SETTINGS)
    environment.update(case.get("env", {}))
    with tempfile.TemporaryDirectory() as empty:
        environment["ANSIBLE_HOME"] = os.path.join(empty, "home")
        environment["CORPUS_EMPTY"] = empty
        environment["ANSIBLE_CONFIG"] = os.path.join(empty, "ansible.cfg")
        open(environment["ANSIBLE_CONFIG"], "w").close()
        options = []
        for inventory in case["inventories"]:
            options += ["-i", inventory]
        for extra in case.get("extra_vars", []):
            options += ["-e", absolute(extra, folder)]
        options += case.get("vault", [])
        if case.get("error"):
            return record_refusal(folder, options, environment, empty)
        recorded = {}
        for action in ("list", "graph"):
            if action in case.get("skip", []):
                continue
            done = ansible_inventory(action, folder, options, environment)
            if done.returncode:
                raise SystemExit(f"{folder}: --{action} failed: {done.stderr}")
            recorded[action] = json.loads(done.stdout) if action == "list" else done.stdout.rstrip("\n")
        done = subprocess.run([sys.executable, os.path.abspath(__file__), "--worker", folder], cwd=folder,
                              env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise SystemExit(f"{folder}: {done.stderr[-3000:]}")
        recorded.update(json.loads(done.stdout.rsplit("\x00", 1)[1]))
    return json.loads(json.dumps(recorded, ensure_ascii=False).replace(folder, "{CASE}"))


def ansible_inventory(action, folder, options, environment):
    command = [shutil.which("ansible-inventory"), "--" + action, "--playbook-dir", environment["CORPUS_EMPTY"]]
    return subprocess.run(command + options, cwd=folder, env=environment, capture_output=True, text=True,
                          errors="replace", stdin=subprocess.DEVNULL)


def record_refusal(folder, options, environment, empty):
    """What Ansible says when every source must be readable, and what it lists when it may skip sources."""
    # Messages are wrapped at hyphens, so the path must have none.
    copy = os.path.join(empty, "c")
    shutil.copytree(folder, copy)
    options = [o.replace(folder, copy) for o in options]
    strict = dict(environment, ANSIBLE_INVENTORY_UNPARSED_FAILED="1", ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED="1")
    done = ansible_inventory("list", copy, options, strict)
    said = " ".join(done.stderr.replace(copy, "{CASE}").split())
    kept = [part for part in said.split("[WARNING]: ") if " auto plugin:" not in part]
    recorded = {"error": " ".join(kept)[:500].strip() if done.returncode else "none: Ansible accepts this"}
    lenient = ansible_inventory("list", copy, options, environment)
    if lenient.returncode == 0:
        recorded["lenient_list"] = json.loads(lenient.stdout.replace(copy, "{CASE}"))
    return recorded


def worker(folder):
    """One process per case: Ansible keeps much in global state."""
    from ansible import constants
    from ansible.cli import CLI
    from ansible.errors import AnsibleError, AnsibleUndefinedVariable
    from ansible.inventory.manager import InventoryManager
    from ansible.module_utils.common.collections import ImmutableDict
    from ansible.parsing.ajson import AnsibleJSONEncoder
    from ansible.parsing.dataloader import DataLoader
    from ansible import context
    from ansible.playbook.play import Play
    from ansible.plugins.loader import init_plugin_loader
    from ansible.template import Templar
    from ansible.utils.display import Display
    from ansible.vars.hostvars import HostVars
    from ansible.vars.manager import VariableManager

    init_plugin_loader()
    Display.warning = lambda *a, **k: None
    case = json.load(open(os.path.join(folder, "case.json"), encoding="utf-8"))
    context.CLIARGS = ImmutableDict(extra_vars=tuple(absolute(e, folder) for e in case.get("extra_vars", [])), verbosity=0)
    loader = DataLoader()
    loader.set_basedir(os.environ["CORPUS_EMPTY"])
    vault = case.get("vault", [])
    ids = [v for k, v in zip(vault[::2], vault[1::2]) if k == "--vault-id"]
    files = [v for k, v in zip(vault[::2], vault[1::2]) if k in ("--vault-password-file", "--vault-pass-file")]
    loader.set_vault_secrets(CLI.setup_vault_secrets(loader, vault_ids=list(constants.DEFAULT_VAULT_IDENTITY_LIST) + ids,
                                                     vault_password_files=files, auto_prompt=False))
    inventory = InventoryManager(loader=loader, sources=[i if "," in i else os.path.abspath(i) for i in case["inventories"]])
    variables = VariableManager(loader=loader, inventory=inventory, version_info=CLI.version_info(gitinfo=False))
    first = case["inventories"][0]
    playbook_dir = os.path.dirname(os.path.abspath(first)) if "," not in first else folder
    magic = VariableManager._get_magic_variables

    def with_playbook_dir(self, *args, **kwargs):
        found = magic(self, *args, **kwargs)
        found["playbook_dir"] = playbook_dir
        return found

    VariableManager._get_magic_variables = with_playbook_dir
    HostVars(inventory=inventory, variable_manager=variables, loader=loader)
    play = Play().load({"name": "p", "hosts": "all", "gather_facts": False}, variable_manager=variables, loader=loader)

    def plain(value):
        return json.loads(json.dumps(value, cls=AnsibleJSONEncoder, ensure_ascii=False))

    def value_of(query):
        host = inventory.get_host(query["host"])
        if host is None:
            return {"error": "no such host"}
        seen = variables.get_vars(play=play, host=host)
        seen["ansible_search_path"] = [playbook_dir]
        name = query["var"]
        try:
            templar = Templar(loader=loader, variables=seen)
            value = templar.template(name, convert_bare=True, fail_on_undefined=True)
            if value == name:
                value = templar.template("{{" + value + "}}", convert_bare=True, fail_on_undefined=True)
            return {"value": plain(value)}
        except AnsibleUndefinedVariable as problem:
            return {"error": "undefined: " + str(problem)[:200]}
        except AnsibleError as problem:
            return {"error": str(problem)[:200]}
        except Exception as problem:  # Ansible would show a traceback
            return {"error": f"{type(problem).__name__}: {problem}"[:200]}

    def hosts_of(pattern):
        try:
            return [h.name for h in inventory.get_hosts(pattern)]
        except Exception as problem:
            return {"error": f"{type(problem).__name__}: {problem}"[:200]}

    def hosts_under(limit):
        try:
            inventory.subset(limit)
            return [h.name for h in inventory.get_hosts("all")]
        except Exception as problem:
            return {"error": f"{type(problem).__name__}: {problem}"[:200]}
        finally:
            inventory.subset(None)

    result = {}
    queries = os.path.join(folder, "queries.json")
    if os.path.exists(queries):
        result["values"] = [dict(q, **value_of(q)) for q in json.load(open(queries, encoding="utf-8"))]
    if case.get("patterns"):
        result["patterns"] = {p: hosts_of(p) for p in case["patterns"]}
    if case.get("limits"):
        result["limits"] = {p: hosts_under(p) for p in case["limits"]}
    print("\x00" + json.dumps(result, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
