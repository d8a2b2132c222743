// Times the client: JavaScript only, without layout.

const median = (list) => list.sort((a, b) => a - b)[list.length >> 1];

/** Applies patches there and back and returns the median time of each kind. */
window.runSpeed = (v) => {
  const times = {};
  const time = (name, run) => {
    const start = performance.now();
    run();
    (times[name] ??= []).push(performance.now() - start);
  };
  const manifest = JSON.parse(v.manifest);
  for (let round = 0; round < v.rounds; round++) {
    const root = document.createElement("div");
    document.body.append(root);
    root.innerHTML = v.marked;
    let patcher;
    time("hydrate", () => (patcher = live.createPatcher(root, manifest, {})));
    if (!patcher.hydrated) return { failed: [1] };
    for (const { name, patch } of v.ops) time(name, () => patcher.patch(JSON.parse(patch)));
    root.remove();
    const plain = document.createElement("div");
    document.body.append(plain);
    time("innerHTML", () => (plain.innerHTML = v.plain));
    plain.remove();
  }
  return Object.fromEntries(Object.entries(times).map(([name, list]) => [name, median(list)]));
};
