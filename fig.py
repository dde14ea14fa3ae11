import json,sys,numpy as np
from collections import defaultdict
for run in sys.argv[1:]:
    d=defaultdict(list)
    for l in open(f"/work/lab/ev/{run}/results.jsonl"):
        r=json.loads(l)
        for k,v in (r.get("figures") or r.get("values") or r.get("readings") or {}).items():
            if isinstance(v,(int,float)): d[k].append(v)
    print(run, {k: round(float(np.mean(v)),4) for k,v in d.items()})
