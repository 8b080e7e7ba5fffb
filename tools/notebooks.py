"""A table of all notebooks: words, cells, pictures, seconds to run, KB; and what is too heavy or shows nothing.

`python tools/notebooks.py` prints it and writes results/notebooks.json. The seconds are those of the tests: `make notebooks ARGS=--junitxml=n.xml`
(or `make test`), then `python tools/notebooks.py n.xml`. Who did not run keeps the seconds noted before."""
import ast, json, re, sys
from pathlib import Path
from xml.etree import ElementTree
from house import MAX_BYTES, Project

ROOT = Path(__file__).resolve().parent.parent
KEPT = 'results/notebooks.json'

def words(n): return sum(len(re.sub(r'^(```|~~~).*?^\1', '', c.source, flags=re.M|re.S).split()) for c in n.cells if c.kind == 'markdown')

def pictures(n):
    "Those that a reader of the page sees."
    seen = [c for c in n.cells if not c.directives & {'hide'}]
    return sum(any(k.startswith('image/') for k in o.get('data', {})) for c in seen for o in c.outputs) + sum(len(re.findall(r'(?<!\[)!\[', c.source)) for c in seen if c.kind == 'markdown')

def examples(n, skip=()):
    "Cells that a reader sees and the tests run, and that do something."
    plain = ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef
    return [c for c in n.code_cells if not c.exported and not c.directives & {'hide', *skip} and not all(isinstance(o, plain) for o in c.tree.body)]

def complaints(p):
    "Sentences about notebooks that are too heavy, or have neither a picture nor an example that is run."
    skip = p.settings['tst_flags'].split()
    return ([f'{n.name}: {b//1000} KB (at most {MAX_BYTES//1000})' for n in p.notebooks if (b := n.path.stat().st_size) > MAX_BYTES] +
            [f'{n.name}: neither a picture nor an example that is run' for n in p.notebooks if not pictures(n) and not examples(n, skip)])

def seconds(report):
    "Notebook -> seconds, of those that passed, out of a report of pytest."
    cases = ElementTree.parse(report).iter('testcase')
    return {m[1]: round(float(c.get('time')), 1) for c in cases if (m := re.fullmatch(r'test_notebook\[(.+)\]', c.get('name'))) and not len(c)}

def rows(p, kept): # kept: name -> seconds
    return [dict(notebook=n.name, words=words(n), cells=len(n.cells), pictures=pictures(n), seconds=kept.get(n.name), kb=round(n.path.stat().st_size/1000)) for n in p.notebooks]

def table(rows):
    lines = [list(rows[0]), *([str('-' if v is None else v) for v in r.values()] for r in rows),
             [f'all {len(rows)}', *(f'{sum(r[k] or 0 for r in rows):.0f}' for k in list(rows[0])[1:])]]
    wide = [max(map(len, column)) for column in zip(*lines)]
    return '\n'.join('  '.join(v.ljust(w) if i == 0 else v.rjust(w) for i,(v,w) in enumerate(zip(l, wide))) for l in lines)

def main(reports):
    p,f = Project(ROOT),ROOT/KEPT
    kept = {r['notebook']: r['seconds'] for r in json.loads(f.read_text())['notebooks']} if f.exists() else {}
    for o in reports: kept |= seconds(o)
    found = rows(p, kept)
    f.write_text(json.dumps({'command': 'make notebooks ARGS=--junitxml=n.xml; python tools/notebooks.py n.xml', 'clock': 'wall clock, two notebooks at a time, a thread each',
                             'notebooks': found}, indent=1)+'\n')
    print(table(found), *(bad := complaints(p)), sep='\n')
    return bool(bad)

if __name__ == '__main__': sys.exit(main(sys.argv[1:]))
