"""Records what helmfile makes of the inputs in values/: record.py HELMFILE HELM. It writes the result, or that it refuses, into each."""
import glob, json, os, re, subprocess, sys, tempfile

helmfile, helm = sys.argv[1:]
here = os.path.dirname(os.path.abspath(__file__))
for name in sorted(glob.glob(here + "/values/*.txtar")):
    text = open(name).read()
    text = re.split(r"(?m)^-- (?:want\.json|refused) --$", text)[0]
    parts = re.split(r"(?m)^-- (.*) --\n", text)[1:]
    files = dict(zip(parts[::2], parts[1::2]))
    with tempfile.TemporaryDirectory() as dir:
        for k, v in files.items():
            open(os.path.join(dir, k), "w").write(v)
        with open(os.path.join(dir, "helmfile.yaml.gotmpl"), "w") as f:
            f.write("environments:\n  default:\n    values: %s\n---\nreleases:\n  - name: x\n    chart: ./x\ntemplates:\n  t:\n    name: {{ .Values | toJson | b64enc }}\n" % json.dumps(sorted(files)))
        env = {"HOME": dir, "PATH": os.environ["PATH"]}
        p = subprocess.run([helmfile, "--helm-binary", helm, "-f", "helmfile.yaml.gotmpl", "build"], cwd=dir, env=env, capture_output=True, text=True)
    m = re.search(r"name: (\S+)", p.stdout.split('templates:')[-1])
    with open(name, "w") as f:
        f.write(text)
        if p.returncode == 0 and m:
            import base64
            f.write("-- want.json --\n%s\n" % json.dumps(json.loads(base64.b64decode(m[1])), indent=2, sort_keys=True, ensure_ascii=False))
        else:
            said = [l for l in p.stderr.splitlines() if l.strip()]
            f.write("-- refused --\n%s\n" % (" ".join(said)[:400].replace(dir, "DIR")))
